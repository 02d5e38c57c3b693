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

from monai_advexplain import Decision
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


def many_labels(n, **more):
    """Items with two labels at once; masks of those that are 1."""
    entries = []
    for index in range(n):
        label, image = [index % 2, int(index % 3 == 0)], f"images/{index}.png"
        masks = [f"masks/{index}_{k}.png" if value else None for k, value in enumerate(label)]
        entries.append({"image": image, "label": label, "mask": masks, **more})
    return entries


def write_many(folder, n):
    entries = many_labels(n)
    for entry in entries:
        for file in (entry["image"], *filter(None, entry["mask"])):
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).touch()
    (folder / "datalist.json").write_text(json.dumps({"training": entries}))
    return folder


def test_several_labels_are_split_with_the_share_of_each_and_have_a_mask_of_each(tmp_path):
    splits = load_datalist(write_many(tmp_path, 300))
    assert {name: len(items) for name, items in splits.items()} == pytest.approx(
        {"training": 210, "validation": 30, "test": 60}, abs=6
    )
    for items in splits.values():
        for index, share in enumerate((1 / 2, 1 / 3)):
            assert sum(item["label"][index] for item in items) / len(items) == pytest.approx(share, abs=0.06)
    item = next(item for item in splits["test"] if item["label"] == [0, 1])
    assert item["mask"] == [None, str(tmp_path / "masks" / f"{item['id']}_1.png")]


@pytest.mark.parametrize("index", [0, 1])
def test_a_decision_sees_the_same_split_with_its_own_labels_and_masks(tmp_path, index):
    plain = load_datalist(write_many(tmp_path, 120))
    seen = load_datalist(tmp_path, decision=Decision("multilabel", index=index))
    for name, items in plain.items():
        assert [item["id"] for item in seen[name]] == [item["id"] for item in items]
        for before, after in zip(items, seen[name], strict=True):
            assert after["label"] == before["label"][index]
            assert after.get("mask") == before["mask"][index]


def test_a_decision_about_a_class_that_a_split_lacks_is_an_error(tmp_path):
    make_dataset(tmp_path, {"training": make_entries("a", 40)})
    with pytest.raises(ValueError, match="training split has only label 0"):
        load_datalist(tmp_path, decision=Decision("softmax", index=2))


def test_missing_files_among_several_masks_are_named(tmp_path):
    write_many(tmp_path, 12)
    (tmp_path / "masks/3_1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of the 22 files .*masks/3_1\.png"):
        load_datalist(tmp_path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"label": [0, 2]}, r"list of 0 and 1 for several labels, got \[0, 2\]"),
        ({"label": [1]}, r"got \[1\]"),
        ({"label": [0, 1], "mask": "m.png"}, r"path or null for each of 2 labels, got 'm\.png'"),
        ({"label": [0, 1], "mask": ["m.png"]}, r"each of 2 labels, got \['m\.png'\]"),
        ({"label": [0, 1], "mask": [None, 3]}, r"got \[None, 3\]"),
        ({"label": 1, "mask": ["m.png"]}, r"'mask' must be a path, since 'label' is 1"),
        ({"label": 2}, r"one form, got \[0, 0\] \(.*first\.png\) and 2 \(.*a\.png\)"),
        ({"label": [0, 1, 1]}, r"one form, got \[0, 0\] .* and \[0, 1, 1\]"),
    ],
)
def test_labels_and_masks_of_another_form_are_told_what_is_wrong(tmp_path, entry, message):
    entries = [{"image": "first.png", "label": [0, 0]}, {"image": "a.png", **entry}]
    (tmp_path / "datalist.json").write_text(json.dumps({"training": entries}))
    with pytest.raises(ValueError, match=message):
        load_datalist(tmp_path)


def test_fractions_are_checked(tmp_path):
    make_dataset(tmp_path, {"training": make_entries("a", 40)})
    with pytest.raises(ValueError, match="sum to 1"):
        load_datalist(tmp_path, fractions={"training": 0.5, "validation": 0.1, "test": 0.1})
