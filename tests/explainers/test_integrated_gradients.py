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

"""Integrated gradients: exact for a linear classifier, and its own however the points are batched."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_advexplain.explainers import IntegratedGradientsExplainer
from tests.explainers.cases import decided
from tests.small import SIZES, images

DIMS = pytest.mark.parametrize("dims", [2, 3])


@DIMS
@pytest.mark.parametrize("baseline", [0.0, 0.3, "mean"])
def test_a_linear_classifier_is_explained_by_its_weights_times_the_image_less_the_baseline(dims, baseline):
    shown = images(3, 2, dims)
    net = nn.Sequential(nn.Flatten(), nn.Linear(shown[0].numel(), 1))
    weights = net[1].weight.detach().reshape(1, 2, *SIZES[dims])
    start = shown.mean(dim=tuple(range(2, 2 + dims)), keepdim=True) if baseline == "mean" else baseline
    expected = (weights * (shown - start)).sum(dim=1, keepdim=True).abs()
    maps = IntegratedGradientsExplainer(net, baseline=baseline, steps=3)(shown)
    torch.testing.assert_close(maps, expected)


@DIMS
def test_the_map_equals_a_fine_riemann_sum(dims):
    net = decided(dims)
    shown = images(1, 1, dims)
    total = torch.zeros_like(shown)
    for i in range(500):
        point = (shown * (i + 0.5) / 500).requires_grad_(True)
        total += torch.autograd.grad(net(point).sum(), point)[0] / 500
    maps = IntegratedGradientsExplainer(net, steps=200)(shown)
    torch.testing.assert_close(maps, (total * shown).abs(), atol=0.02 * maps.max().item(), rtol=0.02)


@pytest.mark.filterwarnings("error:Internal batch size")
def test_the_size_of_the_inner_batches_does_not_matter():
    net = decided()
    maps = [IntegratedGradientsExplainer(net, steps=7, batch_size=n)(images(3)) for n in (1, 5, 100)]
    torch.testing.assert_close(maps[0], maps[1])
    torch.testing.assert_close(maps[0], maps[2])
