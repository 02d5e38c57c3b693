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

"""Drawing of a 3D head phantom: anatomy, and lesions in the brain that decide about the label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from monai_advexplain.data.phantom import Seed
from monai_advexplain.data.volumes import Volume, write_volumes
from monai_advexplain.transforms.plant_lesion import LesionRange, draw_lesion, smooth_noise

VERSION = 1  # of the drawing; a folder drawn by another version is not reused
FIELD_MM = 192.0
LESIONS = LesionRange(radius=(16.0, 28.0), contrast=(0.7, 1.0))
SPREAD = 0.6  # of the brain's intensities, which a lesion's contrast is a share of
VISITS = 2


@dataclass(frozen=True)
class Head:
    """A drawn head; arrays are (x, y, z), to the patient's right, front and top.

    Args:
        image: float32 in [0, 1], grey matter darker than white matter, as in a T1-weighted image.
        lesions: bool, where the lesions are.
    """

    image: np.ndarray
    lesions: np.ndarray


def _inside(x: np.ndarray, y: np.ndarray, z: np.ndarray, centre: tuple, semi_axes: tuple, edge: float) -> np.ndarray:
    """1 inside an ellipsoid, 0 outside, over an edge given as share of its radius."""
    parts = [((axis - c) / r) ** 2 for axis, c, r in zip((x, y, z), centre, semi_axes, strict=True)]
    return expit((1 - np.sqrt(sum(parts))) / edge)


def render_head(patient: Seed, visit: Seed, size: int = 48, lesion: bool = False) -> Head:
    """Draw a head: scalp, skull, fluid, folded grey matter, white matter, ventricles and deep nuclei.

    The same patient has the same anatomy in every visit; pose, shading, noise and lesions are the visit's. With and
    without lesion, heads of one patient and visit differ by nothing else.

    Args:
        patient: seed of the anatomy.
        visit: seed of all the rest.
        size: voxels along each axis, at least 16; the field of view is 192 mm.
        lesion: whether there are one or two lesions in the brain.

    Returns:
        The head.
    """
    anatomy = np.random.default_rng(patient)
    pose, film, lesions = np.random.default_rng(visit).spawn(3)
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    x, y, z = np.meshgrid(axis - pose.normal(0, 0.02), axis - pose.normal(0, 0.02), axis, indexing="ij")
    turn, zoom = pose.normal(0, 0.05), pose.uniform(0.97, 1.04)
    x, y, z = (
        zoom * (x * np.cos(turn) + y * np.sin(turn)),
        zoom * (y * np.cos(turn) - x * np.sin(turn)),
        zoom * z,
    )
    shape = (size,) * 3

    width, length, height = anatomy.uniform(0.66, 0.74), anatomy.uniform(0.80, 0.88), anatomy.uniform(0.76, 0.84)
    bumps = 1 + 0.015 * smooth_noise(anatomy, shape, [0.12 * size] * 3)

    def shell(share: float, edge: float = 0.03) -> np.ndarray:
        return _inside(
            x * bumps, y * bumps, z * bumps, (0, 0, 0), (share * width, share * length, share * height), edge
        )

    folds = smooth_noise(anatomy, shape, [0.035 * size] * 3)
    brain = shell(0.82)
    white = expit((0.66 + 0.06 * folds - np.sqrt((x / width) ** 2 + (y / length) ** 2 + (z / height) ** 2)) / 0.03)
    image = 0.75 * shell(1.0) - 0.63 * shell(0.93) + 0.10 * shell(0.86)  # scalp, skull, fluid
    image += brain * (0.30 + 0.06 * np.minimum(folds, 0)) + 0.24 * white * brain
    image -= 0.30 * brain * expit((0.02 - np.abs(x)) / 0.01) * expit((z - 0.1) / 0.05)  # between the hemispheres
    spread, swell = anatomy.uniform(0.11, 0.15), anatomy.uniform(0.8, 1.3)
    for side in (-1, 1):
        ventricle = _inside(x, y, z, (side * spread, 0.0, 0.06), (0.06 * swell, 0.28 * swell, 0.10 * swell), 0.12)
        image -= 0.42 * ventricle * brain
        nucleus = _inside(x, y, z, (side * (spread + 0.12), 0.05, -0.08), (0.10, 0.18, 0.12), 0.10)
        image -= 0.12 * nucleus * (1 - ventricle)

    marked = np.zeros(shape, dtype=bool)
    if lesion:
        tissue = (brain > 0.9) & (image > 0.35)
        for _ in range(1 + (lesions.random() < 0.35)):
            drawn, where = draw_lesion(lesions, tissue & ~marked, [FIELD_MM / size] * 3, LESIONS)
            image += SPREAD * drawn
            marked |= where
    image = gaussian_filter(image, 0.35)
    image *= 1 + film.uniform(0.02, 0.06) * smooth_noise(film, shape, [0.3 * size] * 3)
    texture = 0.012 * smooth_noise(film, shape, [1.0] * 3)
    noise = film.uniform(0.008, 0.02) * film.standard_normal((2, *shape))
    image = np.hypot(image + brain * texture + noise[0], noise[1])  # magnitude of a complex signal
    return Head(np.clip(image, 0, 1).astype(np.float32), marked)


def _heads(n_volumes: int, size: int, seed: int) -> Iterator[Volume]:
    step = FIELD_MM / size
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = (step - FIELD_MM) / 2
    for index in range(n_volumes):
        patient, visit = divmod(index, VISITS)
        lesion = (patient + visit) % 2 == 1
        head = render_head([seed, 1, patient], [seed, 2, patient, visit], size, lesion)
        name = f"P{patient:05d}"
        yield Volume(f"{name}_{visit}", name, 1000 * head.image, affine, head.lesions if lesion else None)


def write_head_phantom(
    output_dir: str | Path, n_volumes: int = 400, size: int = 48, seed: int = 0, progress: bool = True
) -> Path:
    """Write a data set of head phantoms whose lesions, and nothing else, decide about the label.

    A patient has two visits, one of them with one or two lesions. NIfTI files, intensities 0 to 1000, in RAS.

    Args:
        output_dir: the folder to make, in the layout that :func:`~monai_advexplain.data.load_datalist` reads.
        n_volumes: number of volumes; half of them have lesions.
        size: voxels along each axis.
        seed: same arguments, same volumes.
        progress: whether to show a progress bar.

    Returns:
        The folder.

    Raises:
        FileExistsError: when the folder is not empty and holds anything else than this phantom.
        ValueError: when an argument is outside its range, or a split comes out empty.
    """
    for name, value, low, high in (("n_volumes", n_volumes, 2, 10**5), ("size", size, 16, 512)):
        if not low <= value <= high:
            raise ValueError(f"{name} must be in [{low}, {high}], got {value}.")
    made_with = {"phantom": "head", "version": VERSION, "n_volumes": n_volumes, "size": size, "seed": seed}
    count = n_volumes if progress else None
    return write_volumes(output_dir, lambda: _heads(n_volumes, size, seed), made_with, count)
