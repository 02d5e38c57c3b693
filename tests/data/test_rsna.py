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

"""Tests of the reader of the RSNA challenge's layout."""

from __future__ import annotations

import csv
import shutil

import pydicom
import pytest
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose

from monai_advexplain.data import load_rsna
from monai_advexplain.transforms import GroundTruthMaskd, LoadMedicalImaged

HEADER = "patientId,x,y,width,height,Target"


@pytest.fixture
def dataset(phantom_dir, tmp_path):
    """A copy of the phantom that a test may change."""
    return shutil.copytree(phantom_dir, tmp_path / "dataset")


def write_labels(dataset, *rows, header=HEADER):
    (dataset / "stage_2_train_labels.csv").write_text("\n".join((header, *rows)) + "\n")
    return dataset


def everything(splits):
    return {item["id"]: item for items in splits.values() for item in items}


def test_items_hold_what_csv_and_headers_say(phantom_dir):
    items = everything(load_rsna(phantom_dir))
    with (phantom_dir / "stage_2_train_labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert set(items) == {row["patientId"] for row in rows}
    for name, item in items.items():
        mine = [row for row in rows if row["patientId"] == name]
        boxes = [[float(row[column]) for column in ("x", "y", "width", "height")] for row in mine if row["x"]]
        path = phantom_dir / "stage_2_train_images" / f"{name}.dcm"
        assert item == {
            "image": str(path),
            "label": int(mine[0]["Target"]),
            "boxes": boxes,
            "group": pydicom.dcmread(path).PatientID,
            "id": name,
        }


def test_several_rows_of_an_id_are_several_boxes_of_one_item(phantom_dir):
    assert max(len(item["boxes"]) for item in everything(load_rsna(phantom_dir)).values()) == 2


def test_patients_are_never_divided_and_seeds_differ(phantom_dir):
    tests = []
    for seed in (0, 1):
        splits = load_rsna(phantom_dir, seed=seed)
        groups = [{item["group"] for item in items} for items in splits.values()]
        assert sum(map(len, groups)) == len(set.union(*groups))
        tests.append([item["id"] for item in splits["test"]])
    assert tests[0] != tests[1]
    assert tests[0] == [item["id"] for item in load_rsna(phantom_dir, seed=0)["test"]]


def test_a_positive_without_a_box_is_kept_and_has_none(dataset):
    labels = dataset / "stage_2_train_labels.csv"
    lines = labels.read_text().splitlines()
    names = [line.split(",")[0] for line in lines[1:] if line.endswith(",1")]
    write_labels(dataset, *(line for line in lines[1:] if not line.startswith(names[0])), f"{names[0]},,,,,1")
    item = everything(load_rsna(dataset))[names[0]]
    assert (item["label"], item["boxes"]) == (1, [])


def test_an_empty_patient_id_falls_back_to_the_id_of_the_file(dataset):
    for path in sorted((dataset / "stage_2_train_images").iterdir()):
        ds = pydicom.dcmread(path)
        ds.PatientID = ""
        ds.save_as(path)
    assert all(item["group"] == name for name, item in everything(load_rsna(dataset)).items())


def test_a_byte_order_mark_and_further_columns_do_no_harm(dataset):
    labels = dataset / "stage_2_train_labels.csv"
    wanted = everything(load_rsna(dataset))
    lines = labels.read_text().splitlines()
    text = "\n".join([f"{lines[0]},note", *(f"{line},x" for line in lines[1:])])
    labels.write_text(text, encoding="utf-8-sig")
    assert everything(load_rsna(dataset)) == wanted


def test_items_load_through_monai_caches_and_loaders(phantom_dir):
    items = load_rsna(phantom_dir)["test"]
    transform = Compose([LoadMedicalImaged("image"), GroundTruthMaskd()])
    loader = DataLoader(CacheDataset(items, transform, progress=False), batch_size=len(items))
    (batch,) = loader
    assert batch["image"].shape == batch["mask"].shape == (len(items), 1, 64, 64)
    assert batch["has_mask"].tolist() == [bool(item["boxes"]) for item in items]
    for item, mask in zip(items, batch["mask"], strict=True):
        area = sum(width * height for _, _, width, height in item["boxes"])
        assert mask.sum() <= area
        assert mask.any() == bool(area)
        if len(item["boxes"]) == 1:
            assert mask.sum() == area


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        load_rsna(tmp_path / "nowhere")


def test_a_missing_folder_of_masks_is_named(phantom_dir):
    with pytest.raises(FileNotFoundError, match=r"outlines: no such folder; wanted .*outlines/"):
        load_rsna(phantom_dir, masks="outlines")


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="stage_2_train_images: no such folder"):
        load_rsna(tmp_path)


