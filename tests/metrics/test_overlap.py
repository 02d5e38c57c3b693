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

"""IoU and NCC against scikit-learn and NumPy, one image at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score

from monai_advexplain.metrics import PERCENTILE_SHARES, iou_at_mask_area, iou_at_share, localisation_curve, ncc
from tests.metrics.cases import SIZES, random_case

SHARES = (0.0, 0.07, 0.29, 0.5, 1.0)


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("size", SIZES)
def test_iou_at_share_is_scikit_learns_jaccard_of_the_pixels_at_or_above_the_rank(size, levels):
    maps, masks = random_case(0, size, levels=levels)
    ious = iou_at_share(maps, masks, SHARES)
    for i, k in np.ndindex(3, len(SHARES)):
        values = maps[i].flatten().numpy()
        rank = max(1, math.floor(SHARES[k] * len(values)))
        kept = values >= sorted(values, reverse=True)[rank - 1]
        assert ious[i, k].item() == pytest.approx(jaccard_score(masks[i].flatten(), kept))


@pytest.mark.parametrize("size", [(10, 10), (13, 9), (7, 6, 5), (96, 96)])
def test_percentile_shares_are_the_thresholds_of_the_localisation_curve(size):
    maps, masks = random_case(1, size, levels=300)
    precision, recall, _ = (values[:, 1:] for values in localisation_curve(maps, masks))
    expected = (precision * recall / (precision + recall - precision * recall)).nan_to_num(0)
    torch.testing.assert_close(iou_at_share(maps, masks, PERCENTILE_SHARES), expected)


@pytest.mark.parametrize("size", SIZES)
def test_iou_at_mask_area_is_scikit_learns_jaccard_of_as_many_pixels_as_the_mask_has(size):
    maps, masks = random_case(2, size)
    for image_map, mask, iou in zip(maps, masks, iou_at_mask_area(maps, masks), strict=True):
        kept = torch.zeros(mask.numel())
        kept[image_map.flatten().argsort(descending=True)[: int(mask.sum())]] = 1
        assert iou.item() == pytest.approx(jaccard_score(mask.flatten(), kept))


@pytest.mark.parametrize("size", SIZES)
def test_tied_pixels_share_the_places_left_equally(size):
    maps, masks = random_case(3, size, levels=3)
    for image_map, mask, iou in zip(maps, masks, iou_at_mask_area(maps, masks), strict=True):
        pixels = sorted(zip(image_map.flatten().tolist(), mask.flatten().tolist(), strict=True), reverse=True)
        area = int(mask.sum())
        last = pixels[area - 1][0]
        places = area - sum(value > last for value, _ in pixels)
        tied = [inside for value, inside in pixels if value == last]
        assert len(tied) > places
        hits = sum(inside for value, inside in pixels if value > last) + places * sum(tied) / len(tied)
        assert iou.item() == pytest.approx(hits / (2 * area - hits))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_ncc_is_numpys_correlation_at_any_scale(size, scale):
    maps, masks = random_case(4, size)
    expected = [np.corrcoef(m.flatten().double(), g.flatten())[0, 1] for m, g in zip(maps, masks, strict=True)]
    np.testing.assert_allclose(ncc(scale * maps.double(), masks), expected, rtol=1e-9)


def test_ncc_of_a_mask_that_is_the_whole_image_is_nan():
    maps, masks = random_case(5)
    for image_maps in (maps, torch.zeros_like(maps)):
        assert ncc(image_maps, torch.ones_like(masks)).isnan().all()


def test_a_share_outside_the_image_is_refused():
    with pytest.raises(ValueError, match=r"shares must lie in \[0, 1\], got 10"):
        iou_at_share(*random_case(0), shares=(0.1, 10))
