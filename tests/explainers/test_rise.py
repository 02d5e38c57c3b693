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

"""RISE: its masks and its weighted mean, compared with plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import nn

from monai_advexplain import Decision
from monai_advexplain.explainers import RISEExplainer
from tests.explainers.cases import decided
from tests.small import SIZES, images

DIMS = pytest.mark.parametrize("dims", [2, 3])


@DIMS
def test_masks_are_shifted_linear_enlargements_of_binary_grids(dims):
    size, grid = SIZES[dims], 3
    explainer = RISEExplainer(nn.Identity(), n_masks=20, grid=grid, p=0.4, seed=5)
    masks = torch.cat(list(explainer.masks(size, at_once=7)))
    assert masks.shape == (20, 1, *size)
    draws = torch.Generator().manual_seed(5)
    grids = (torch.rand(20, 1, *[grid] * dims, generator=draws) < 0.4).double().numpy()
    cells = [int(np.ceil(n / grid)) for n in size]
    shifts = np.floor(torch.rand(20, dims, generator=draws).numpy() * cells).astype(int)
    for mask, binary, shift in zip(masks[:, 0].numpy(), grids[:, 0], shifts, strict=True):
        scale = [grid / (cell * (grid + 1)) for cell in cells]
        axes = [(np.arange(n) + s + 0.5) * k - 0.5 for n, s, k in zip(size, shift, scale, strict=True)]
        expected = map_coordinates(binary, np.meshgrid(*axes, indexing="ij"), order=1, mode="nearest")
        np.testing.assert_allclose(mask, expected, atol=1e-5)


def test_masks_keep_a_share_p_of_the_image():
    masks = torch.cat(list(RISEExplainer(nn.Identity(), n_masks=2000, p=0.3).masks((28, 21))))
    assert masks.mean().item() == pytest.approx(0.3, abs=0.01)
    assert masks.mean(dim=0).std() < 0.02  # everywhere
    assert (masks > 0.5).float().mean(dim=0).std() < 0.03


@DIMS
def test_the_map_is_the_mean_of_the_masks_weighted_by_the_probability_of_the_decision_made(dims):
    net = decided(dims, channels=2)
    shown = images(6, 2, dims)
    explainer = RISEExplainer(net, n_masks=30, grid=3, p=0.4, batch_size=16)
    yes = Decision().hard(net(shown))
    assert {True, False} == set(yes.tolist())
    expected = torch.zeros(6, 1, *SIZES[dims])
    for mask in torch.cat(list(explainer.masks(SIZES[dims]))):
        for i in range(6):
            with torch.no_grad():
                probability = net(shown[i : i + 1] * mask).sigmoid()[0, 0]
            expected[i] += (probability if yes[i] else 1 - probability) * mask / (0.4 * 30)
    torch.testing.assert_close(explainer(shown), expected, atol=1e-5, rtol=1e-4)
