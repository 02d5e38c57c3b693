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

"""Tests of the DICOM reader against pydicom and NumPy."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import torch
from monai.data import DataLoader, Dataset, PydicomReader
from monai.transforms import LoadImage, LoadImaged
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from monai_advexplain.transforms import RadiographReader


def write_dicom(path, stored, bits, inverted=False, **tags):
    """Write stored values, (rows, columns), as a CR image."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = ComputedRadiographyImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    ds.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    ds.SamplesPerPixel, (ds.Rows, ds.Columns) = 1, stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * stored.itemsize, bits, bits - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    for name, value in tags.items():
        setattr(ds, name, value)
    ds.PixelData = stored.tobytes()
    ds["PixelData"].VR = "OB" if stored.itemsize == 1 else "OW"
    ds.save_as(path, enforce_file_format=True)
    return path


def load(path):
    return LoadImage(reader=RadiographReader())(path)


@pytest.fixture
def stored():
    return np.random.default_rng(0).integers(0, 256, (6, 10)).astype(np.uint8)


def test_monochrome2_of_8_bits_reads_as_stored_with_columns_first(tmp_path, stored):
    image = load(write_dicom(tmp_path / "a.dcm", stored, 8))
    assert image.shape == (10, 6)
    np.testing.assert_array_equal(image.numpy(), stored.T)


def test_monochrome1_of_8_bits_is_inverted_in_the_range_of_stored_values(tmp_path, stored):
    image = load(write_dicom(tmp_path / "a.dcm", stored, 8, inverted=True))
    np.testing.assert_array_equal(image.numpy(), 255.0 - stored.T)


@pytest.mark.parametrize("inverted", [False, True])
def test_signed_16_bits_are_rescaled_before_the_inversion(tmp_path, inverted):
    values = np.random.default_rng(1).integers(-(2**15), 2**15, (6, 10)).astype(np.int16)
    tags = {"RescaleSlope": 0.5, "RescaleIntercept": 100.0}
    image = load(write_dicom(tmp_path / "a.dcm", values, 16, inverted, **tags))
    dense = (-1 - values.astype(np.float64)) if inverted else values.astype(np.float64)
    np.testing.assert_allclose(image.numpy(), (dense * 0.5 + 100.0).T, rtol=1e-6)


def test_twelve_bits_in_sixteen_are_inverted_within_twelve_bits(tmp_path):
    values = np.random.default_rng(2).integers(0, 4096, (6, 10)).astype(np.uint16)
    image = load(write_dicom(tmp_path / "a.dcm", values, 12, inverted=True))
    np.testing.assert_array_equal(image.numpy(), 4095.0 - values.T.astype(np.float64))


def test_plane_is_that_of_pydicom_reader_when_the_header_has_a_position_and_the_third_axis_its_normal(tmp_path, stored):
    tags = {
        "PixelSpacing": [0.5, 2.0],
        "ImagePositionPatient": [1.0, 2.0, 3.0],
        "ImageOrientationPatient": [0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
    }
    path = write_dicom(tmp_path / "a.dcm", stored, 8, **tags)
    wanted = LoadImage(reader=PydicomReader())(path).affine
    assert not torch.equal(wanted, torch.eye(4, dtype=wanted.dtype))
    found = load(path).affine
    torch.testing.assert_close(found[:, [0, 1, 3]], wanted[:, [0, 1, 3]])
    torch.testing.assert_close(found[:3, 2], torch.linalg.cross(found[:3, 0] / 2.0, found[:3, 1] / 0.5))


@pytest.mark.parametrize("tag", ["PixelSpacing", "ImagerPixelSpacing"])
@pytest.mark.filterwarnings("error:PydicomReader. ImageOrientationPatient")
def test_affine_of_a_radiograph_without_position_has_its_spacing_and_no_rotation(tmp_path, stored, tag):
    image = load(write_dicom(tmp_path / "a.dcm", stored, 8, **{tag: [0.25, 0.75]}))  # rows 0.25 mm apart, columns 0.75
    np.testing.assert_allclose(image.affine, np.diag([-0.75, -0.25, 1.0, 1.0]))


def test_spacing_longer_than_the_standard_allows_is_kept(tmp_path, stored, monkeypatch):
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE)
    path = write_dicom(tmp_path / "a.dcm", stored, 8)
    ds = pydicom.dcmread(path)
    ds.add_new("PixelSpacing", "DS", "1.7159999999999997\\1.7159999999999997")
    ds.save_as(path)
    np.testing.assert_allclose(np.abs(np.diag(load(path).affine)[:2]), 1.716)


def test_images_of_mixed_kind_collate_to_one_batch(tmp_path, stored):
    deep = stored.astype(np.uint16)
    paths = [
        write_dicom(tmp_path / "a.dcm", stored, 8),
        write_dicom(tmp_path / "b.dcm", stored, 8, inverted=True, PixelSpacing=[0.5, 0.5]),
        write_dicom(tmp_path / "c.dcm", deep, 12, RescaleSlope=2, RescaleIntercept=-1, ImagerPixelSpacing=[1, 1]),
        write_dicom(tmp_path / "d.dcm", deep.astype(np.int16), 16, ImagePositionPatient=[0, 0, 1]),
    ]
    transform = LoadImaged("image", reader=RadiographReader(), ensure_channel_first=True)
    batch = next(iter(DataLoader(Dataset([{"image": path} for path in paths], transform), batch_size=4)))
    assert batch["image"].shape == (4, 1, 10, 6)
    assert batch["image"].meta["filename_or_obj"] == [str(path) for path in paths]
    np.testing.assert_array_equal(batch["image"][2, 0].numpy(), deep.T * 2.0 - 1.0)


@pytest.mark.parametrize("name", ["a.dcm", "a.DCM", "a.dicom", "no_suffix"])
def test_dicom_content_is_recognised_under_any_name(tmp_path, stored, name):
    assert RadiographReader().verify_suffix([write_dicom(tmp_path / name, stored, 8)])


@pytest.mark.parametrize("name", ["a.png", "a.nii.gz", "missing"])
def test_other_files_are_left_to_other_readers(tmp_path, name):
    if name != "missing":
        (tmp_path / name).write_bytes(b"x" * 200)
    assert not RadiographReader().verify_suffix(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"not an image", "not a DICOM file"), (b"x" * 500, "not a DICOM file")]
)
def test_a_file_that_is_not_dicom_is_named_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "broken.dcm"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"broken.dcm.*{reason}"):
        RadiographReader().read(path)


@pytest.mark.parametrize("cut", [1, 30, 60, 80, 400])
def test_a_truncated_file_is_named_with_what_was_wanted(tmp_path, stored, cut):
    path = write_dicom(tmp_path / "cut.dcm", stored, 8)
    path.write_bytes(path.read_bytes()[:-cut])
    reader = RadiographReader()
    with pytest.raises(ValueError, match=r"cut\.dcm.*(wanted|header)"):
        reader.get_data(reader.read(path))


def test_pixel_data_shorter_than_the_header_says_are_told_with_both_lengths(tmp_path, stored):
    path = write_dicom(tmp_path / "short.dcm", stored, 8)
    ds = pydicom.dcmread(path)
    ds.Rows = 8
    ds.save_as(path)
    reader = RadiographReader()
    with pytest.raises(ValueError, match=r"short\.dcm.*8 x 10 pixels of 8 bits wanted.*60 vs 80"):
        reader.get_data(reader.read(path))


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.dcm"):
        RadiographReader().read(tmp_path / "nowhere.dcm")
