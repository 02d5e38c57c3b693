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

"""Tests of loading by format against Pillow, nibabel and pydicom."""

from __future__ import annotations

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Compose, Resized
from PIL import Image

from monai_advexplain.transforms import LoadMedicalImage, LoadMedicalImaged
from tests.hard_dicom import write_dicom, write_series

GREY = np.random.default_rng(0).integers(0, 256, (6, 10)).astype(np.uint8)


def save_png(path, array):
    Image.fromarray(array).save(path)
    return path


def save_nifti(path, array, affine=None):
    nibabel.save(nibabel.Nifti1Image(array, np.diag([2.0, 3.0, 4.0, 1.0]) if affine is None else affine), path)
    return path


def first_dicom(phantom_dir):
    return sorted((phantom_dir / "stage_2_train_images").iterdir())[0]


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.bmp"])
def test_grey_images_come_as_float_with_one_channel_and_columns_first(tmp_path, name):
    image = LoadMedicalImage()(save_png(tmp_path / name, GREY))
    assert isinstance(image, MetaTensor)
    assert image.dtype == torch.float32
    np.testing.assert_array_equal(image.numpy(), GREY.T[None])


@pytest.mark.parametrize("suffix", ["jpg", "jpeg"])
def test_jpeg_comes_as_pillow_decodes_it(tmp_path, suffix):
    path = save_png(tmp_path / f"a.{suffix}", GREY)
    np.testing.assert_array_equal(LoadMedicalImage()(path)[0].numpy(), np.asarray(Image.open(path)).T)


def test_16_bit_png_keeps_its_values(tmp_path):
    deep = np.random.default_rng(1).integers(0, 2**16, (6, 10)).astype(np.uint16)
    assert deep.max() > 60000
    np.testing.assert_array_equal(LoadMedicalImage()(save_png(tmp_path / "a.png", deep))[0].numpy(), deep.T)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1", "CMYK"])
def test_any_other_mode_becomes_grey_as_pillow_converts_it(tmp_path, mode):
    image = Image.fromarray(GREY).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path)
    wanted = np.asarray(Image.open(path).convert("L"))
    np.testing.assert_array_equal(LoadMedicalImage()(path).numpy(), wanted.T[None])


def test_colour_is_kept_when_three_channels_are_wanted(tmp_path):
    colour = np.random.default_rng(2).integers(0, 256, (6, 10, 3)).astype(np.uint8)
    image = LoadMedicalImage(channels=3)(save_png(tmp_path / "a.png", colour))
    np.testing.assert_array_equal(image.numpy(), colour.transpose(2, 1, 0))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_volumes_keep_values_and_affine(tmp_path, name):
    volume = np.random.default_rng(3).normal(size=(4, 5, 6)).astype(np.float32)
    image = LoadMedicalImage()(save_nifti(tmp_path / name, volume))
    np.testing.assert_array_equal(image.numpy(), volume[None])
    np.testing.assert_allclose(image.affine, np.diag([2.0, 3.0, 4.0, 1.0]))


def test_a_nifti_of_one_slice_is_a_2d_image(tmp_path):
    image = LoadMedicalImage()(save_nifti(tmp_path / "a.nii.gz", GREY.T.astype(np.float32)[..., None]))
    np.testing.assert_array_equal(image.numpy(), GREY.T[None])
    assert image.meta["spatial_shape"].tolist() == [10, 6]


def test_dicom_is_read_as_a_radiograph(phantom_dir):
    for path in sorted((phantom_dir / "stage_2_train_images").iterdir()):
        ds = pydicom.dcmread(path)
        if ds.PhotometricInterpretation == "MONOCHROME1" and ds.BitsStored == 8:
            np.testing.assert_array_equal(LoadMedicalImage()(path)[0].numpy(), 255.0 - ds.pixel_array.T)
            return
    pytest.fail("the phantom has no MONOCHROME1 file of 8 bits")


def test_formats_mix_in_a_batch_in_any_order(tmp_path, phantom_dir):
    paths = [
        first_dicom(phantom_dir),
        save_png(tmp_path / "a.png", GREY),
        save_nifti(tmp_path / "a.nii.gz", GREY.astype(np.float32)),
    ]
    transform = Compose([LoadMedicalImaged("image"), Resized("image", (8, 8))])
    for order in (paths, paths[::-1], paths[1:] + paths[:1]):
        dataset = Dataset([{"image": str(path)} for path in order], transform)
        batch = next(iter(DataLoader(dataset, batch_size=3)))
        assert batch["image"].shape == (3, 1, 8, 8)
        assert batch["image"].meta["filename_or_obj"] == [str(path) for path in order]


def test_later_spatial_transforms_can_be_inverted(phantom_dir):
    resize = Resized("image", (32, 48))
    item = LoadMedicalImaged("image")({"image": str(first_dicom(phantom_dir))})
    back = resize.inverse(resize(item))["image"]
    assert back.shape == item["image"].shape
    torch.testing.assert_close(back.affine, item["image"].affine)


def test_only_the_keys_asked_for_are_loaded_and_missing_ones_may_be_allowed(tmp_path):
    path = str(save_png(tmp_path / "a.png", GREY))
    item = LoadMedicalImaged(["image", "other"], allow_missing_keys=True)({"image": path, "kept": path})
    assert item["kept"] == path
    assert item["image"].shape == (1, 10, 6)
    with pytest.raises(KeyError, match="other"):
        LoadMedicalImaged(["image", "other"])({"image": path})


