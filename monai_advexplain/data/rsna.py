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

"""Reader of the layout of the RSNA Pneumonia Detection Challenge."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pydicom
from tqdm import tqdm

from monai_advexplain.data.splits import Item, split_by_group

IMAGES, LABELS = "stage_2_train_images", "stage_2_train_labels.csv"
BOX_COLUMNS = ("x", "y", "width", "height")
COLUMNS = ("patientId", *BOX_COLUMNS, "Target")


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row with a name for error messages, after a check of the header."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        found = list(reader.fieldnames or [])
        missing = [column for column in COLUMNS if column not in found]
        if missing:
            raise ValueError(f"{path}: column(s) {', '.join(missing)} missing; found: {', '.join(found) or 'none'}.")
        for row in reader:
            yield f"{path}, line {reader.line_num}", {column: (row[column] or "").strip() for column in COLUMNS}


def _parse_box(where: str, row: Mapping[str, str]) -> list[float] | None:
    cells = [row[column] for column in BOX_COLUMNS]
    if not any(cells):
        return None
    try:
        box = [float(cell) for cell in cells]
    except ValueError:
        box = [math.nan]
    if not all(map(math.isfinite, box)) or min(box[2:]) <= 0:
        raise ValueError(f"{where}: x, y, width, height must be numbers, width and height above 0, got {cells}.")
    if row["Target"] == "0":
        raise ValueError(f"{where}: box {box} with Target 0; only an image with Target 1 may have boxes.")
    return box


def _read_labels(path: Path) -> dict[str, Item]:
    """Read the items, without groups, by their id."""
    items: dict[str, Item] = {}
    for where, row in _rows(path):
        name, target = row["patientId"], row["Target"]
        if not name:
            raise ValueError(f"{where}: patientId is empty.")
        if target not in ("0", "1"):
            raise ValueError(f"{where}: Target must be 0 or 1, got {target!r}.")
        box = _parse_box(where, row)
        item = items.setdefault(name, {"image": "", "label": int(target), "boxes": [], "group": "", "id": name})
        if item["label"] != int(target):
            raise ValueError(f"{where}: Target {target} contradicts Target {item['label']} above of patientId {name}.")
        if box is not None:
            item["boxes"].append(box)
    if not items:
        raise ValueError(f"{path}: no rows below the header.")
    return items


_SIZES = ("Rows", "Columns", "BitsAllocated")


def _read_patient(path: Path) -> str:
    """Read the header's PatientID; the file's own id where it is empty. A file that was cut short is found here."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID", *_SIZES])
    except Exception as error:
        raise ValueError(f"{path}: cannot read the DICOM header: {error}") from error
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is not None and not syntax.is_compressed and all(header.get(name) for name in _SIZES):
        wanted, found = math.prod(header[name].value for name in _SIZES) // 8, path.stat().st_size
        if found < wanted:
            raise ValueError(f"{path}: the file is truncated: {found} bytes found, its pixel data alone are {wanted}.")
    return str(header.get("PatientID") or "").strip() or path.stem


def load_rsna(
    dataset_dir: str | Path, fractions: Mapping[str, float] | None = None, seed: int = 0, masks: str | None = None
) -> dict[str, list[Item]]:
    """List and split a data set in the layout of the RSNA Pneumonia Detection Challenge.

    The folder holds ``stage_2_train_images/<patientId>.dcm`` and ``stage_2_train_labels.csv`` with the columns
    patientId, x, y, width, height (pixels; empty where there is no box) and Target (0 or 1), one row a box. Splits are
    made by the header's PatientID with :func:`~monai_advexplain.data.split_by_group`.

    Args:
        dataset_dir: the folder.
        fractions: share of each split; default 0.7 training, 0.1 validation, 0.2 test.
        seed: of the split.
        masks: None for the boxes alone; or a folder in ``dataset_dir`` with ``<patientId>.png`` for images whose
            finding was outlined, such as ``"lesions"`` of :func:`~monai_advexplain.data.write_chest_phantom`. Where
            there is one, it is the ground truth in the place of the boxes, which are its bounding boxes at best.

    Returns:
        Items by ``"training"``, ``"validation"`` and ``"test"``; each has ``"image"`` (path), ``"label"`` (0 or 1),
        ``"boxes"`` (list of [x, y, width, height]), ``"group"`` (the patient) and ``"id"`` (the file's patientId), and
        ``"mask"`` (path) if it has one.

    Raises:
        FileNotFoundError: when the folder, the CSV or images that it lists are missing.
        ValueError: when the CSV or a header is not as described, or the split is impossible.
    """
    root = Path(dataset_dir)
    folders = [IMAGES, masks] if masks else [IMAGES]
    for folder in (root, *(root / name for name in folders)):
        if not folder.is_dir():
            wanted = f"{', '.join(f'{name}/' for name in folders)} and {LABELS}"
            raise FileNotFoundError(f"{folder}: no such folder; wanted {wanted} in {root}.")
    if not (root / LABELS).is_file():
        raise FileNotFoundError(
            f"{root / LABELS}: no such file; found in {root}: {sorted(p.name for p in root.iterdir())}."
        )
    items = _read_labels(root / LABELS)
    present = {path.name for path in (root / IMAGES).iterdir()}
    missing = [name for name in items if f"{name}.dcm" not in present]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of the {len(items)} images in {LABELS} are missing from {root / IMAGES}: "
            f"{', '.join(f'{name}.dcm' for name in missing[:3])}{', …' if len(missing) > 3 else ''}"
        )
    outlines = {path.stem: str(path) for path in (root / masks).glob("*.png")} if masks else {}
    for name, item in tqdm(items.items(), desc="Reading DICOM headers", unit="file"):
        path = root / IMAGES / f"{name}.dcm"
        item.update(image=str(path), group=_read_patient(path))
        if name in outlines:
            item["mask"] = outlines[name]
    return split_by_group(items.values(), fractions, seed)
