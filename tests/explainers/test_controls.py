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

"""Control maps, compared with NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import sobel

from monai_advexplain.explainers import CentreGaussianExplainer, EdgeExplainer, IntensityExplainer
from tests.small import SIZES, images

DIMS = pytest.mark.parametrize("dims", [2, 3])


@DIMS
def test_the_centre_gaussian_is_a_product_of_gaussians_about_the_centre(dims):
    expected = np.ones(())
    for size in SIZES[dims]:
        offset = np.arange(size) - (size - 1) / 2
        expected = np.multiply.outer(expected, np.exp(-0.5 * (offset / (0.3 * size)) ** 2))
    maps = CentreGaussianExplainer(sigma=0.3)(images(2, 3, dims))
    torch.testing.assert_close(maps[0, 0].double(), torch.from_numpy(expected), atol=1e-6, rtol=1e-5)
    assert torch.equal(maps[0], maps[1])


@DIMS
def test_intensity_is_the_mean_over_channels_from_zero_on(dims):
    shown = images(2, 3, dims) - 0.8
    mean = shown.numpy().mean(axis=1, keepdims=True)
    expected = mean - mean.min(axis=tuple(range(1, 2 + dims)), keepdims=True)
    torch.testing.assert_close(IntensityExplainer()(shown), torch.from_numpy(expected))


@DIMS
def test_edges_are_the_sobel_magnitude_of_the_strongest_channel(dims):
    shown = images(2, 3, dims)
    scale = 2 * 4 ** (dims - 1)  # MONAI's kernels are normalised
    expected = np.stack(
        [
            np.max(
                [np.sqrt(sum((sobel(c, axis=a, mode="mirror") / scale) ** 2 for a in range(dims))) for c in one], axis=0
            )
            for one in shown.double().numpy()
        ]
    )
    torch.testing.assert_close(EdgeExplainer()(shown)[:, 0].double(), torch.from_numpy(expected), atol=1e-6, rtol=1e-5)
