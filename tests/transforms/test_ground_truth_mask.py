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

"""Tests of boxes and mask files on the image's grid against plain loops and scikit-image."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, RandAffined, Resized
from PIL import Image

from monai_advexplain.transforms import GroundTruthMaskd, LoadMedicalImaged, boxes_to_mask


def by_loops(boxes, spatial_size):
    mask = np.zeros(spatial_size, dtype=np.float32)
    for i in range(spatial_size[0]):
        for j in range(spatial_size[1]):
            for x, y, width, height in boxes:
                if x <= i + 0.5 < x + width and y <= j + 0.5 < y + height:
                    mask[i, j] = 1
    return mask


@pytest.fixture
def image_file(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30)).astype(np.uint8)).save(path)
    return str(path)


def prepared(item, **kwargs):
    return Compose([LoadMedicalImaged("image"), GroundTruthMaskd(**kwargs)])(item)


def test_boxes_mark_the_pixels_whose_centre_they_hold():
    rng = np.random.default_rng(1)
    for _ in range(20):
        boxes = np.concatenate([rng.uniform(-3, 20, (3, 2)), rng.uniform(3.5, 12, (3, 2))], axis=1)
        np.testing.assert_array_equal(boxes_to_mask(boxes.tolist(), (21, 24)), by_loops(boxes, (21, 24)))


def test_a_box_in_whole_pixels_marks_exactly_its_width_and_height_along_x_and_y():
    mask = boxes_to_mask([(2, 5, 3, 1)], (10, 8))
    assert np.argwhere(mask).tolist() == [[2, 5], [3, 5], [4, 5]]


@pytest.mark.parametrize("box", [(-4, 0, 4, 5), (10, 0, 2, 2), (0, 8, 1, 1), (0, -3, 2, 2.5)])
def test_a_box_wholly_outside_the_image_is_an_error(box):
    with pytest.raises(ValueError, match=r"wholly outside the image of size \(10, 8\)"):
        boxes_to_mask([box], (10, 8))


@pytest.mark.parametrize("box", [(1, 2, 3), (1, 2, 0, 3), (1, 2, 3, -1), (1, float("nan"), 3, 3)])
def test_what_is_no_box_is_an_error(box):
    with pytest.raises(ValueError, match="x, y, width, height"):
        boxes_to_mask([box], (10, 8))


def test_boxes_of_a_volume_are_an_error():
    with pytest.raises(ValueError, match="2D"):
        boxes_to_mask([(1, 1, 1, 1)], (4, 4, 4))


def test_boxes_become_a_mask_with_the_affine_of_the_image(image_file):
    boxes = [[1.0, 2.0, 5.5, 6.0], [20, 3, 4, 4]]
    item = prepared({"image": image_file, "boxes": boxes})
    assert isinstance(item["mask"], MetaTensor)
    assert item["mask"].dtype == torch.float32
    assert item["has_mask"] is True
    assert "boxes" not in item
    np.testing.assert_array_equal(item["mask"].numpy(), by_loops(boxes, (30, 20))[None])
    torch.testing.assert_close(item["mask"].affine, item["image"].affine)


@pytest.mark.parametrize("extra", [{}, {"boxes": []}, {"mask": None}])
def test_an_item_without_ground_truth_gets_zeros(image_file, extra):
    item = prepared({"image": image_file, **extra})
    assert item["mask"].shape == (1, 30, 20)
    assert not item["mask"].any()
    assert item["has_mask"] is False


@pytest.mark.parametrize("name", ["mask.png", "mask.jpg"])
def test_a_mask_file_counts_where_it_exceeds_half_of_its_maximum(tmp_path, image_file, name):
    grey = np.random.default_rng(2).integers(0, 201, (20, 30)).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / name)
    stored = np.asarray(Image.open(tmp_path / name)).astype(float)
    item = prepared({"image": image_file, "mask": str(tmp_path / name)})
    np.testing.assert_array_equal(item["mask"][0].numpy(), (stored > stored.max() / 2).T)
    assert item["has_mask"] is True
    assert item["mask"].meta["filename_or_obj"] == image_file


def test_an_empty_mask_file_is_no_ground_truth(tmp_path, image_file):
    Image.fromarray(np.zeros((20, 30), dtype=np.uint8)).save(tmp_path / "mask.png")
    item = prepared({"image": image_file, "mask": str(tmp_path / "mask.png")})
    assert item["has_mask"] is False


def test_masks_of_volumes_are_read_too(tmp_path):
    labels = np.random.default_rng(3).integers(0, 2, (4, 5, 6)).astype(np.uint8)
    for name, array in (("image.nii.gz", labels * 7.0), ("mask.nii.gz", labels)):
        nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 2.0, 3.0, 1.0])), tmp_path / name)
    item = prepared({"image": str(tmp_path / "image.nii.gz"), "mask": str(tmp_path / "mask.nii.gz")})
    np.testing.assert_array_equal(item["mask"].numpy(), labels[None])


def test_a_mask_file_wins_over_boxes(tmp_path, image_file):
    Image.fromarray(np.eye(20, 30, dtype=np.uint8) * 255).save(tmp_path / "mask.png")
    item = prepared({"image": image_file, "mask": str(tmp_path / "mask.png"), "boxes": [[0, 0, 30, 20]]})
    np.testing.assert_array_equal(item["mask"][0].numpy(), np.eye(30, 20))


def test_later_transforms_move_image_and_mask_alike(image_file):
    item = prepared({"image": image_file, "boxes": [[3, 4, 10, 8]]})
    item["image"] = item["mask"].clone()
    moved = Compose(
        [
            Resized(["image", "mask"], (60, 40), mode="nearest"),
            RandAffined(["image", "mask"], prob=1.0, rotate_range=0.5, translate_range=5, mode="nearest"),
        ]
    ).set_random_state(0)(item)
    assert 0 < moved["mask"].sum() < moved["mask"].numel()
    torch.testing.assert_close(moved["image"].as_tensor(), moved["mask"].as_tensor())
    torch.testing.assert_close(moved["image"].affine, moved["mask"].affine)


def test_the_given_item_and_the_image_stay_as_they_are(image_file):
    item = LoadMedicalImaged("image")({"image": image_file, "boxes": [[3, 4, 10, 8]]})
    before = item["image"].clone()
    made = GroundTruthMaskd()(item)
    made["mask"].meta["changed"] = True
    assert item["boxes"] == [[3, 4, 10, 8]]
    assert "changed" not in item["image"].meta
    torch.testing.assert_close(item["image"], before)


def test_keys_can_be_named(image_file):
    transform = GroundTruthMaskd(image_key="x", mask_key="m", boxes_key="b", has_mask_key="h")
    item = transform({"x": torch.zeros(1, 6, 5), "b": [[0, 0, 2, 2]]})
    assert set(item) == {"x", "m", "h"}
    assert item["m"].sum() == 4


def test_a_mask_of_another_size_is_told_with_both_files_and_sizes(tmp_path, image_file):
    Image.fromarray(np.ones((30, 20), dtype=np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(ValueError, match=r"mask\.png has size \(20, 30\).*image\.png has \(30, 20\)"):
        GroundTruthMaskd()({**LoadMedicalImaged("image")({"image": image_file}), "mask": str(tmp_path / "mask.png")})


def test_a_missing_mask_file_is_named(tmp_path, image_file):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        GroundTruthMaskd()({"image": torch.zeros(1, 6, 5), "mask": str(tmp_path / "nowhere.png")})


def test_a_box_outside_names_the_image(image_file):
    with pytest.raises(ValueError, match=r"image\.png: box .* wholly outside"):
        GroundTruthMaskd()({**LoadMedicalImaged("image")({"image": image_file}), "boxes": [[100, 1, 2, 2]]})
