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

"""Reader of a MONAI datalist with images, labels and, for some, masks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_advexplain.data.labels import for_decision
from monai_advexplain.data.splits import Item, check_splits, checked_fractions, split_by_group
from monai_advexplain.decision import Decision

SECTIONS = ("training", "validation", "test")


def _read_json(path: Path) -> dict[str, Any]:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder.")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; found there: {sorted(p.name for p in path.parent.iterdir())}.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(content, dict) or "training" not in content:
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path}: wanted an object with the section 'training', found {found}.")
    for section in SECTIONS:
        if not isinstance(content.get(section, []), list):
            raise ValueError(f"{path}: section {section!r} must be a list, got {type(content[section]).__name__}.")
    return content


def _parse_label(where: str, label: Any) -> int | list[int]:
    if isinstance(label, list) and len(label) > 1 and all(value in (0, 1) for value in label):
        return [int(value) for value in label]
    if not isinstance(label, int) or label < 0:
        raise ValueError(
            f"{where}: 'label' must be a whole number from 0, or a list of 0 and 1 for several labels, got {label!r}."
        )
    return int(label)


def _parse_mask(where: str, root: Path, mask: Any, label: int | list[int]) -> str | list[str | None]:
    if isinstance(label, int):
        if not isinstance(mask, str):
            raise ValueError(f"{where}: 'mask' must be a path, since 'label' is {label}, got {mask!r}.")
        return str(root / mask)
    if not isinstance(mask, list) or len(mask) != len(label) or not all(isinstance(m, str | None) for m in mask):
        raise ValueError(f"{where}: 'mask' must list a path or null for each of {len(label)} labels, got {mask!r}.")
    return [str(root / one) if one else None for one in mask]


def _parse_item(where: str, root: Path, entry: Any) -> Item:
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        raise ValueError(f"{where}: wanted an object with 'image' and 'label', got {entry!r}.")
    label = _parse_label(f"{where} ({entry['image']})", entry.get("label"))
    item: Item = {"image": str(root / entry["image"]), "label": label}
    if entry.get("mask"):
        item["mask"] = _parse_mask(f"{where} ({entry['image']})", root, entry["mask"], label)
    group = entry.get("group")
    item["group"] = entry["image"] if group is None else str(group)
    item["id"] = Path(entry["image"]).name.split(".")[0]
    return item


def _check_files(path: Path, items: list[Item]) -> None:
    found = [item[key] for item in items for key in ("image", "mask") if key in item]
    files = [file for one in found for file in (one if isinstance(one, list) else [one]) if file]
    missing = [file for file in files if not Path(file).is_file()]
    if missing:
        listed = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise FileNotFoundError(f"{len(missing)} of the {len(files)} files in {path} are missing: {listed}")


def _check_labels(path: Path, items: list[Item]) -> None:
    def kind(item: Item) -> int:
        return len(item["label"]) if isinstance(item["label"], list) else 0

    for item in items:
        if kind(item) != kind(items[0]):
            raise ValueError(
                f"{path}: all labels must be of one form, got {items[0]['label']!r} ({items[0]['image']}) and "
                f"{item['label']!r} ({item['image']})."
            )


def _check_groups(path: Path, splits: Mapping[str, list[Item]]) -> None:
    section_of: dict[str, str] = {}
    for section, items in splits.items():
        for item in items:
            first = section_of.setdefault(item["group"], section)
            if first != section:
                raise ValueError(
                    f"{path}: group {item['group']} is in both sections {first} and {section} ({item['image']}); "
                    "a group must be in one section only."
                )


def load_datalist(
    dataset_dir: str | Path,
    datalist: str = "datalist.json",
    fractions: Mapping[str, float] | None = None,
    seed: int = 0,
    decision: Decision | None = None,
) -> dict[str, list[Item]]:
    """List, and where needed split, a data set that a MONAI datalist describes.

    The JSON file has the sections ``training`` and, if the split is given, ``validation`` and ``test``; each is a list
    of ``{"image": path, "label": int, "mask": path, "group": name}``, paths relative to the folder, ``mask`` and
    ``group`` optional. ``label`` is a class; or a list of 0 and 1, one for each output of a multi-label classifier, and
    ``mask`` then a list of a path or null for each. Sections that are missing are taken out of ``training`` with
    :func:`~monai_advexplain.data.split_by_group`; an item without a group is a group of its own.

    Args:
        dataset_dir: the folder.
        datalist: name of the JSON file in it.
        fractions: share of each split, used for the missing sections; default 0.7, 0.1, 0.2.
        seed: of the split, which is the same whatever the decision.
        decision: when given, the items are as this decision sees them, see
            :func:`~monai_advexplain.data.for_decision`: ``"label"`` is 0 or 1, ``"mask"`` that of what is explained.

    Returns:
        Items by ``"training"``, ``"validation"`` and ``"test"``; each has ``"image"`` (path), ``"label"``, ``"group"``,
        ``"id"`` (the image's name without suffix) and, where there is one, ``"mask"`` (path, or list of them).

    Raises:
        FileNotFoundError: when the folder, the datalist or files that it lists are missing.
        ValueError: when the datalist is not as described, a group is in two sections, or a split is empty or has one
            label only.
    """
    path = Path(dataset_dir) / datalist
    content = _read_json(path)
    splits = {
        section: [
            _parse_item(f"{path}, {section}[{index}]", path.parent, entry)
            for index, entry in enumerate(content[section])
        ]
        for section in SECTIONS
        if section in content
    }
    everything = [item for items in splits.values() for item in items]
    _check_labels(path, everything)
    _check_files(path, everything)
    _check_groups(path, splits)
    wanted = checked_fractions(fractions)
    shares = {name: wanted[name] for name in SECTIONS if name in wanted and (name == "training" or name not in splits)}
    if len(shares) > 1:
        total = sum(shares.values())
        splits |= split_by_group(splits["training"], {name: share / total for name, share in shares.items()}, seed)
    if decision is not None:
        splits = for_decision(splits, decision)
    check_splits(splits)
    return {section: splits[section] for section in SECTIONS if section in splits}
