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

"""Tests of thresholded explanations as DICOM Segmentation."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from highdicom.seg import segread

from monai_advexplain.dicom import write_segmentation
from tests.dicom import places, sources


def high(written) -> np.ndarray:
    """The highest tenth of all voxels, by sorting them."""
    _, values = places.voxels(written.explanation)
    mask = np.zeros(values.shape, dtype=bool)
    mask[np.argsort(values)[values.size - int(0.1 * values.size) :]] = True
    return mask


def test_simpleitk_places_the_highest_share_at_the_source_s_millimetres(placed):
    positions, _ = places.voxels(placed.explanation)
    found = places.values_at(positions, *places.read_itk(placed.segmentation))
    np.testing.assert_array_equal(found > 0, high(placed))


def test_highdicom_reads_the_same_voxels(placed):
    positions, _ = places.voxels(placed.explanation)
    volume = segread(placed.segmentation).get_volume(combine_segments=True)
    np.testing.assert_array_equal(places.values_at(positions, volume.affine, volume.array) > 0, high(placed))


def test_a_radiograph_s_segmentation_is_found_by_the_image_it_refers_to(write):
    radiograph = write("radiograph")
    instance = radiograph.source.first.SOPInstanceUID
    mask = segread(radiograph.segmentation).get_pixels_by_source_instance([instance])
    np.testing.assert_array_equal(mask[0, :, :, 0].T.ravel() > 0, high(radiograph))


def test_the_segment_states_its_threshold(written):
    ds = pydicom.dcmread(written.segmentation)
    (segment,) = ds.SegmentSequence
    _, values = places.voxels(written.explanation)
    limit = values[~high(written)].max()
    assert segment.SegmentDescription == f"Explanation above {limit:.6g}, the highest 10 % of the image"
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == "monai_advexplain"
    assert algorithm.AlgorithmParameters == f"threshold={limit:.6g},share=0.1"


def test_it_refers_to_the_source(written):
    ds, first = pydicom.dcmread(written.segmentation), written.source.first
    assert ds.StudyInstanceUID == first.StudyInstanceUID
    assert ds.get("FrameOfReferenceUID") == first.get("FrameOfReferenceUID")
    assert ds.ReferencedSeriesSequence[0].SeriesInstanceUID == first.SeriesInstanceUID
    assert ds.SeriesInstanceUID != first.SeriesInstanceUID


def test_a_threshold_keeps_what_is_above_it(tmp_path):
    source = sources.mr_series(tmp_path / "source")
    explanation = sources.random_map(source)
    path = write_segmentation(explanation, source.files, tmp_path / "seg.dcm", threshold=0.5)
    positions, values = places.voxels(explanation)
    np.testing.assert_array_equal(places.values_at(positions, *places.read_itk(path)) > 0, values > 0.5)
    assert pydicom.dcmread(path).SegmentSequence[0].SegmentDescription == "Explanation above 0.5"


def test_a_share_keeps_no_more_than_itself_where_values_are_equal(tmp_path):
    source = sources.mr_series(tmp_path / "source")
    explanation = sources.random_map(source) * 0
    explanation[0, :5] = 1.0  # half of the image
    path = write_segmentation(explanation, source.files, tmp_path / "seg.dcm", share=0.3)
    assert pydicom.dcmread(path).pixel_array.sum() == 0
    path = write_segmentation(explanation, source.files, tmp_path / "seg.dcm", share=0.6)
    assert pydicom.dcmread(path).pixel_array.mean() == 0.5


@pytest.mark.parametrize("argument", [{"share": 0.0}, {"share": 1.0}, {"threshold": float("nan")}])
def test_impossible_limits_are_refused(tmp_path, argument):
    source = sources.mr_series(tmp_path / "source")
    with pytest.raises(ValueError, match=f"{next(iter(argument))} must be"):
        write_segmentation(sources.random_map(source), source.files, tmp_path / "seg.dcm", **argument)
