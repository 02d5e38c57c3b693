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

"""Images without information."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from monai_advexplain.explainers.baseline import BLUR_SIGMA, baseline_images


@pytest.mark.parametrize("size", [(96, 64), (48, 32, 40)])
def test_blur_is_gaussian_with_a_width_relative_to_the_image(size):
    shown = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) + 1
    sigma = (0, 0, *(BLUR_SIGMA * n for n in size))
    expected = gaussian_filter(shown.double().numpy(), sigma, mode="nearest")
    np.testing.assert_allclose(baseline_images(shown, "blur").numpy(), expected, atol=0.01)


def test_mean_is_that_of_each_image_and_channel_and_a_number_is_everywhere():
    shown = torch.rand(2, 3, 8, 4, 6)
    mean = baseline_images(shown, "mean")
    assert mean.shape == shown.shape
    np.testing.assert_allclose(mean[1, 2], np.full((8, 4, 6), shown[1, 2].mean()), rtol=1e-6)
    assert torch.equal(baseline_images(shown, 0.25), torch.full_like(shown, 0.25))


def test_another_word_is_refused():
    with pytest.raises(ValueError, match='must be "blur", "mean" or a number, got \'black\''):
        baseline_images(torch.rand(1, 1, 8, 8), "black")
