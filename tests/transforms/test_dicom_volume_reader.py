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

"""Volumes of hard DICOM files: every voxel has the value and place that its own file gives it, or one clear line."""

from __future__ import annotations

import nibabel
import numpy as np
import pydicom
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from monai.transforms import SaveImage
from pydicom.data import get_testdata_files
from pydicom.uid import (
    MPEG2MPML,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    NuclearMedicineImageStorage,
    RLELossless,
    XRayAngiographicImageStorage,
    generate_uid,
)

from monai_advexplain.transforms import LoadMedicalImage
from tests.hard_dicom import COSINES, plane, write_dicom, write_series

RNG = np.random.default_rng(0)
SIGNED = RNG.integers(-(2**15), 2**15, (3, 4, 6)).astype(np.int16)
TWELVE = RNG.integers(0, 4096, (3, 4, 6)).astype(np.uint16)


def load(path, **kwargs):
    return LoadMedicalImage(**kwargs)(path)


def assert_every_voxel_has_the_value_and_place_of_its_file(image, paths, dense=lambda stored: stored):
    """By the formula of the standard (C.7.6.2.1.1), a file at a time, and without a word about order."""
    seen = np.zeros(image.shape[1:], dtype=int)
    for path in paths:
        ds = pydicom.dcmread(path)
        values = dense(ds.pixel_array.astype(float)) * float(ds.get("RescaleSlope", 1)) + float(
            ds.get("RescaleIntercept", 0)
        )
        rows, columns = np.indices(values.shape)
        along_x, along_y = np.reshape(ds.ImageOrientationPatient, (2, 3))
        rows_apart, columns_apart = ds.PixelSpacing
        lps = np.multiply.outer(columns * columns_apart, along_x) + np.multiply.outer(rows * rows_apart, along_y)
        ras = (lps + ds.ImagePositionPatient) * [-1, -1, 1]
        voxels = nibabel.affines.apply_affine(np.linalg.inv(image.affine.numpy()), ras)
        index = tuple(np.moveaxis(np.rint(voxels).astype(int), -1, 0))
        off = nibabel.affines.apply_affine(image.affine.numpy(), np.moveaxis(np.array(index), 0, -1)) - ras
        assert np.linalg.norm(off, axis=-1).max() < 0.01
        np.testing.assert_allclose(image[0].numpy()[index], values, rtol=1e-6, atol=1e-3)
        seen[index] += 1
    assert (seen == 1).all()


def test_oblique_signed_slices_under_uneven_names_in_any_order(tmp_path):
    paths = write_series(tmp_path / "series", SIGNED, SliceThickness=1, SpacingBetweenSlices=7)
    for given in (tmp_path / "series", paths, paths[::-1]):
        image = load(given)
        assert image.shape == (1, 6, 4, 3)
        assert_every_voxel_has_the_value_and_place_of_its_file(image, paths)


@pytest.mark.parametrize("stored", [SIGNED, TWELVE])
@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        RLELossless,
        pytest.param(JPEGLSLossless, marks=pytest.mark.filterwarnings("ignore:The bits allocated")),
        JPEG2000Lossless,
    ],
)
def test_every_transfer_syntax_gives_the_stored_values(tmp_path, syntax, stored):
    stored = np.tile(stored, (1, 8, 8))  # the encoder of JPEG 2000 wants 32 pixels
    paths = write_series(tmp_path, stored, bits=16 if stored.dtype.kind == "i" else 12, syntax=syntax)
    assert pydicom.dcmread(paths[0]).file_meta.TransferSyntaxUID == syntax
    image = load(tmp_path)
    np.testing.assert_array_equal(image[0].numpy(), stored.transpose(2, 1, 0))
    assert_every_voxel_has_the_value_and_place_of_its_file(image, paths)


def test_one_slice_of_other_encoders_is_the_same_in_every_syntax():
    paths = [p for p in get_testdata_files("MR_small*.dcm") if "padded" not in p]
    syntaxes = {pydicom.dcmread(p).file_meta.TransferSyntaxUID for p in paths}
    assert {ExplicitVRBigEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless} < syntaxes
    images = [load(p) for p in paths]
    assert all((image == images[0]).all() and (image.affine == images[0].affine).all() for image in images)


