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

"""Tests on the real data sets, skipped where they are missing."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from monai.data import CacheDataset, DataLoader, PydicomReader
from monai.transforms import Compose, LoadImage, Resized

from monai_advexplain.data import cut_patches, load_datalist, load_rsna, plant_lesions
from monai_advexplain.transforms import GroundTruthMaskd, LoadMedicalImage, LoadMedicalImaged


def folder_of(real_data, name):
    if not (real_data / name).is_dir():
        pytest.skip(f"no {name} in {real_data}")
    return real_data / name


@pytest.fixture(scope="module")
def chest_splits(real_data):
    return load_rsna(folder_of(real_data, "chest_xray"))


def test_chest_radiographs_split_by_patient_with_every_box_in_test(chest_splits):
    counts = {
        name: (len(items), sum(item["label"] for item in items), sum(bool(item["boxes"]) for item in items))
        for name, items in chest_splits.items()
    }
    assert counts == {"training": (700, 350, 0), "validation": (100, 50, 0), "test": (200, 100, 43)}
    groups = [{item["group"] for item in items} for items in chest_splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_inverted_chest_radiographs_look_like_the_others_once_read(chest_splits):
    load, differences = LoadMedicalImage(), {"MONOCHROME1": [], "MONOCHROME2": []}
    for item in chest_splits["test"]:
        ds = pydicom.dcmread(item["image"])
        image = load(item["image"])[0].numpy().T
        stored = ds.pixel_array.astype(float)
        inverted = ds.PhotometricInterpretation == "MONOCHROME1"
        np.testing.assert_array_equal(image, 255 - stored if inverted else stored)
        spine, corners = image[60:200, 118:138].mean(), image[:25, [*range(25), *range(231, 256)]].mean()
        differences[ds.PhotometricInterpretation].append(spine - corners)
    assert len(differences["MONOCHROME1"]) > 5
    assert all(np.mean(values) > 0 for values in differences.values())


def test_chest_boxes_become_masks_that_follow_the_image(chest_splits):
    items = [item for item in chest_splits["test"] if item["boxes"]] + chest_splits["validation"][:5]
    size = ["image", "mask"]
    transform = Compose([LoadMedicalImaged("image"), GroundTruthMaskd(), Resized(size, (128, 128), mode="area")])
    (batch,) = DataLoader(CacheDataset(items, transform, progress=False), batch_size=len(items))
    assert batch["has_mask"].tolist() == [True] * 43 + [False] * 5
    for item, mask in zip(items, batch["mask"], strict=True):
        area = sum(width * height for _, _, width, height in item["boxes"])
        assert mask.sum().item() * 4 == pytest.approx(area, rel=0.1)


def test_brain_slices_keep_their_sections_and_their_masks_fit(real_data):
    splits = load_datalist(folder_of(real_data, "brain_mri"))
    assert {name: (len(items), sum("mask" in item for item in items)) for name, items in splits.items()} == {
        "training": (1819, 484),
        "validation": (215, 56),
        "test": (353, 116),
    }
    transform = Compose([LoadMedicalImaged("image"), GroundTruthMaskd()])
    masked = [item for item in splits["test"] if "mask" in item][:20]
    for item in map(transform, masked):
        assert item["image"].shape == item["mask"].shape == (1, 224, 224)
        assert item["has_mask"]
        assert 0 < item["mask"].mean() < 0.3


@pytest.mark.filterwarnings("ignore:PydicomReader")
def test_an_mr_slice_reads_as_with_pydicom_reader(real_data):
    path = sorted(folder_of(real_data, "mr_dicom_series").iterdir())[5]
    image, wanted = LoadMedicalImage()(path), LoadImage(reader=PydicomReader(), ensure_channel_first=True)(path)
    torch.testing.assert_close(image.as_tensor(), wanted.as_tensor())
    in_plane = [0, 1, 3]  # the third axis is the slice's normal here, and z there
    torch.testing.assert_close(image.affine[:, in_plane], wanted.affine[:, in_plane])


def test_a_brain_volume_and_its_lesions_share_one_grid(real_data):
    folder = folder_of(real_data, "ms_lesions") / "patient07"
    item = {"image": str(folder / "flair.nii.gz"), "mask": str(folder / "lesions.nii.gz")}
    item = Compose([LoadMedicalImaged("image"), GroundTruthMaskd()])(item)
    assert item["image"].shape == item["mask"].shape == (1, 182, 218, 182)
    assert item["mask"].sum() == 1300


def test_cropped_hippocampus_volumes_load_with_their_affine(real_data):
    folder = folder_of(real_data, "hippocampus_mri")
    entry = json.loads((folder / "dataset.json").read_text())["training"][0]
    image = LoadMedicalImage()(folder / entry["image"])
    wanted = nibabel.load(folder / entry["image"])
    np.testing.assert_allclose(image.affine, wanted.affine)
    np.testing.assert_allclose(image[0].numpy(), wanted.get_fdata(), rtol=1e-6)


def test_radiographs_cached_by_several_threads_equal_those_cached_by_one(real_data):
    items = [{"image": item["image"]} for item in load_rsna(real_data / "chest_xray")["validation"]]
    load = LoadMedicalImaged("image")
    one, several = (CacheDataset(items, load, num_workers=n, progress=False) for n in (1, 4))
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(one, several, strict=True))


def test_lesions_planted_into_hippocampus_volumes_are_visible_whatever_the_unit_of_the_case(real_data, tmp_path):
    folder = plant_lesions(folder_of(real_data, "hippocampus_mri"), tmp_path / "planted", versions=1, progress=False)
    splits = load_datalist(folder)
    assert [len({item["group"] for item in splits[name]}) for name in ("training", "validation", "test")] == [
        90,
        14,
        26,
    ]
    lesioned = [item for items in splits.values() for item in items if item["label"]]
    assert len(lesioned) == 65
    changes = []
    for item in lesioned:
        image, mask = (nibabel.load(item[key]) for key in ("image", "mask"))
        np.testing.assert_allclose(image.affine, mask.affine)
        marked = mask.get_fdata() > 0
        assert 0.0005 < marked.mean() < 0.1
        source = nibabel.load(real_data / "hippocampus_mri" / "imagesTr" / f"{item['group']}.nii.gz").get_fdata()
        change = image.get_fdata() - source
        spread = np.subtract(*np.percentile(source, (95, 5)))
        changes.append(np.abs(change[marked]).mean() / spread)
    assert min(changes) > 0.1
    assert np.median(changes) > 0.4


@pytest.mark.parametrize("held_out", ["patient07", "patient19"])
def test_lesion_patches_leave_one_patient_out(real_data, tmp_path, held_out):
    folder = cut_patches(folder_of(real_data, "ms_lesions"), tmp_path / "out", held_out, count=20, progress=False)
    splits = load_datalist(folder)
    assert {item["group"] for item in splits["test"]} == {held_out}
    assert not any(item["group"].startswith(held_out) for item in splits["training"] + splits["validation"])
    for item in splits["test"]:
        assert nibabel.load(item["image"]).shape == (32, 32, 32)
        assert ("mask" in item) == bool(item["label"])
