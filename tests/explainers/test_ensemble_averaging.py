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

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_advexplain.explainers import EnsembleAveraging, GradientExplainer
from tests.small import SIZES, classifier, images

DIMS = pytest.mark.parametrize("dims", [2, 3])


def squared(shown):
    """An explainer that spoils what it is shown."""
    return shown.square_().mean(dim=1, keepdim=True)


@DIMS
def test_the_map_is_the_mean_of_the_maps_and_no_explainer_sees_what_another_does(dims):
    shown = images(3, 2, dims)
    before = shown.clone()
    maps = EnsembleAveraging([squared, lambda x: 3 * x.amax(dim=1, keepdim=True), squared])(shown)
    plain = shown.numpy().astype(np.float64)
    wanted = (2 * (plain**2).mean(axis=1, keepdims=True) + 3 * plain.max(axis=1, keepdims=True)) / 3
    np.testing.assert_allclose(maps.numpy(), wanted, rtol=1e-5)
    assert torch.equal(shown, before)


def test_methods_that_need_gradients_work_under_no_grad_and_give_plain_tensors():
    network, shown = classifier(), images(2)
    gradient = GradientExplainer(network)
    with torch.no_grad():
        maps = EnsembleAveraging([gradient, lambda x: MetaTensor(gradient(x))])(MetaTensor(shown))
    assert type(maps) is torch.Tensor
    assert not maps.requires_grad
    assert torch.equal(maps, gradient(shown))


def test_no_explainer_is_refused():
    with pytest.raises(ValueError, match="explainers is empty; give one explainer or several"):
        EnsembleAveraging([])


def test_maps_of_another_shape_are_refused_with_both_shapes():
    wanted = rf"gave maps of shape \(2, 3, .*\), wanted \(2, 1, {SIZES[2][0]}, {SIZES[2][1]}\)"
    with pytest.raises(RuntimeError, match=wanted):
        EnsembleAveraging([lambda x: x.repeat(1, 3, 1, 1)])(images(2))
