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

from pydicom.misc import is_dicom

SUFFIXES = (".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".bmp", ".nii", ".nii.gz")


def list_images(inputs: str | os.PathLike | Sequence[str | os.PathLike]) -> list[dict[str, str]]:
    """Items ``{"image": path}`` of a file, a folder (searched with its sub-folders) or a list of both.

    A file that is named is taken whatever its suffix; in a folder DICOM, PNG, JPEG, BMP and NIfTI files are, DICOM also
    without a suffix.

    Args:
        inputs: path, or paths.

    Returns:
        One item an image, in the given order, folders sorted by name.

    Raises:
        FileNotFoundError: when a path does not exist.
        ValueError: when there is no image at all.
    """
    paths = [Path(inputs)] if isinstance(inputs, (str, os.PathLike)) else [Path(p) for p in inputs]
    items: list[dict[str, str]] = []
    for path in paths:
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            items += [{"image": str(p)} for p in files if _is_image(p)]
        elif path.is_file():
            items.append({"image": str(path)})
        else:
            raise FileNotFoundError(f"no image file or folder at {path}.")
    if not items:
        raise ValueError(
            f"no image in {', '.join(map(str, paths)) or 'an empty list'}; looked for {SUFFIXES} and DICOM."
        )
    return items


def _is_image(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES) or (not path.suffix and is_dicom(path))
