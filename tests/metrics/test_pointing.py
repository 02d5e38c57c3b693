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

"""Pointing game and relevance mass against plain NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from monai_advexplain.metrics import pointing_game, relevance_mass
from tests.metrics.cases import SIZES, random_case


@pytest.mark.parametrize("size", SIZES)
def test_pointing_game_is_whether_the_largest_value_lies_in_the_mask(size):
    _, masks = random_case(0, size, batch=20)
    maps = torch.rand(masks.shape, generator=torch.Generator().manual_seed(1))
    expected = [g.flatten()[m.argmax()].item() for m, g in zip(maps, masks, strict=True)]
    assert pointing_game(maps, masks).tolist() == expected
    assert 0 < sum(expected) < 20


def test_shared_maxima_count_by_the_share_that_lies_in_the_mask():
    maps, masks = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    maps[0, 0, 0] = 1
    masks[0, 0, :, 0] = 1
    assert pointing_game(maps, masks).item() == 0.25


@pytest.mark.parametrize("size", [(13, 9), (7, 6, 5), (30, 4)])
@pytest.mark.parametrize("tolerance", [0, 0.9, 1, 1.5, 3, 20])
def test_tolerance_is_scipys_euclidean_distance_to_the_mask(size, tolerance):
    masks = torch.zeros(2, 1, *size)
    masks.flatten(1)[0, [0, 5]] = 1
    masks.flatten(1)[1, -3] = 1
    near = [distance_transform_edt(mask[0] == 0) <= tolerance for mask in masks]
    for place in range(masks[0].numel()):
        maps = torch.zeros_like(masks)
        maps.flatten(1)[:, place] = 1
        assert pointing_game(maps, masks, tolerance).tolist() == [near[0].flat[place], near[1].flat[place]]


def test_tolerance_leaves_an_empty_mask_nan():
    maps, masks = random_case(1)
    assert pointing_game(maps, 0 * masks, tolerance=2).isnan().all()


@pytest.mark.parametrize("tolerance", [-1, float("nan"), float("inf")])
def test_impossible_tolerances_are_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance must be at least 0 pixels and finite"):
        pointing_game(*random_case(0), tolerance=tolerance)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [1.0, 1e-40, 3e38])
def test_relevance_mass_is_the_share_of_the_sum_at_any_scale(size, scale):
    maps, masks = random_case(1, size)
    maps = maps / maps.max()
    expected = [(m * g).sum() / m.sum() for m, g in zip(maps.double(), masks, strict=True)]
    np.testing.assert_allclose(relevance_mass(scale * maps, masks), expected, rtol=1e-4 if scale < 1 else 1e-6)


def test_a_map_of_zeros_has_no_mass_in_the_mask():
    _, masks = random_case(2)
    assert relevance_mass(torch.zeros_like(masks), masks).tolist() == [0, 0, 0]


def test_relevance_mass_refuses_negative_maps():
    maps, masks = random_case(3)
    with pytest.raises(ValueError, match=r"maps must be non negative, got -0\.5"):
        relevance_mass(maps.index_fill(3, torch.tensor(0), -0.5), masks)
