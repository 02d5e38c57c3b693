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

"""Maps of real DICOM files go back into the patient, as others read and judge them; skipped where data are missing."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from monai.data import MetaTensor

from monai_advexplain.dicom import write_parametric_map, write_secondary_capture, write_segmentation
from tests.dicom import places
from tests.dicom.test_validity import errors
from tests.real.test_real_data import folder_of


@pytest.fixture(scope="module")
def series(real_data) -> tuple[list[Path], MetaTensor]:
    """The files of the MR series, shuffled, and their image by pydicom alone."""
    files = sorted(folder_of(real_data, "mr_dicom_series").iterdir())
    headers = sorted((pydicom.dcmread(file) for file in files), key=lambda ds: ds.SliceLocation)
    first, last = headers[0], headers[-1]
    position, end = (np.array(ds.ImagePositionPatient, dtype=float) for ds in (first, last))
    cosines, spacing = np.array(first.ImageOrientationPatient, dtype=float), np.array(first.PixelSpacing, dtype=float)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = cosines[:3] * spacing[1], cosines[3:] * spacing[0]
    affine[:3, 2], affine[:3, 3] = (end - position) / (len(headers) - 1), position
    volume = np.stack([ds.pixel_array.T for ds in headers], axis=-1).astype(np.float32)
    random.Random(0).shuffle(files)
    return files, MetaTensor(volume[None], affine=np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


@pytest.fixture(scope="module")
def written(series, tmp_path_factory) -> tuple[MetaTensor, Path, Path, Path, list[Path]]:
    """An explanation of the series and what is written for it."""
    files, image = series
    explanation = MetaTensor(torch.rand(image.shape, generator=torch.Generator().manual_seed(0)), affine=image.affine)
    folder = tmp_path_factory.mktemp("mr")
    return (
        explanation,
        write_parametric_map(explanation, files, folder / "map32.dcm"),
        write_parametric_map(explanation, files, folder / "map16.dcm", bits=16),
        write_segmentation(explanation, files, folder / "segmentation.dcm", threshold=0.9),
        write_secondary_capture(explanation, image, files, folder / "capture", window=(0.0, 1000.0)),
    )


def test_a_real_series_gets_its_map_back_at_its_millimetres(written):
    explanation, full, short, mask, captures = written
    positions, values = places.voxels(explanation)
    np.testing.assert_array_equal(places.values_at(positions, *places.read_highdicom(full)), values)
    found = places.values_at(positions, *places.read_highdicom(short, apply_real_world_transform=True))
    assert np.abs(found - values).max() <= 0.5001 * np.ptp(values) / 65535
    np.testing.assert_array_equal(places.values_at(positions, *places.read_itk(mask)) > 0, values > 0.9)
    colours = places.values_at(positions, *places.read_itk(captures)).astype(int)
    assert np.abs(colours[values < 1e-4, 0] - colours[values < 1e-4, 2]).max() < 5
    assert (colours[values > 0.995, 0] - colours[values > 0.995, 2]).min() > 50


def test_results_of_a_real_series_are_valid(written):
    _, full, short, mask, captures = written
    assert {path.name: errors(path) for path in (full, short, mask, *captures) if errors(path)} == {}


def test_simpleitk_places_the_results_where_it_places_the_source(series, tmp_path):
    files, image = series
    in_order = sorted(files, key=lambda file: pydicom.dcmread(file, stop_before_pixels=True).SliceLocation)
    source, stored = places.read_itk(in_order)
    explanation = MetaTensor(torch.zeros(image.shape), affine=image.affine)
    explanation[0, 100, 50, 3] = 1.0
    positions, _ = places.voxels(explanation)
    np.testing.assert_array_equal(places.values_at(positions, source, stored), image[0].numpy().ravel())
    mask = write_segmentation(explanation, files, tmp_path / "segmentation.dcm", threshold=0.5)
    affine, array = places.read_itk(mask)
    (voxel,) = np.argwhere(array)
    np.testing.assert_allclose(affine @ [*voxel, 1], source @ [100, 50, 3, 1], atol=places.TOLERANCE_MM)


def test_real_radiographs_with_bare_headers_get_valid_results(real_data, tmp_path):
    folder = folder_of(real_data, "chest_xray") / "stage_2_train_images"
    for file in sorted(folder.iterdir())[:3]:
        ds = pydicom.dcmread(file)
        rows_apart, columns_apart = map(float, ds.PixelSpacing)
        affine = np.diag([-columns_apart, -rows_apart, 1.0, 1.0])
        image = MetaTensor(ds.pixel_array.T[None].astype(np.float32), affine=affine)
        explanation = MetaTensor(image.as_tensor() / 255, affine=affine)
        written = [
            write_parametric_map(explanation, file, tmp_path / "map.dcm"),
            write_segmentation(explanation, file, tmp_path / "segmentation.dcm"),
            *write_secondary_capture(explanation, image, file, tmp_path / "capture.dcm"),
        ]
        assert {path.name: errors(path) for path in written if errors(path)} == {}
        np.testing.assert_array_equal(pydicom.dcmread(written[0]).pixel_array.squeeze().T, explanation[0].numpy())
