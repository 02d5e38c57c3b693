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

"""Tests of explanations as DICOM Parametric Map."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import torch
from highdicom import Image
from monai.data import MetaTensor

from monai_advexplain import __version__
from monai_advexplain.dicom import write_parametric_map
from tests.dicom import places, sources


def test_highdicom_reads_every_value_exactly_where_the_source_has_the_voxel(placed):
    positions, values = places.voxels(placed.explanation)
    found = places.values_at(positions, *places.read_highdicom(placed.map32))
    np.testing.assert_array_equal(found, values)


def test_16_bits_restore_every_value_within_half_a_step(placed):
    positions, values = places.voxels(placed.explanation)
    found = places.values_at(positions, *places.read_highdicom(placed.map16, apply_real_world_transform=True))
    step = (values.max() - values.min()) / 65535
    assert np.abs(found - values).max() <= 0.5001 * step
    stored = places.values_at(positions, *places.read_highdicom(placed.map16, apply_real_world_transform=False))
    assert (stored.min(), stored.max()) == (0, 65535)


def test_pydicom_reads_the_same_positions_and_values_from_the_header(placed):
    positions, values = places.voxels(placed.explanation)
    found_positions, found = places.read_frames(placed.map32)
    order, found_order = (np.lexsort(np.round(p, 3).T) for p in (positions, found_positions))
    np.testing.assert_allclose(found_positions[found_order], positions[order], atol=places.TOLERANCE_MM)
    np.testing.assert_array_equal(found[found_order], values[order])


def test_it_belongs_to_the_source_s_study_and_frame_of_reference_in_a_series_of_its_own(written):
    ds, first = pydicom.dcmread(written.map32), written.source.first
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientAge"):
        assert ds[keyword].value == first[keyword].value
    assert ds.SeriesInstanceUID != first.SeriesInstanceUID
    assert ds.SeriesInstanceUID != pydicom.dcmread(written.map16).SeriesInstanceUID
    if "FrameOfReferenceUID" in first:
        assert ds.FrameOfReferenceUID == first.FrameOfReferenceUID
    assert (ds.ManufacturerModelName, ds.SoftwareVersions) == ("monai_advexplain", __version__)
    referenced = ds.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == first.SeriesInstanceUID
    instances = {pydicom.dcmread(path).SOPInstanceUID for path in written.source.files}
    assert {item.ReferencedSOPInstanceUID for item in referenced.ReferencedInstanceSequence} == instances


def test_every_frame_refers_to_the_source_frame_at_its_position(placed):
    ds, first = pydicom.dcmread(placed.map32), placed.source.first
    if "PerFrameFunctionalGroupsSequence" in first:
        groups = first.PerFrameFunctionalGroupsSequence
        at = {n: group.PlanePositionSequence[0].ImagePositionPatient for n, group in enumerate(groups, 1)}
    else:
        files = map(pydicom.dcmread, placed.source.files)
        at = {file.SOPInstanceUID: file.ImagePositionPatient for file in files}
    for group in ds.PerFrameFunctionalGroupsSequence:
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        key = source.get("ReferencedFrameNumber") or source.ReferencedSOPInstanceUID
        np.testing.assert_allclose(
            np.array(at[key], dtype=float),
            np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float),
            atol=places.TOLERANCE_MM,
        )


def test_the_private_code_of_the_quantity_is_declared(written):
    ds = pydicom.dcmread(written.map16)
    mapping = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    quantity = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    assert (quantity.CodeValue, quantity.CodingSchemeDesignator) == ("EXPLANATION", "99ADVEXPLAIN")
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    assert "99ADVEXPLAIN" in [item.CodingSchemeDesignator for item in ds.CodingSchemeIdentificationSequence]


def test_a_radiograph_s_map_lies_as_its_patient_orientation_says(tmp_path):
    source = sources.radiograph(tmp_path)
    explanation = sources.random_map(source)
    path = write_parametric_map(explanation, source.files, tmp_path / "out" / "map.dcm")
    shared = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0]
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [1, 0, 0, 0, 0, -1]  # left, feet
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.2, 0.15]
    found = Image.from_file(path).get_frames()
    np.testing.assert_array_equal(found[0].T, explanation[0].numpy())
    assert shared.FrameAnatomySequence[0].AnatomicRegionSequence[0].CodeMeaning == "Chest"


def test_a_slice_without_a_frame_of_reference_keeps_its_position(tmp_path):
    source = sources.mr_series(tmp_path)
    ds = source.first
    del ds.FrameOfReferenceUID
    ds.save_as(source.files[0])
    z = int(ds.InstanceNumber) - 1
    affine = source.image.affine.clone()
    affine[:3, 3] += affine[:3, 2] * z
    explanation = MetaTensor(sources.random_map(source).as_tensor()[..., z], affine=affine)
    path = write_parametric_map(explanation, source.files[0], tmp_path / "out" / "map.dcm")
    positions, values = places.voxels(explanation)
    np.testing.assert_array_equal(places.values_at(positions, *places.read_highdicom(path)), values)


def test_the_spacing_at_the_detector_serves_where_there_is_no_other(tmp_path):
    source = sources.radiograph(tmp_path, spacing="ImagerPixelSpacing")
    path = write_parametric_map(sources.random_map(source), source.files, tmp_path / "out" / "map.dcm")
    shared = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0]
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.2, 0.15]


def test_the_distance_of_slices_is_that_of_their_positions(tmp_path):
    source = sources.mr_series(tmp_path)
    for file in source.files:
        ds = pydicom.dcmread(file)
        ds.SpacingBetweenSlices = 5.0  # a lie that scanners tell
        ds.save_as(file)
    ds = pydicom.dcmread(write_parametric_map(sources.random_map(source), source.files, tmp_path / "out" / "map.dcm"))
    measures = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SpacingBetweenSlices) == pytest.approx(3.3, abs=1e-4)


@pytest.mark.parametrize("bits", [16, 32])
def test_a_map_of_one_value_keeps_it(tmp_path, bits):
    source = sources.mr_series(tmp_path)
    explanation = sources.random_map(source) * 0 + 0.25
    path = write_parametric_map(explanation, source.files, tmp_path / "out" / "map.dcm", bits=bits)
    _, values = places.read_highdicom(path, apply_real_world_transform=True)
    assert set(np.unique(values)) == {0.25}


def test_orientations_a_frame_each_and_unequal_digits_are_accepted(tmp_path):
    source = sources.multi_frame(tmp_path / "frames")
    ds = source.first
    orientation = ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    del ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    for group in ds.PerFrameFunctionalGroupsSequence:
        group.PlaneOrientationSequence = orientation
    ds.save_as(source.files[0])
    series = sources.mr_series(tmp_path / "series")
    ds = pydicom.dcmread(series.files[1])
    ds.ImageOrientationPatient = [round(float(cosine), 6) for cosine in ds.ImageOrientationPatient]
    ds.save_as(series.files[1])
    for kind in (source, series):
        explanation = sources.random_map(kind)
        path = write_parametric_map(explanation, kind.files, tmp_path / "map.dcm")
        positions, values = places.voxels(explanation)
        np.testing.assert_array_equal(places.values_at(positions, *places.read_highdicom(path)), values)


def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path):
    source = sources.mr_series(tmp_path / "source")
    explanation, path = sources.random_map(source), tmp_path / "map.dcm"
    with pytest.raises(ValueError, match="bits must be 16 or 32, got 8"):
        write_parametric_map(explanation, source.files, path, bits=8)
    with pytest.raises(ValueError, match="description must have at most 64 characters"):
        write_parametric_map(explanation, source.files, path, description="x" * 65)
    broken = explanation.clone()
    broken[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="explanation has 1 values that are not finite"):
        write_parametric_map(broken, source.files, path)
    with pytest.raises(ValueError, match="explanation must have one channel"):
        write_parametric_map(torch.cat([explanation, explanation]), source.files, path)
    assert not path.exists()
