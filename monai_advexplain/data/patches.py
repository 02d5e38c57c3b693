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

"""Patches of volumes with lesion masks, with and without lesion, as a data set for a classifier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from monai_advexplain.data.volumes import Volume, write_volumes

IMAGE, MASK = "flair.nii.gz", "lesions.nii.gz"
TRIES = 2000
LEAST_BRAIN = 0.6  # share of a patch that is not background
LEAST_LESION = 20  # voxels
BACK = 0.25  # share of the head, from the back, that validation patches come from
VALIDATION = 0.2  # validation patches for each training patch


def _patients(dataset_dir: Path) -> list[str]:
    if not dataset_dir.is_dir():
        raise FileNotFoundError(f"{dataset_dir}: no such folder.")
    names = sorted(path.name for path in dataset_dir.iterdir() if (path / IMAGE).is_file() and (path / MASK).is_file())
    if len(names) < 2:
        raise FileNotFoundError(
            f"{dataset_dir}: found {len(names)} patients {names}, wanted at least 2 folders with {IMAGE} and {MASK}."
        )
    return names


def _cut(
    rng: np.random.Generator, brain: np.ndarray, lesions: np.ndarray, size: int, rows: slice, wanted: bool
) -> tuple[slice, ...] | None:
    """A random patch within the rows (y), with or without lesion; None when none was found."""
    low, high = np.array([0, rows.start, 0]), np.array([brain.shape[0], rows.stop, brain.shape[2]]) - size
    places = np.argwhere(lesions if wanted else brain)
    if (high < low).any() or len(places) == 0:
        return None
    for _ in range(TRIES):
        centre = places[rng.integers(len(places))] + rng.integers(-size // 4, size // 4 + 1, 3)
        patch = tuple(slice(start, start + size) for start in np.clip(centre - size // 2, low, high))
        marked = int(lesions[patch].sum())
        if (marked >= LEAST_LESION if wanted else marked == 0) and brain[patch].mean() >= LEAST_BRAIN:
            return patch
    return None


def _sections(brain: np.ndarray, size: int, is_held_out: bool) -> dict[str, slice]:
    """The rows (y) that patches of each section come from."""
    end = brain.shape[1]
    if is_held_out:
        return {"test": slice(0, end)}
    head = np.flatnonzero(brain.any(axis=(0, 2)))
    border = head[0] + max(size, round(BACK * (head[-1] + 1 - head[0])))
    return {"training": slice(border, end), "validation": slice(0, border)}


def _patches(folder: Path, patients: list[str], held_out: str, size: int, count: int, seed: int) -> Iterator[Volume]:
    from monai_advexplain.transforms.load_image import LoadMedicalImage  # its readers import from this package

    load = LoadMedicalImage(spatial_dims=3)
    for number, name in enumerate(patients):
        image, mask = load(folder / name / IMAGE), load(folder / name / MASK)
        if image.shape != mask.shape:
            raise ValueError(
                f"{folder / name}: found a mask {tuple(mask.shape[1:])} for an image {tuple(image.shape[1:])}."
            )
        voxels, lesions = image[0].numpy(), mask[0].numpy() > 0
        brain = voxels > 0
        for section, rows in _sections(brain, size, name == held_out).items():
            rng = np.random.default_rng([seed, number, len(section)])
            for index in range(_number(section, count)):
                wanted = index % 2 == 1
                patch = _cut(rng, brain, lesions, size, rows, wanted)
                if patch is None:
                    raise ValueError(
                        f"{folder / name}: found no patch of {size} voxels {'with' if wanted else 'without'} lesion in "
                        f"rows {rows.start} to {rows.stop} for the {section} section; a smaller size may help."
                    )
                shift = np.eye(4)
                shift[:3, 3] = [part.start for part in patch]
                yield Volume(
                    f"{name}_{section}_{index:03d}",
                    name if name == held_out else f"{name} {section}",
                    voxels[patch],
                    image.affine.numpy() @ shift,
                    lesions[patch] if wanted else None,
                    section,
                )


def _number(section: str, count: int) -> int:
    return max(2, round(VALIDATION * count)) if section == "validation" else count


def cut_patches(
    dataset_dir: str | Path,
    output_dir: str | Path,
    held_out: str,
    size: int = 32,
    count: int = 200,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Write a data set of patches, one patient of which is left out for testing.

    Half of the patches hold at least 20 voxels of lesion, half hold none; at least 0.6 of a patch is brain. The
    patient held out gives the test section. Each of the others gives training patches and, from the back of the head,
    which training patches do not reach, validation patches: validation is another region, not another patient.

    Args:
        dataset_dir: a folder for each patient, with ``flair.nii.gz`` (0 outside the brain) and ``lesions.nii.gz``.
        output_dir: the folder to make, in the layout that :func:`~monai_advexplain.data.load_datalist` reads.
        held_out: name of the patient's folder that is the test section.
        size: voxels along each axis.
        count: training patches for each patient, and test patches; validation has a fifth.
        seed: same arguments, same patches.
        progress: whether to show a progress bar.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: when there are fewer than two patients.
        FileExistsError: when the output folder is not empty and holds anything else.
        ValueError: for an unknown patient, or when no patch as wanted is found.
    """
    folder = Path(dataset_dir)
    patients = _patients(folder)
    if held_out not in patients:
        raise ValueError(f"held_out={held_out!r} is none of the patients in {folder}: {patients}.")
    if size < 8 or count < 4:
        raise ValueError(f"size must be at least 8 and count at least 4, got {size} and {count}.")
    made_with = {
        "data": "lesion patches",
        "patients": patients,
        "held_out": held_out,
        "size": size,
        "count": count,
        "seed": seed,
    }
    total = len(patients) * count + (len(patients) - 1) * _number("validation", count)
    return write_volumes(
        output_dir,
        lambda: _patches(folder, patients, held_out, size, count, seed),
        made_with,
        total if progress else None,
    )