def test_pixels_that_nothing_decodes_give_one_line_with_the_file_and_the_syntax(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", SIGNED[0], syntax=RLELossless)
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = MPEG2MPML
    ds.save_as(path)
    with pytest.raises(ValueError, match=r"film\.dcm: cannot decode the pixel data, 4 x 6 .*MPEG2") as error:
        load(path)
    assert "\n" not in str(error.value)


def test_every_slice_has_its_own_rescale(tmp_path):
    paths = write_series(
        tmp_path, TWELVE, bits=12, each_RescaleSlope=[0.5, 2, -1], each_RescaleIntercept=[-1024, 0.25, 3]
    )
    assert_every_voxel_has_the_value_and_place_of_its_file(load(tmp_path), paths)


def test_monochrome1_slices_are_inverted_whatever_the_presentation_shape(tmp_path):
    tags = {"PhotometricInterpretation": "MONOCHROME1", "each_PresentationLUTShape": ["INVERSE", "IDENTITY", None]}
    paths = write_series(tmp_path, TWELVE, bits=12, RescaleSlope=2, RescaleIntercept=-7, **tags)
    assert_every_voxel_has_the_value_and_place_of_its_file(load(tmp_path), paths, dense=lambda stored: 4095 - stored)


@pytest.mark.parametrize(("signed", "wanted"), [(True, -1), (False, 4095)])
@pytest.mark.parametrize("unused_bits", [0x0000, 0xF000])
def test_unused_bits_of_12_in_16_do_not_matter(tmp_path, signed, wanted, unused_bits):
    stored = np.array([[[1, 2047, 0x0FFF | unused_bits]]] * 2, dtype=np.uint16)
    for path in write_series(tmp_path, stored, bits=12):
        ds = pydicom.dcmread(path)
        ds.PixelRepresentation = int(signed)
        ds.save_as(path)
    np.testing.assert_array_equal(load(tmp_path)[0, :, 0, 0].numpy(), [1, 2047, wanted])


def test_a_gantry_tilt_keeps_every_voxel_in_its_place_and_so_does_its_nifti(tmp_path):
    paths = [
        write_dicom(tmp_path / f"{i}", values, **plane(2.0 * i, shift=(0.0, -0.7 * i, 0.35 * i)))
        for i, values in enumerate(SIGNED)
    ]
    image = load(paths)
    assert_every_voxel_has_the_value_and_place_of_its_file(image, paths)
    SaveImage(output_dir=tmp_path, output_ext=".nii.gz", resample=False, print_log=False)(
        image, filename=str(tmp_path / "tilted")
    )
    saved = nibabel.load(tmp_path / "tilted.nii.gz")
    np.testing.assert_allclose(saved.affine, image.affine, atol=1e-4)


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (plane(12.5), r"are 7\.500 mm apart, the other slices 2\.500 mm"),
        (plane(5), "lie in one plane"),
        (plane(7.5, shape=(5, 6)), r"odd\.dcm: 5 x 6 pixels \(rows x columns\) found, 4 x 6 wanted"),
        (plane(7.5, SeriesInstanceUID="1.9"), r"2 values of SeriesInstanceUID found, one wanted"),
        (plane(7.5, ImageOrientationPatient=[1, 0, 0, 0, 1, 0]), r"ImageOrientationPatient .* wanted"),
        (plane(7.5, ImagePositionPatient=None), r"odd\.dcm: no ImagePositionPatient found"),
    ],
)
def test_a_series_that_is_no_volume_is_refused_in_one_line_that_names_it(tmp_path, odd, message):
    paths = write_series(tmp_path / "series", SIGNED)
    odd = dict(odd)
    paths.append(write_dicom(tmp_path / "series" / "odd.dcm", np.zeros(odd.pop("shape", (4, 6)), np.int16), **odd))
    for given in (tmp_path / "series", paths):
        with pytest.raises(ValueError, match=message) as error:
            LoadMedicalImage()(given)
        assert str(tmp_path / "series") in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "the file is empty"), (b"this is text", "not a DICOM file"), (b"x" * 200, "not a DICOM")],
)
def test_a_file_named_dcm_that_is_none_is_named_and_not_passed_over(tmp_path, content, reason):
    write_series(tmp_path, SIGNED)
    (tmp_path / "broken.dcm").write_bytes(content)
    with pytest.raises(ValueError, match=rf"broken\.dcm: {reason}"):
        load(tmp_path)


def test_a_slice_that_breaks_off_is_named(tmp_path):
    paths = write_series(tmp_path, SIGNED)
    paths[1].write_bytes(paths[1].read_bytes()[:-10])
    with pytest.raises(ValueError, match=rf"{paths[1].name}: cannot .*(decode|read)"):
        load(tmp_path)


def test_other_files_beside_a_series_do_not_matter_but_a_folder_without_dicom_does(tmp_path):
    paths = write_series(tmp_path / "series", SIGNED)
    write_dicom(tmp_path / "series" / "DICOMDIR", SIGNED[0], SOPClassUID=MediaStorageDirectoryStorage)
    for name in ("notes.txt", "README", ".hidden.dcm"):
        (tmp_path / "series" / name).write_text("a text")
    assert_every_voxel_has_the_value_and_place_of_its_file(load(tmp_path / "series"), paths)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: no DICOM image in the folder"):
        load(tmp_path / "empty")


CT = dict.fromkeys(("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"), "") | {
    **{"PatientBirthDate": "", "PatientSex": "", "PatientPosition": "HFS", "PositionReferenceIndicator": ""},
    **{"Modality": "CT", "Manufacturer": "", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "KVP": 120},
    **{"SeriesNumber": 1, "InstanceNumber": 1, "SliceThickness": 9},
}


@pytest.fixture
def ct_files(tmp_path):
    return write_series(
        tmp_path / "ct", TWELVE, bits=12, each_RescaleSlope=[1, 2, 3], each_RescaleIntercept=[-5, 0, 5], **CT
    )


