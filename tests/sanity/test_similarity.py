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

"""Tests of the similarity of maps, against scikit-image and ranks counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from monai_advexplain.sanity.similarity import foreground, map_similarity


def ranks(values: np.ndarray) -> np.ndarray:
    """Mean rank of each value, by counting."""
    return np.array([(values < v).sum() + ((values == v).sum() - 1) / 2 for v in values])


@pytest.mark.parametrize("size", [(16, 20), (12, 13, 14)])
def test_both_are_those_of_the_textbook_on_maps_divided_by_their_highest_value(size):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(2, 1, *size, generator=generator).mul(8).round() for _ in range(2))  # with ties
    found = map_similarity(a, b)
    for index in range(2):
        x, y = (maps[index, 0].double().numpy() for maps in (a, b))
        wanted = structural_similarity(
            x / x.max(), y / y.max(), data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert found["ssim"][index] == pytest.approx(wanted, abs=1e-6)
        rank_x, rank_y = ranks(x.ravel()), ranks(y.ravel())
        assert found["spearman"][index] == pytest.approx(np.corrcoef(rank_x, rank_y)[0, 1])


def test_a_maps_scale_does_not_matter_and_equal_maps_are_alike_and_opposite_ones_are_not():
    maps = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    same, opposite = map_similarity(maps, 1e-3 * maps), map_similarity(maps, 1 - maps)
    assert same["ssim"] == pytest.approx(1.0)
    assert same["spearman"] == pytest.approx(1.0)
    assert opposite["spearman"] == pytest.approx(-1.0)
    assert opposite["ssim"] < 0


def test_a_constant_map_is_like_another_constant_map_only():
    maps = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    nothing = torch.zeros(1, 1, 16, 16)
    assert map_similarity(maps, nothing)["spearman"] == 0
    assert map_similarity(nothing, nothing)["spearman"] == 1


@pytest.mark.parametrize("dims", [2, 3])
def test_a_background_that_both_maps_leave_alone_makes_them_alike_only_where_it_is_counted(dims):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 1, *[12] * dims, generator=generator).clamp(min=0.2)
    images[:, :, :6] = 0.0
    maps, others = (torch.rand(images.shape, generator=generator) * (images > 0) for _ in range(2))
    there = foreground(images, 0.05)
    assert torch.equal(there, images > 0)
    assert foreground(images, 0.0).all()
    assert foreground(torch.zeros(1, 1, 4, 4), 0.05).all()
    assert (map_similarity(maps, others)["spearman"] > 0.5).all()
    assert (np.abs(map_similarity(maps, others, there)["spearman"]) < 0.25).all()


def test_maps_of_different_images_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 1, 16, 16\)"):
        map_similarity(torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 17))
