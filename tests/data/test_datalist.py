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

"""Tests of the reader of MONAI datalists."""

from __future__ import annotations

import json

import pytest

from monai_advexplain.data import load_datalist


def make_dataset(folder, sections, **extra):
    """Write a datalist and an empty file for every image and mask it names."""
    for entries in sections.values():
        for entry in entries:
            for key in ("image", "mask"):
                if key in entry:
                    (folder / entry[key]).parent.mkdir(parents=True, exist_ok=True)
                    (folder / entry[key]).touch()
    (folder / "datalist.json").write_text(json.dumps({"name": "test", **sections, **extra}))
    return folder


def make_entries(prefix, n, masks=0, group=None):
    entries = [{"image": f"images/{prefix}{index}.jpg", "label": index % 2} for index in range(n)]
    for entry in entries[1 : 2 * masks : 2]:
        entry["mask"] = entry["image"].replace("images", "masks")
    for index, entry in enumerate(entries):
        if group:
            entry["group"] = f"{prefix}{index // group}"
    return entries


def test_given_sections_are_kept_with_paths_groups_and_ids(tmp_path):
    sections = {
        "training": [
            {"image": "a/x.nii.gz", "label": 0, "group": 3},
            {"image": "a/y.nii.gz", "label": 1, "group": 3, "mask": "m/y.nii.gz"},
        ],
        "validation": make_entries("v", 2),
        "test": make_entries("t", 2),
    }
    splits = load_datalist(make_dataset(tmp_path, sections))
    assert splits["training"] == [
        {"image": str(tmp_path / "a/x.nii.gz"), "label": 0, "group": "3", "id": "x"},
        {
            "image": str(tmp_path / "a/y.nii.gz"),
            "label": 1,
            "group": "3",
            "id": "y",
            "mask": str(tmp_path / "m/y.nii.gz"),
        },
    ]
    assert [item["id"] for item in splits["test"]] == ["t0", "t1"]
    assert list(splits) == ["training", "validation", "test"]


def test_an_item_without_a_group_is_a_group_of_its_own(tmp_path):
    splits = load_datalist(make_dataset(tmp_path, {"training": make_entries("a", 40)}))
    groups = [item["group"] for items in splits.values() for item in items]
    assert len(set(groups)) == 40


def test_missing_sections_are_taken_from_training_by_group(tmp_path):
    splits = load_datalist(make_dataset(tmp_path, {"training": make_entries("a", 200, masks=10, group=4)}))
    assert {name: len(items) for name, items in splits.items()} == {"training": 140, "validation": 20, "test": 40}
    groups = [{item["group"] for item in items} for items in splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 50
    assert sum("mask" in item for item in splits["test"]) == 10


def test_a_given_test_section_stays_and_only_validation_is_taken_from_training(tmp_path):
    sections = {"training": make_entries("a", 80), "test": make_entries("t", 10)}
    splits = load_datalist(make_dataset(tmp_path, sections))
    assert {name: len(items) for name, items in splits.items()} == {"training": 70, "validation": 10, "test": 10}
    assert {item["id"][0] for item in splits["test"]} == {"t"}


def test_the_seed_chooses_the_split(tmp_path):
    make_dataset(tmp_path, {"training": make_entries("a", 100)})
    assert load_datalist(tmp_path, seed=1) == load_datalist(tmp_path, seed=1)
    assert load_datalist(tmp_path, seed=1) != load_datalist(tmp_path, seed=2)


def test_a_missing_folder_or_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        load_datalist(tmp_path / "nowhere")
    (tmp_path / "dataset.json").touch()
    with pytest.raises(FileNotFoundError, match=r"datalist\.json: no such file; found there: \['dataset\.json'\]"):
        load_datalist(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "section 'training', found list"),
        ('{"train": []}', r"section 'training', found \['train'\]"),
        ('{"training": {}}', "section 'training' must be a list, got dict"),
        ('{"training": ["a.jpg"]}', r"training\[0\]: wanted an object"),
        ('{"training": [{"label": 1}]}', r"training\[0\]: wanted an object"),
        ('{"training": [{"image": "a.jpg"}]}', r"training\[0\] \(a\.jpg\): 'label' .* got None"),
        ('{"training": [{"image": "a.jpg", "label": "b.nii"}]}', "got 'b.nii'"),
        ('{"training": []}', "training split is empty"),
    ],
)
def test_a_datalist_of_another_form_is_told_what_is_wrong(tmp_path, text, message):
    (tmp_path / "datalist.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_datalist(tmp_path)


def test_missing_files_are_counted_and_named(tmp_path):
    make_dataset(tmp_path, {"training": make_entries("a", 6, masks=1)})
    (tmp_path / "images/a3.jpg").unlink()
    (tmp_path / "masks/a1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"2 of the 7 files .*masks/a1\.jpg, .*images/a3\.jpg$"):
        load_datalist(tmp_path)


def test_a_group_in_two_sections_is_named_with_both(tmp_path):
    sections = {"training": make_entries("a", 4, group=2), "test": [{"image": "b.jpg", "label": 1, "group": "a1"}]}
    with pytest.raises(ValueError, match="group a1 is in both sections training and test"):
        load_datalist(make_dataset(tmp_path, sections))


def test_a_section_of_one_label_only_is_an_error(tmp_path):
    sections = {name: make_entries(name, 4) for name in ("training", "validation")}
    sections["test"] = [entry for entry in make_entries("t", 4) if entry["label"] == 1]
    with pytest.raises(ValueError, match="test split has only label 1"):
        load_datalist(make_dataset(tmp_path, sections))


def test_fractions_are_checked(tmp_path):
    make_dataset(tmp_path, {"training": make_entries("a", 40)})
    with pytest.raises(ValueError, match="sum to 1"):
        load_datalist(tmp_path, fractions={"training": 0.5, "validation": 0.1, "test": 0.1})
