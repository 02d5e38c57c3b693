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

"""Tests of finding the slice of each source frame, and of refusing what does not fit."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import torch
from monai.data import MetaTensor
from pydicom.uid import XRayAngiographicImageStorage, generate_uid

from monai_advexplain.dicom import write_parametric_map, write_segmentation
from monai_advexplain.dicom.source import read_source
from tests.dicom import sources


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    return sources.mr_series(tmp_path_factory.mktemp("series"))


def changed(explanation, change) -> MetaTensor:
    affine = explanation.affine.clone()
    change(affine)
    return MetaTensor(explanation.as_tensor(), affine=affine)


def flip_rows(affine):
    affine[:3, 3] += affine[:3, 1] * (sources.ROWS - 1)
    affine[:3, 1] *= -1


def shift(mm):
    def change(affine):
        affine[0, 3] += mm

    return change


def stretch(affine):
    affine[:3, 0] *= 1.002


@pytest.mark.parametrize("change", [flip_rows, shift(0.011), shift(-7.0), stretch])
def test_a_map_of_another_place_is_refused_with_both_places(series, tmp_path, change):
    explanation = changed(sources.random_map(series), change)
    with pytest.raises(ValueError, match=r"does not have the grid of .*mm from the nearest slice.*wanted \(.*mm"):
        write_segmentation(explanation, series.files, tmp_path / "seg.dcm")
    assert list(tmp_path.iterdir()) == []


def test_a_map_within_the_tolerance_is_accepted(series, tmp_path):
    write_segmentation(changed(sources.random_map(series), shift(0.009)), series.files, tmp_path / "seg.dcm")


def test_a_map_of_another_shape_is_refused_with_both_shapes(series, tmp_path):
    explanation = sources.random_map(series)
    values = explanation.as_tensor()
    for wrong in (values[:, :-1], values[..., :-1], values[..., 0], values[0, 0]):
        with pytest.raises(ValueError, match="x = 10 columns, y = 12 rows, z = 4 frames"):
            write_segmentation(MetaTensor(wrong, affine=explanation.affine), series.files, tmp_path / "seg.dcm")


def test_a_missing_file_of_the_series_is_noticed(series, tmp_path):
    with pytest.raises(ValueError, match="z = 3 frames"):
        write_segmentation(sources.random_map(series), series.files[1:], tmp_path / "seg.dcm")


def test_a_map_without_an_affine_is_refused(series, tmp_path):
    with pytest.raises(ValueError, match="must be a MetaTensor"):
        write_segmentation(torch.zeros(1, 10, 12, 4), series.files, tmp_path / "seg.dcm")


def test_slices_are_found_by_position_whatever_the_order_of_files_and_map(series):
    explanation = sources.random_map(series)
    backwards = MetaTensor(explanation.flip(-1).as_tensor(), affine=explanation.affine.clone())
    backwards.affine[:3, 3] += backwards.affine[:3, 2] * (sources.SLICES - 1)
    backwards.affine[:3, 2] *= -1
    for files in (series.files, series.files[::-1]):
        source = read_source(files)
        np.testing.assert_array_equal(source.map_planes(explanation), source.map_planes(backwards))
        heights = [float(frame.position @ np.cross(*frame.orientation)) for frame in source.frames]
        assert np.argsort(heights).tolist() == np.argsort(source.slices("map", explanation)).tolist()


def test_two_files_in_one_place_are_refused(series, tmp_path):
    ds = pydicom.dcmread(series.files[0])
    ds.SOPInstanceUID = generate_uid()
    ds.save_as(tmp_path / "twin.dcm")
    files = [series.files[0], tmp_path / "twin.dcm", *series.files[2:]]
    with pytest.raises(ValueError, match="2 frames lie in slice"):
        write_segmentation(sources.random_map(series), files, tmp_path / "seg.dcm")


def test_sources_that_are_no_series_are_refused(series, tmp_path):
    other = sources.mr_series(tmp_path / "other")
    multi = sources.multi_frame(tmp_path / "multi")
    text = tmp_path / "text.dcm"
    text.write_text("no image")
    bare = series.first
    del bare.StudyInstanceUID
    bare.save_as(tmp_path / "bare.dcm")
    for files, reason in (
        ([], "at least one DICOM file, got none"),
        ([series.files[0], other.files[1]], r"StudyInstanceUID is .* in .* and .* in .*other"),
        ([multi.files[0], multi.files[0]], "4 frames; wanted this file alone, got 2"),
        ([text], r"text\.dcm: not a DICOM file"),
        ([tmp_path / "bare.dcm"], "no StudyInstanceUID in the DICOM header"),
    ):
        with pytest.raises(ValueError, match=reason):
            read_source(files)
    with pytest.raises(FileNotFoundError, match=r"none\.dcm"):
        read_source(tmp_path / "none.dcm")


def test_headers_without_what_may_be_empty_will_do(tmp_path):
    source = sources.radiograph(tmp_path / "source")
    ds = source.first
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
        delattr(ds, keyword)
    ds.save_as(source.files[0])
    path = write_parametric_map(sources.random_map(source), source.files, tmp_path / "map.dcm")
    assert pydicom.dcmread(path).StudyInstanceUID == ds.StudyInstanceUID


def test_an_angiogram_of_one_frame_is_a_source_too(tmp_path):
    source = sources.radiograph(tmp_path)
    ds = source.first
    ds.SOPClassUID, ds.NumberOfFrames = XRayAngiographicImageStorage, 1
    ds.save_as(source.files[0], enforce_file_format=True)
    explanation = sources.random_map(source)
    path = write_parametric_map(explanation, source.files, tmp_path / "out" / "map.dcm")
    np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array.squeeze().T, explanation[0].numpy())
    path = write_segmentation(explanation, source.files, tmp_path / "out" / "seg.dcm", threshold=0.5)
    np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array.squeeze().T > 0, explanation[0].numpy() > 0.5)


def test_what_highdicom_cannot_refer_to_is_named(tmp_path):
    source = sources.mr_series(tmp_path / "source")
    for file in source.files:
        ds = pydicom.dcmread(file)
        ds.PatientSex = "X"
        ds.save_as(file)
    with pytest.raises(ValueError, match=r"source.*\.dcm: no Segmentation can refer to this source: 'X'"):
        write_segmentation(sources.random_map(source), source.files, tmp_path / "seg.dcm")


def test_a_failed_write_leaves_the_earlier_file_whole(series, tmp_path, monkeypatch):
    path = write_segmentation(sources.random_map(series), series.files, tmp_path / "seg.dcm")
    before = path.read_bytes()

    def fail(dataset, filename, **kwargs):
        filename.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pydicom.Dataset, "save_as", fail)
    with pytest.raises(OSError, match="disk full"):
        write_segmentation(sources.random_map(series, seed=1), series.files, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
