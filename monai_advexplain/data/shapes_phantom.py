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

"""Drawing of a phantom of shapes: three exclusive classes, or two labels at once, each with its own mask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from tqdm import trange

from monai_advexplain.data.splits import Item
from monai_advexplain.data.volumes import DATALIST
from monai_advexplain.data.whole_folder import whole_folder
from monai_advexplain.transforms.plant_lesion import smooth_noise

VERSION = 1  # of the drawing; a folder drawn by another version is not reused
SHAPES = ("disc", "cross")


class Shapes(NamedTuple):
    """A drawn image, float32 (size, size) in [0, 1], and where each of :data:`SHAPES` is, bool of the same size."""

    image: np.ndarray
    masks: dict[str, np.ndarray]


def _draw(kind: str, x: np.ndarray, y: np.ndarray, radius: float, angle: float) -> np.ndarray:
    """Where a shape about the origin is; all of one radius have about the same area."""
    if kind == "disc":
        return np.hypot(x, y) <= 0.75 * radius
    along, across = np.abs(x * np.cos(angle) + y * np.sin(angle)), np.abs(y * np.cos(angle) - x * np.sin(angle))
    arm = radius / 3.5
    return (np.maximum(along, across) <= radius) & (np.minimum(along, across) <= arm)


def render_shapes(seed: int | list[int], size: int = 64, shapes: tuple[str, ...] = ()) -> Shapes:
    """Draw shapes at random places, of random size, angle and contrast, on a background that tells nothing.

    With and without a shape, images of one seed differ by nothing else.

    Args:
        seed: of all that is random.
        size: rows and columns.
        shapes: which of :data:`SHAPES` are in the image; they do not overlap.

    Returns:
        The image and the masks of the shapes in it.
    """
    background, film, *places = np.random.default_rng(seed).spawn(2 + len(SHAPES))
    image = 0.35 + 0.07 * smooth_noise(background, (size, size), [0.08 * size] * 2)
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    placed: dict[str, np.ndarray] = {}  # all, so that a shape has its place whether the others are in the image or not
    for kind, rng in zip(SHAPES, places, strict=True):
        radius, angle, contrast = rng.uniform(0.11, 0.17) * size, rng.uniform(0, np.pi / 2), rng.uniform(0.2, 0.45)
        while True:
            centre = rng.uniform(radius, size - radius, 2)
            where = _draw(kind, x - centre[0], y - centre[1], radius, angle)
            if not any((where & other).any() for other in placed.values()):
                break
        placed[kind] = where
        if kind in shapes:
            image += contrast * gaussian_filter(where.astype(float), 0.5)
    image += 0.03 * film.standard_normal(image.shape)
    masks = {kind: where for kind, where in placed.items() if kind in shapes}
    return Shapes(np.clip(image, 0, 1).astype(np.float32), masks)


def _save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def _write(folder: Path, index: int, made_with: dict[str, Any]) -> Item:
    """Write an image and its masks."""
    label = [index % 2, index // 2 % 2] if made_with["multi_label"] else index % (len(SHAPES) + 1)
    given = label if isinstance(label, list) else [int(label == number) for number in (1, 2)]
    drawn = render_shapes(
        [made_with["seed"], index], made_with["size"], tuple(kind for kind, on in zip(SHAPES, given, strict=True) if on)
    )
    item: Item = {"image": f"images/{index:05d}.png", "label": label, "group": f"{index:05d}"}
    _save(folder / item["image"], 255 * drawn.image + 0.5)
    files: list[str | None] = [f"masks/{index:05d}_{kind}.png" if kind in drawn.masks else None for kind in SHAPES]
    for kind, file in zip(SHAPES, files, strict=True):
        if file is not None:
            _save(folder / file, 255 * drawn.masks[kind])
    if any(files):
        item["mask"] = files if made_with["multi_label"] else next(filter(None, files))
    return item


def write_shapes_phantom(
    output_dir: str | Path,
    n_images: int = 900,
    size: int = 64,
    seed: int = 0,
    multi_label: bool = False,
    progress: bool = True,
) -> Path:
    """Write a data set of shapes for a classifier of several outputs, with the ground truth of each.

    Three classes, ``label`` 0 (no shape), 1 (disc) or 2 (cross), each with the mask of its shape; or, multi-label,
    ``label`` [disc, cross] of 0 and 1, and ``mask`` a list of a file or null for each. All come equally often.

    Args:
        output_dir: the folder to make: PNG files and a ``datalist.json`` that
            :func:`~monai_advexplain.data.load_datalist` reads and splits.
        n_images: number of images.
        size: rows and columns of an image.
        seed: same arguments, same images.
        multi_label: whether both shapes may be in an image.
        progress: whether to show a progress bar.

    Returns:
        The folder.

    Raises:
        FileExistsError: when the folder is not empty and holds anything else than this phantom.
        ValueError: when an argument is outside its range.
    """
    for name, value, low, high in (("n_images", n_images, 4, 10**5), ("size", size, 32, 1024)):
        if not low <= value <= high:
            raise ValueError(f"{name} must be in [{low}, {high}], got {value}.")
    made_with = {
        "phantom": "shapes",
        "version": VERSION,
        "n_images": n_images,
        "size": size,
        "seed": seed,
        "multi_label": multi_label,
    }
    folder = Path(output_dir)
    with whole_folder(folder, made_with) as unfinished:
        if unfinished is not None:
            indices = trange(n_images, desc="Writing images", unit="image", disable=not progress)
            items = [_write(unfinished, index, made_with) for index in indices]
            (unfinished / DATALIST).write_text(json.dumps({"training": items}, indent=1) + "\n", encoding="utf-8")
    return folder
