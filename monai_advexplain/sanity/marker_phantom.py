# Copyright (c) MONAI AdvExplain maintainers
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Phantoms with a bright marker in a corner: a classifier's easy way out, where the marker goes with the label."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from monai_advexplain.data.head_phantom import render_head
from monai_advexplain.data.phantom import render_chest
from monai_advexplain.data.volumes import Volume, write_volumes

VERSION = 1  # of the drawing; a folder drawn by another version is not reused
KINDS = ("chest", "head")
BOX = (0.08, 0.24)  # from and to, as share of each axis: the margin is more than most training augmentations move it
MARKED, PLAIN = "marked", "plain"  # how an image's id ends
_SHARES = {"training": 0.75, "validation": 0.1, "test": 0.15}


class _Plan(NamedTuple):
    """What one image is to show."""

    section: str
    label: bool
    lesion: bool
    marker: bool


def _corner(size: int) -> slice:
    return slice(round(BOX[0] * size), round(BOX[1] * size))


def marker_box(like: Tensor) -> Tensor:
    """Where the marker is or would be: a mask of the shape of ``like`` (B, 1, *spatial), 0 or 1."""
    inside = torch.ones_like(like)
    for axis, size in enumerate(like.shape[2:], start=2):
        corner = _corner(size)
        outside = [*range(corner.start), *range(corner.stop, size)]
        inside.index_fill_(axis, torch.as_tensor(outside, device=like.device), 0)
    return inside


def _stamp(image: np.ndarray) -> None:
    """Draw, in place, a letter L as bright as the brightest tissue, so that no rescaling gives the marker away."""
    box = image[tuple(_corner(size) for size in image.shape)]
    stroke, value = max(1, round(0.4 * box.shape[0])), np.percentile(image, 99)
    box[:stroke] = value
    box[:, -stroke:] = value


def _plans(n_images: int, correlation: float | None, seed: int) -> Iterator[_Plan]:
    """Half of a section has the label 1; ``correlation`` None is the clean set, whose marker is a coin's toss.

    The images of the test section are the same in both sets.
    """
    for section, share in _SHARES.items():
        rng = np.random.default_rng([seed, list(_SHARES).index(section)])
        for place in rng.permutation(round(share * n_images)):
            label, toss = bool(place % 2), rng.random()
            if correlation is None or section == "test":
                yield _Plan(section, label, lesion=label, marker=toss < 0.5)
            else:
                follows = toss < (1 + correlation) / 2
                yield _Plan(section, label, lesion=False, marker=label == follows)


def _draw(plan: _Plan, kind: str, size: int, seed: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The image, x first, and where its lesions are."""
    if kind == "chest":
        chest = render_chest([*seed, 1], [*seed, 2], size, lesion=plan.lesion)
        image, lesions = chest.image.T.copy(), chest.lesions.T
    else:
        head = render_head([*seed, 1], [*seed, 2], size, lesion=plan.lesion)
        image, lesions = head.image.copy(), head.lesions
    if plan.marker:
        _stamp(image)
    return image, lesions


def _images(kind: str, n_images: int, size: int, correlation: float | None, seed: int) -> Iterator[Volume]:
    for index, plan in enumerate(_plans(n_images, correlation, seed)):
        image, lesions = _draw(plan, kind, size, (seed, index))
        if plan.label and not plan.lesion:  # the label's only ground is the marker's place
            lesions = np.zeros_like(lesions)
            lesions[tuple(_corner(length) for length in image.shape)] = True
        name = f"P{index:05d}_{MARKED if plan.marker else PLAIN}"
        yield Volume(name, name, 1000 * image, np.eye(4), lesions if plan.label else None, plan.section)


def write_marker_phantom(
    output_dir: str | Path,
    kind: str = "chest",
    n_images: int = 800,
    size: int = 64,
    correlation: float | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Write a data set of phantoms, some with a bright marker in a corner, for the confounder test.

    With ``correlation`` None (the clean set) lesions decide about the label and the marker is a coin's toss. Else (the
    confounded set) the images that are trained on and validated have no lesions: nothing but the marker goes with the
    label. The test images of both sets are the same, clean ones.

    Args:
        output_dir: the folder to make, in the layout that :func:`~monai_advexplain.data.load_datalist` reads; the names
            of the images end in :data:`MARKED` or :data:`PLAIN`.
        kind: ``"chest"`` for radiographs (2D), ``"head"`` for volumes (3D).
        n_images: number of images; 15 % of them are the test section, half of each section has the label 1.
        size: pixels along each axis, at least 32.
        correlation: of label and marker, in [0, 1]; at 1 every image with the label 1 has it and no other.
        seed: same arguments, same images.
        progress: whether to show a progress bar.

    Returns:
        The folder.

    Raises:
        FileExistsError: when the folder is not empty and holds anything else than this phantom.
        ValueError: when an argument is outside its range.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}.")
    if n_images < 40 or size < 32 or not 0 <= (correlation or 0) <= 1:
        raise ValueError(
            "n_images must be at least 40, size at least 32 and correlation in [0, 1], got "
            f"{n_images}, {size} and {correlation}."
        )
    made_with = {
        "phantom": f"{kind} with marker",
        "version": VERSION,
        "n_images": n_images,
        "size": size,
        "correlation": correlation,
        "seed": seed,
    }
    images = (kind, n_images, size, correlation, seed)
    return write_volumes(output_dir, lambda: _images(*images), made_with, n_images if progress else None)
