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

"""What to explain: a file, a folder or a list of files, as items for a MONAI dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_advexplain.data.dicom_series import DICOM_SUFFIXES, find_dicom_images, group_slices

SUFFIXES = (*DICOM_SUFFIXES, ".png", ".jpg", ".jpeg", ".bmp", ".nii", ".nii.gz")


def list_images(inputs: str | os.PathLike | Sequence[str | os.PathLike]) -> list[dict[str, Any]]:
    """Items ``{"image": path}`` of a file, a folder (searched with its sub-folders) or a list of both.

    A file that is named is taken whatever its suffix, as an item of its own. In a folder PNG, JPEG, BMP and NIfTI files
    are taken, and DICOM images under any name. The DICOM slices of one volume are one item ``{"image": [path, ...]}``:
    the single-frame files of one series that have positions in the patient, at two places at least, and one
    orientation and size. Radiographs, multi-frame files and files that cannot be read stay items of their own.

    Args:
        inputs: path, or paths.

    Returns:
        One item an image, in the given order, folders sorted by name, a series where its first file is.

    Raises:
        FileNotFoundError: when a path does not exist.
        ValueError: when there is no image at all.
    """
    paths = [Path(inputs)] if isinstance(inputs, (str, os.PathLike)) else [Path(p) for p in inputs]
    items: list[dict[str, Any]] = []
    for path in paths:
        if path.is_dir():
            items += _items_of_folder(path)
        elif path.is_file():
            items.append({"image": str(path)})
        else:
            raise FileNotFoundError(f"no image file or folder at {path}.")
    if not items:
        raise ValueError(
            f"no image in {', '.join(map(str, paths)) or 'an empty list'}; looked for {SUFFIXES} and DICOM."
        )
    return items


def _items_of_folder(folder: Path) -> list[dict[str, Any]]:
    dicom = find_dicom_images(folder)
    groups = group_slices(dicom)
    groups += [[path] for path in set(folder.rglob("*")).difference(dicom) if _is_other_image(path)]
    groups.sort(key=lambda group: group[0])
    return [{"image": [str(path) for path in group] if len(group) > 1 else str(group[0])} for group in groups]


def _is_other_image(path: Path) -> bool:
    name = path.name.lower()
    return path.is_file() and name.endswith(SUFFIXES) and not name.endswith(DICOM_SUFFIXES) and not name.startswith(".")
