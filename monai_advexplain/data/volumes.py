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

"""Writing of volumes with lesions of known place as NIfTI files and a MONAI datalist."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from tqdm import tqdm

from monai_advexplain.data.splits import Item, split_by_group
from monai_advexplain.data.whole_folder import whole_folder

DATALIST = "datalist.json"

Sections = dict[str, list[Item]]


@dataclass(frozen=True)
class Volume:
    """A volume to write.

    Args:
        name: of the file, without suffix.
        group: what must stay in one section: the patient, the case.
        image: (x, y, z).
        affine: (4, 4), RAS mm.
        lesions: bool (x, y, z); the label is 1 when it marks anything. None when there is no lesion.
        section: ``"training"``, ``"validation"`` or ``"test"`` when that is given; else the split decides.
    """

    name: str
    group: str
    image: np.ndarray
    affine: np.ndarray
    lesions: np.ndarray | None = None
    section: str | None = None


def _save(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    image = nibabel.Nifti1Image(values, np.asarray(affine, dtype=np.float64))
    image.header.set_xyzt_units("mm")
    path.parent.mkdir(exist_ok=True)
    nibabel.save(image, path)


def _write(folder: Path, volumes: Iterable[Volume]) -> list[Item]:
    items: list[Item] = []
    for volume in volumes:
        labelled = volume.lesions is not None and bool(volume.lesions.any())
        item: Item = {"image": f"images/{volume.name}.nii.gz", "label": int(labelled), "group": volume.group}
        _save(folder / item["image"], volume.image.astype(np.float32), volume.affine)
        if labelled:
            item["mask"] = f"masks/{volume.name}.nii.gz"
            _save(folder / item["mask"], np.asarray(volume.lesions).astype(np.uint8), volume.affine)
        items.append(item | ({"section": volume.section} if volume.section else {}))
    return items


def _sections(items: list[Item], seed: int) -> Sections:
    if not all("section" in item for item in items):
        return split_by_group(items, seed=seed)
    sections: Sections = {}
    for item in items:
        sections.setdefault(item.pop("section"), []).append(item)
    return sections


def write_volumes(
    output_dir: str | Path, volumes: Callable[[], Iterable[Volume]], made_with: dict[str, Any], count: int | None = None
) -> Path:
    """Write a data set in the layout that :func:`~monai_advexplain.data.load_datalist` reads.

    ``images/*.nii.gz`` (float32), ``masks/*.nii.gz`` (uint8) of the volumes with lesions, and ``datalist.json`` with
    its sections. The folder appears only when it is complete, and is reused when it was made with the same arguments.

    Args:
        output_dir: the folder to make.
        volumes: called once, when there is something to write.
        made_with: what the data set follows from, JSON; its ``"seed"`` is that of the split by group, 70/10/20, which
            is made unless the volumes name their sections.
        count: number of volumes, for a progress bar; None for no bar.

    Returns:
        The folder.

    Raises:
        FileExistsError: when the folder is not empty and holds anything else.
        ValueError: when a section comes out empty or with one label only.
    """
    folder = Path(output_dir)
    with whole_folder(folder, made_with) as unfinished:
        if unfinished is not None:
            items = _write(unfinished, tqdm(volumes(), "Writing volumes", count, unit="volume", disable=count is None))
            sections = _sections(items, int(made_with["seed"]))
            (unfinished / DATALIST).write_text(json.dumps(sections, indent=1) + "\n", encoding="utf-8")
    return folder