def test_a_missing_csv_is_named_with_what_is_there(dataset):
    (dataset / "stage_2_train_labels.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"stage_2_train_labels\.csv: no such file; found.*phantom\.json"):
        load_rsna(dataset)


def test_missing_columns_are_named_with_those_found(dataset):
    write_labels(dataset, "a,1,2,3", header="patientId,x,y,width")
    with pytest.raises(ValueError, match=r"column\(s\) height, Target missing; found: patientId, x, y, width"):
        load_rsna(dataset)


@pytest.mark.parametrize("text", ["", HEADER + "\n"])
def test_an_empty_csv_is_an_error(dataset, text):
    (dataset / "stage_2_train_labels.csv").write_text(text)
    with pytest.raises(ValueError, match=r"found: none|no rows"):
        load_rsna(dataset)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,,,,,2"], "line 2: Target must be 0 or 1, got '2'"),
        (["a,,,,,"], "line 2: Target must be 0 or 1, got ''"),
        ([",,,,,1"], "line 2: patientId is empty"),
        (["a,,,,,0", "a,1,2,3,4,1"], "line 3: Target 1 contradicts Target 0"),
        (["a,1,two,3,4,1"], "line 2: x, y, width, height must be numbers"),
        (["a,1,,3,4,1"], "line 2: x, y, width, height must be numbers"),
        (["a,1,nan,3,4,1"], "line 2: x, y, width, height must be numbers"),
        (["a,1,2,0,4,1"], "width and height above 0"),
        (["a,1,2,3,4,0"], "line 2: box .* with Target 0"),
        (["a,1"], "line 2"),
    ],
)
def test_a_bad_row_is_named_with_what_is_wrong(dataset, rows, message):
    with pytest.raises(ValueError, match=message):
        load_rsna(write_labels(dataset, *rows))


def test_missing_images_are_counted_and_the_first_are_named(dataset):
    rows = [f"gone{index},,,,,1" for index in range(5)]
    with pytest.raises(FileNotFoundError, match=r"5 of the 5 images .*gone0\.dcm, gone1\.dcm, gone2\.dcm, …"):
        load_rsna(write_labels(dataset, *rows))


def test_an_image_that_is_not_dicom_is_named(dataset):
    path = sorted((dataset / "stage_2_train_images").iterdir())[3]
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=f"{path.name}: cannot read the DICOM header"):
        load_rsna(dataset)


def test_labels_of_one_class_only_are_an_error(dataset):
    lines = (dataset / "stage_2_train_labels.csv").read_text().splitlines()[1:]
    with pytest.raises(ValueError, match="only label 1"):
        load_rsna(write_labels(dataset, *(line for line in lines if line.endswith(",1"))))


def test_a_truncated_image_is_found_by_its_size_before_any_image_is_loaded(phantom_dir, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(phantom_dir, data)
    broken = sorted((data / "stage_2_train_images").iterdir())[5]
    broken.write_bytes(broken.read_bytes()[:2500])
    with pytest.raises(ValueError, match=rf"{broken.name}: the file is truncated: 2500 bytes found, .* alone are \d+"):
        load_rsna(data)