def test_a_wrong_number_of_channels_is_told_with_file_and_both_counts(tmp_path):
    path = save_nifti(tmp_path / "four.nii.gz", np.zeros((4, 5, 6, 2), dtype=np.float32))
    with pytest.raises(ValueError, match=r"four\.nii\.gz: 2 channels found.*wanted 1"):
        LoadMedicalImage()(path)
    with pytest.raises(ValueError, match=r"grey\.png: 1 channels found.*wanted 3"):
        LoadMedicalImage(channels=3)(save_png(tmp_path / "grey.png", GREY))


def test_the_fourth_axis_of_a_nifti_is_its_channels(tmp_path):
    values = np.random.default_rng(5).normal(size=(4, 5, 6, 2)).astype(np.float32)
    image = LoadMedicalImage(channels=2, spatial_dims=3)(save_nifti(tmp_path / "two.nii.gz", values))
    np.testing.assert_array_equal(image.numpy(), values.transpose(3, 0, 1, 2))
    np.testing.assert_allclose(image.affine, np.diag([2.0, 3.0, 4.0, 1.0]))
    flat = LoadMedicalImage(channels=2)(save_nifti(tmp_path / "flat.nii", values[:, :, :1]))
    np.testing.assert_array_equal(flat.numpy(), values[:, :, 0].transpose(2, 0, 1))


@pytest.mark.parametrize(("spatial_dims", "shape"), [(None, (1, 10, 6)), (2, (1, 10, 6)), (3, (1, 10, 6, 1))])
def test_a_nifti_of_one_slice_is_a_volume_only_when_one_is_wanted(tmp_path, spatial_dims, shape):
    path = save_nifti(tmp_path / "a.nii.gz", GREY.T.astype(np.float32)[..., None])
    image = LoadMedicalImaged("image", spatial_dims=spatial_dims)({"image": path})["image"]
    assert image.shape == shape
    assert image.meta["spatial_shape"].tolist() == list(shape[1:])


VOLUME = np.zeros((3, 4, 6), dtype=np.int16)


@pytest.mark.parametrize(
    ("write", "found"),
    [
        (lambda folder: save_png(folder / "a.png", GREY), 2),
        (lambda folder: write_dicom(folder / "a.dcm", VOLUME[0]), 2),
        (lambda folder: save_nifti(folder / "a.nii.gz", VOLUME), 3),
        (lambda folder: write_series(folder / "a", VOLUME)[0].parent, 3),
        (lambda folder: write_series(folder / "a", VOLUME), 3),
        (lambda folder: write_dicom(folder / "a.dcm", VOLUME), 3),
    ],
    ids=["PNG", "radiograph", "NIfTI", "DICOM folder", "DICOM list", "cine"],
)
def test_the_wrong_number_of_spatial_dimensions_is_told_with_what_was_found(tmp_path, write, found):
    path = write(tmp_path)
    assert LoadMedicalImage(spatial_dims=found)(path).ndim == 1 + found
    with pytest.raises(ValueError, match=rf"a\S*( and 2 more)?: {found} spatial dimensions found.*wanted {5 - found}"):
        LoadMedicalImage(spatial_dims=5 - found)(path)


def test_more_dimensions_than_three_are_refused_and_so_is_wanting_them(tmp_path):
    path = save_nifti(tmp_path / "five.nii.gz", np.zeros((4, 5, 6, 2, 3), dtype=np.float32))
    with pytest.raises(ValueError, match=r"five\.nii\.gz: 4 spatial dimensions found.*wanted 2 or 3"):
        LoadMedicalImage(channels=3)(path)
    with pytest.raises(ValueError, match=r"spatial_dims=4 found, wanted 2, 3 or None"):
        LoadMedicalImage(spatial_dims=4)


def test_a_series_is_named_by_its_folder_or_its_first_file(tmp_path):
    paths = write_series(tmp_path / "a", VOLUME)
    load = LoadMedicalImaged("image")
    assert load({"image": str(tmp_path / "a")})["image"].meta["filename_or_obj"] == str(tmp_path / "a")
    assert load({"image": [str(p) for p in paths]})["image"].meta["filename_or_obj"] == str(paths[0])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        LoadMedicalImaged("image")({"image": str(tmp_path / "nowhere.png")})


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.nii.gz", "a.nii", "a.dcm", "a.xyz"])
@pytest.mark.parametrize("content", [b"", b"this is no image"])
def test_an_unreadable_file_gives_one_error_that_names_it(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name) as info:
        LoadMedicalImage()(tmp_path / name)
    assert "\n" not in str(info.value)
    assert str(info.value).count(name) == 1


@pytest.mark.parametrize("name", ["a.png", "a.nii.gz", "a.dcm"])
def test_a_truncated_file_gives_an_error_that_names_it(tmp_path, phantom_dir, name):
    path = tmp_path / name
    if name == "a.png":
        save_png(path, np.random.default_rng(4).integers(0, 256, (64, 64)).astype(np.uint8))
    elif name == "a.nii.gz":
        save_nifti(path, np.random.default_rng(4).normal(size=(8, 8, 8)))
    else:
        path.write_bytes(first_dicom(phantom_dir).read_bytes())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=name):
        LoadMedicalImage()(path)