def to_enhanced(paths):
    """One file whose frames are those of ``paths``, in their order."""
    datasets = [pydicom.dcmread(path) for path in paths]
    for ds in datasets:
        ds.SOPInstanceUID = generate_uid()
    enhanced = LegacyConvertedEnhancedCTImage(datasets, "1.5", 2, "1.6", 1, include_dimension_index=False)
    path = paths[0].parent.parent / "enhanced.dcm"
    enhanced.save_as(path, enforce_file_format=True)
    return path


def test_frames_of_an_enhanced_file_lie_where_their_functional_groups_say(ct_files):
    image = load(to_enhanced([ct_files[i] for i in (1, 2, 0)]))
    assert image.shape == (1, 6, 4, 3)
    assert_every_voxel_has_the_value_and_place_of_its_file(image, ct_files)


def test_an_enhanced_file_of_one_frame_lies_where_its_functional_groups_say(ct_files):
    image, wanted = load(to_enhanced(ct_files[1:2])), load(ct_files[1])
    assert image.shape == (1, 6, 4)
    np.testing.assert_allclose(image.affine, wanted.affine)
    np.testing.assert_array_equal(image, wanted)


def test_frames_of_an_enhanced_file_in_one_plane_are_named(ct_files):
    with pytest.raises(ValueError, match=r"\(frame [14]\) and .*\(frame [14]\) lie in one plane"):
        load(to_enhanced([*ct_files, ct_files[0]]))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_a_cine_keeps_all_its_frames_in_order(tmp_path, syntax):
    tags = {"SOPClassUID": XRayAngiographicImageStorage, "FrameOfReferenceUID": None, "ImagerPixelSpacing": [0.2, 0.3]}
    path = write_dicom(tmp_path / "cine.dcm", TWELVE, bits=12, syntax=syntax, FrameTime=33, **tags)
    image = load(path)
    np.testing.assert_array_equal(image[0].numpy(), TWELVE.transpose(2, 1, 0))
    np.testing.assert_allclose(image.affine, np.diag([-0.3, -0.2, 1, 1]))


@pytest.mark.parametrize("place", ["top level", "detector"])
def test_frames_that_share_one_position_are_no_volume(tmp_path, place):
    tags = plane()
    if place == "detector":
        where = pydicom.Dataset()
        where.ImagePositionPatient, where.ImageOrientationPatient = tags.pop("ImagePositionPatient"), COSINES
        del tags["ImageOrientationPatient"]
        tags["DetectorInformationSequence"] = [where]
    path = write_dicom(tmp_path / "nm.dcm", TWELVE, SOPClassUID=NuclearMedicineImageStorage, **tags)
    with pytest.raises(ValueError, match=r"nm\.dcm \(frame \d\) and .*lie in one plane"):
        load(path)


@pytest.mark.parametrize("inverted", [False, True])
def test_a_window_is_applied_only_when_asked(tmp_path, inverted):
    stored = np.array([[0, 1000, 1500, 2000, 4095]], dtype=np.uint16)
    tags = {"PhotometricInterpretation": "MONOCHROME1"} if inverted else {}
    path = write_dicom(
        tmp_path / "a.dcm",
        stored,
        12,
        WindowCenter=[1500, 9],
        WindowWidth=[1000, 9],
        VOILUTFunction="LINEAR_EXACT",
        **tags,
    )
    windowed = 4095 * np.array([0, 0, 0.5, 1, 1])
    np.testing.assert_array_equal(load(path)[0, :, 0], (4095.0 - stored[0]) if inverted else stored[0])
    np.testing.assert_allclose(load(path, voi=True)[0, :, 0], 4095 - windowed if inverted else windowed)


def test_a_voi_lut_is_applied_only_when_asked(tmp_path):
    stored = np.array([[0, 10, 11, 12, 255]], dtype=np.uint8)
    lut = pydicom.Dataset()
    lut.LUTDescriptor, lut.LUTData = [3, 10, 16], np.array([0, 13107, 65535], dtype="<u2").tobytes()
    lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "OW"
    path = write_dicom(tmp_path / "a.dcm", stored, 8, VOILUTSequence=[lut])
    np.testing.assert_array_equal(load(path)[0, :, 0], stored[0])
    np.testing.assert_allclose(load(path, voi=True)[0, :, 0], [0, 0, 13107, 65535, 65535])


def test_a_file_without_window_keeps_its_values_when_one_is_asked_for(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", TWELVE[0], 12, RescaleSlope=2, RescaleIntercept=-1)
    np.testing.assert_array_equal(load(path, voi=True), load(path))


def test_a_modality_lut_is_applied(tmp_path):
    lut = pydicom.Dataset()
    lut.LUTDescriptor, lut.LUTData = [3, 0, 16], np.array([7, 500, 40000], dtype="<u2").tobytes()
    lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "OW"
    path = write_dicom(tmp_path / "a.dcm", np.array([[2, 0, 1]], dtype=np.uint8), 8, ModalityLUTSequence=[lut])
    np.testing.assert_array_equal(load(path)[0, :, 0], [40000, 7, 500])
