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

"""A real oblique MR series against another reader."""

from __future__ import annotations

import numpy as np
import pytest

from monai_advexplain.data import list_images
from monai_advexplain.transforms import LoadMedicalImage


def test_every_voxel_of_an_mr_series_has_the_value_and_place_that_simpleitk_gives_it(real_data):
    sitk = pytest.importorskip("SimpleITK")
    folder = real_data / "mr_dicom_series"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    wanted = reader.Execute()
    (item,) = list_images(folder)
    assert len(item["image"]) == 22
    for given in (item["image"], item["image"][::-1], folder):
        image = LoadMedicalImage(spatial_dims=3)(given)
        np.testing.assert_array_equal(image[0].numpy(), sitk.GetArrayFromImage(wanted).transpose(2, 1, 0))
        for voxel in np.ndindex(2, 2, 2):
            index = [int(i) * (n - 1) for i, n in zip(voxel, wanted.GetSize(), strict=True)]
            place = np.multiply(wanted.TransformIndexToPhysicalPoint(index), [-1, -1, 1])
            assert np.linalg.norm((image.affine.numpy() @ [*index, 1])[:3] - place) < 0.01
