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

"""Patches with and without lesion, one patient left out."""

from __future__ import annotations

from collections import Counter

import nibabel
import numpy as np
import pytest

from monai_advexplain.__main__ import main
from monai_advexplain.data import cut_patches, load_datalist

AFFINE = np.array([[2.0, 0, 0, -30], [0, 1.0, 0, -40], [0, 0, 1.0, 5], [0, 0, 0, 1]])
SHAPE = (40, 60, 40)


@pytest.fixture(scope="module")
def lesion_dir(tmp_path_factory):
    """Two patients: a brain in air whose every voxel has its own value, lesions on one side."""
    folder = tmp_path_factory.mktemp("lesions")
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE) + 1
    brain = np.zeros(SHAPE, dtype=bool)
    brain[3:37, 3:57, 3:37] = True
    for name in ("first", "second"):
        (folder / name).mkdir()
        mask = np.zeros(SHAPE, dtype=np.uint8)
        mask[8:12, 5:50:6, 8:12] = 1
        nibabel.save(nibabel.Nifti1Image(values * brain, AFFINE), folder / name / "flair.nii.gz")
        nibabel.save(nibabel.Nifti1Image(mask, AFFINE), folder / name / "lesions.nii.gz")
    return folder


@pytest.fixture(scope="module")
def patch_dir(lesion_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "patches"
    return cut_patches(lesion_dir, out, "second", size=12, count=20, progress=False)


def test_the_patient_held_out_is_the_test_section_and_in_no_other(patch_dir):
    splits = load_datalist(patch_dir)
    counts = {name: Counter(item["label"] for item in items) for name, items in splits.items()}
    assert counts == {"training": {0: 10, 1: 10}, "validation": {0: 2, 1: 2}, "test": {0: 10, 1: 10}}
    assert {item["group"] for item in splits["test"]} == {"second"}
    assert all(item["group"].startswith("first") for name in ("training", "validation") for item in splits[name])


def test_patches_are_what_the_volume_holds_where_their_affine_says_and_labels_are_right(lesion_dir, patch_dir):
    for section, items in load_datalist(patch_dir).items():
        for item in items:
            patient = item["group"].split()[0]
            volume, lesions = (
                nibabel.load(lesion_dir / patient / f"{name}.nii.gz").get_fdata() for name in ("flair", "lesions")
            )
            patch = nibabel.load(item["image"])
            start = np.rint(np.linalg.solve(AFFINE, patch.affine)[:3, 3]).astype(int)
            place = tuple(slice(s, s + 12) for s in start)
            np.testing.assert_array_equal(patch.get_fdata(), volume[place])
            assert (volume[place] > 0).mean() >= 0.6
            assert (lesions[place].sum() >= 20) == item["label"], section
            if item["label"]:
                np.testing.assert_array_equal(nibabel.load(item["mask"]).get_fdata(), lesions[place])
            else:
                assert not lesions[place].any()


def test_training_and_validation_patches_share_no_voxel(patch_dir):
    splits = load_datalist(patch_dir)
    values = {
        name: np.unique([nibabel.load(item["image"]).get_fdata() for item in splits[name]])
        for name in ("training", "validation")
    }
    assert np.intersect1d(values["training"], values["validation"]).tolist() in ([], [0.0])  # 0 is air


def test_the_command_writes_patches_and_says_what_is_wrong_in_one_line(lesion_dir, tmp_path, capsys):
    arguments = ["patches", str(lesion_dir), str(tmp_path / "out"), "--size", "12", "--count", "6", "--held-out"]
    assert main([*arguments, "third"]) == 2
    assert "held_out='third' is none of the patients" in capsys.readouterr().err
    assert main([*arguments, "first"]) == 0
    assert "14 images in" in capsys.readouterr().out
    assert main(["patches", str(lesion_dir), str(tmp_path / "other"), "--size", "36", "--held-out", "first"]) == 2
    assert "found no patch of 36 voxels" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    assert main(["patches", str(tmp_path), str(tmp_path / "other"), "--held-out", "first"]) == 2
    assert "wanted at least 2 folders" in capsys.readouterr().err
