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

"""Tests of explanations drawn over their image as DICOM Secondary Capture."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from monai.data import MetaTensor

from monai_advexplain.dicom import write_parametric_map, write_secondary_capture, write_segmentation
from tests.dicom import places, sources


def read(path):
    return places.read_itk(path if len(path) > 1 else path[0])


def test_simpleitk_places_every_pixel_at_the_source_s_millimetres(written):
    positions, values = places.voxels(written.explanation)
    colours = places.values_at(positions, *read(written.captures))
    red, blue = colours[:, 0].astype(int), colours[:, 2].astype(int)
    hot, cold = values > np.quantile(values, 0.995), values < 0.001
    assert (red[hot] - blue[hot]).min() > 50  # the top of the heat colours
    assert np.abs(red[cold] - blue[cold]).max() < 10


def test_where_the_explanation_is_zero_the_windowed_image_shows(tmp_path):
    source = sources.ct_series(tmp_path / "source")
    explanation = sources.random_map(source)
    explanation[0, 3:] = 0.0
    files = write_secondary_capture(
        explanation, source.image, source.files, tmp_path / "capture", window=(-500.0, 1500.0)
    )
    positions, grey = places.voxels(source.image)
    _, heat = places.voxels(explanation)
    colours = places.values_at(positions, *read(files))[heat == 0]
    wanted = np.rint(255 * np.clip((grey[heat == 0] + 500) / 2000, 0, 1))
    np.testing.assert_array_equal(colours, np.repeat(wanted[:, None], 3, axis=1))


def test_each_capture_refers_to_the_source_frame_it_shows(written):
    first = written.source.first
    numbers = set()
    for path in written.captures:
        ds = pydicom.dcmread(path)
        (image,) = ds.SourceImageSequence
        numbers.add((image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber")))
        assert ds.ReferencedSeriesSequence[0].SeriesInstanceUID == first.SeriesInstanceUID
        assert ds.StudyInstanceUID == first.StudyInstanceUID
        assert ds.PatientAge == first.PatientAge
        assert ds.get("FrameOfReferenceUID") == first.get("FrameOfReferenceUID")
    assert len(numbers) == len(written.captures) == (written.explanation.shape[-1] if len(numbers) > 1 else 1)


def test_instances_are_numbered_in_the_order_of_the_map_s_slices(tmp_path):
    source = sources.mr_series(tmp_path / "source")
    files = write_secondary_capture(sources.random_map(source), source.image, source.files[::-1], tmp_path / "capture")
    headers = [pydicom.dcmread(path) for path in files]
    assert [header.InstanceNumber for header in headers] == [1, 2, 3, 4]
    assert len({header.SOPInstanceUID for header in headers}) == 4
    assert len({header.SeriesInstanceUID for header in headers}) == 1
    lps = source.image.affine.numpy() * np.array([-1, -1, 1, 1])[:, None]
    for z, header in enumerate(headers):
        np.testing.assert_allclose(np.array(header.ImagePositionPatient, float), (lps @ [0, 0, z, 1])[:3], atol=0.01)


def test_frames_without_positions_are_captured_in_their_order_and_nothing_else_is_written(tmp_path):
    source = sources.radiograph(tmp_path / "source")
    ds = source.first
    ds.NumberOfFrames, ds.PixelData = 3, ds.PixelData * 3
    ds.save_as(source.files[0])
    volume = MetaTensor(source.image.as_tensor()[..., None].repeat(1, 1, 1, 3), affine=source.image.affine)
    explanation = MetaTensor(volume.as_tensor() * 0, affine=source.image.affine)
    explanation[0, :, :, 2] = 1.0
    files = write_secondary_capture(explanation, volume, source.files, tmp_path / "capture")
    images = [pydicom.dcmread(path) for path in files]
    coloured = [bool((np.ptp(image.pixel_array.astype(int), axis=-1) > 0).any()) for image in images]
    assert coloured == [False, False, True]
    assert [image.SourceImageSequence[0].ReferencedFrameNumber for image in images] == [1, 2, 3]
    for write in (write_parametric_map, write_segmentation):
        with pytest.raises(ValueError, match="3 frames without position, orientation or frame of reference"):
            write(explanation, source.files, tmp_path / "other.dcm")


def test_an_earlier_series_is_replaced_and_any_other_folder_is_not(tmp_path):
    source = sources.mr_series(tmp_path / "source")
    arguments = sources.random_map(source), source.image, source.files, tmp_path / "capture"
    (tmp_path / "capture").mkdir()
    (tmp_path / "capture" / "0099.dcm").touch()
    files = write_secondary_capture(*arguments)
    assert sorted((tmp_path / "capture").iterdir()) == files
    (tmp_path / "capture" / "notes.txt").touch()
    with pytest.raises(FileExistsError, match=r"holds notes\.txt"):
        write_secondary_capture(*arguments)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_image_must_lie_in_the_source_s_grid_too(tmp_path):
    source = sources.mr_series(tmp_path / "source")
    moved = MetaTensor(source.image.as_tensor(), affine=source.image.affine.clone())
    moved.affine[0, 3] += 0.02
    with pytest.raises(ValueError, match="image does not have the grid"):
        write_secondary_capture(sources.random_map(source), moved, source.files, tmp_path / "capture")
    with pytest.raises(ValueError, match="window must be two values"):
        write_secondary_capture(
            sources.random_map(source), source.image, source.files, tmp_path / "capture", window=(1, 1)
        )
