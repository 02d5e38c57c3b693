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

"""SmoothGrad: the plain gradient without noise, and the mean over noisy images with it."""

from __future__ import annotations

import pytest
import torch
from captum.attr import Saliency

from monai_advexplain.explainers import GradientExplainer, SmoothGradExplainer
from tests.explainers.cases import decided
from tests.small import images

DIMS = pytest.mark.parametrize("dims", [2, 3])


@DIMS
def test_without_noise_it_is_the_gradient_and_the_saliency_of_captum(dims):
    net = decided(dims)
    shown = images(3, 1, dims)
    maps = SmoothGradExplainer(net, noise=0.0)(shown)
    torch.testing.assert_close(maps, GradientExplainer(net)(shown))
    torch.testing.assert_close(maps, Saliency(net).attribute(shown.clone().requires_grad_(True), target=0))


@DIMS
def test_it_is_the_absolute_mean_gradient_of_noisy_images_summed_over_channels(dims):
    net = decided(dims, channels=2)
    shown = images(2, 2, dims) * 5
    noise = torch.randn(6, *shown.shape[1:], generator=torch.Generator().manual_seed(3))
    expected = []
    for image in shown:
        total = torch.zeros_like(image)
        for one in noise:
            noisy = (image + 0.2 * (image.max() - image.min()) * one).requires_grad_(True)
            total += torch.autograd.grad(net(noisy[None])[0, 0], noisy)[0]
        expected.append((total / 6).abs().sum(dim=0, keepdim=True))
    maps = SmoothGradExplainer(net, samples=6, noise=0.2, seed=3, batch_size=4)(shown)
    torch.testing.assert_close(maps, torch.stack(expected), atol=1e-6, rtol=1e-3)


def test_the_seed_decides_the_noise():
    net = decided()
    maps = SmoothGradExplainer(net, seed=1)(images())
    torch.testing.assert_close(SmoothGradExplainer(net, seed=1)(images()), maps)
    assert not torch.equal(SmoothGradExplainer(net, seed=2)(images()), maps)
