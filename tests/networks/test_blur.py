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

"""Blur: close to a Gaussian filter, constant images kept, scriptable, nothing of it in a file of weights."""

from __future__ import annotations

import pytest
import torch
from scipy import ndimage

from monai_advexplain.networks import Blur

SIZES = pytest.mark.parametrize("size", [(128, 96), (96, 96, 64)])


def uneven(size):
    """White noise in [0, 1] and, on one side, a block of constant brightness."""
    image = torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(0))
    image[:, 1:, : size[0] // 2] = 0.9
    return image


@SIZES
@pytest.mark.parametrize("sigma", [20 / 224, 0.12])
def test_off_the_borders_the_blur_equals_a_gaussian_filter_within_one_percent(size, sigma):
    image = uneven(size)
    inside = tuple(slice(length // 5, -(length // 5)) for length in size)
    for channel, blurred in zip(image[0], Blur(sigma)(image)[0], strict=True):
        expected = ndimage.gaussian_filter(channel.numpy(), [sigma * length for length in size], mode="nearest")
        assert abs(blurred.numpy() - expected)[inside].max() < 0.01
        assert abs(channel.numpy() - expected)[inside].max() > 0.3  # there was something to blur


@pytest.mark.parametrize("size", [(16, 12), (224, 200), (8, 40, 30)])
def test_a_constant_image_of_any_size_stays_constant_up_to_the_border(size):
    image = torch.full((2, 3, *size), 0.6)
    torch.testing.assert_close(Blur()(image), image)


@SIZES
def test_torchscript_gives_the_same(size):
    image = uneven(size)
    assert torch.equal(torch.jit.script(Blur())(image), Blur()(image))


def test_a_file_of_weights_holds_nothing_of_the_blur():
    assert Blur().state_dict() == {}


@pytest.mark.parametrize("sigma", [0.0, -1.0, 0.03, float("nan")])
def test_a_width_that_the_grid_cannot_represent_is_refused_with_its_value(sigma):
    with pytest.raises(ValueError, match=f"sigma must be at least 0.03125 of the image's size, got {sigma}"):
        Blur(sigma)
