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

"""AUC_Loc against plain NumPy, scikit-learn and its own properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from monai_advexplain.metrics import PARTIAL_MAX_SHARE, auc_loc, localisation_curve, pooled_auc_loc
from tests.metrics.cases import SIZES, random_case

SEEDS = range(5)


def reference_curve(image_map: np.ndarray, mask: np.ndarray, num_thresholds: int):
    """One image, one threshold at a time, as the docstring says it."""
    values, inside = image_map.ravel(), mask.ravel() == 1
    descending = sorted(values, reverse=True)
    points = []
    for k in range(num_thresholds):
        rank = max(1, k * len(values) // (num_thresholds - 1))
        kept = values >= descending[rank - 1]
        hits = (kept & inside).sum()
        points.append((hits / kept.sum(), hits / inside.sum(), kept.sum() / len(values)))
    return np.array(points).T


def reference_area(precision, recall, kept_share, max_share: float) -> float:
    area, previous = 0.0, 0.0
    for p, r, share in zip(precision, recall, kept_share, strict=True):
        if share <= max_share:
            area += p * (r - previous)
        previous = r
    return area


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("num_thresholds", [2, 11, 101, 400])
def test_curve_and_areas_equal_a_plain_loop(size, num_thresholds, levels):
    maps, masks = random_case(0, size, levels=levels)
    curves = localisation_curve(maps, masks, num_thresholds)
    expected = [reference_curve(m.numpy(), g.numpy(), num_thresholds) for m, g in zip(maps, masks, strict=True)]
    for curve, reference in zip(curves, np.stack(expected, axis=1), strict=True):
        np.testing.assert_allclose(curve.numpy(), reference, rtol=1e-12)
    for max_share in (1.0, 0.5, PARTIAL_MAX_SHARE):
        areas = [reference_area(*curve, max_share) for curve in expected]
        np.testing.assert_allclose(auc_loc(maps, masks, max_share, num_thresholds).numpy(), areas, atol=1e-12)
        pooled = reference_area(*np.mean(expected, axis=0), max_share + 1e-9)
        assert pooled_auc_loc(*curves, max_share).item() == pytest.approx(pooled, abs=1e-12)


@pytest.mark.parametrize("levels", [None, 5])
@pytest.mark.parametrize("seed", SEEDS)
def test_all_distinct_thresholds_give_scikit_learns_average_precision(seed, levels):
    maps, masks = random_case(seed, levels=levels)
    expected = [average_precision_score(g.flatten(), m.flatten()) for m, g in zip(maps, masks, strict=True)]
    np.testing.assert_allclose(auc_loc(maps, masks, num_thresholds=None).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_area_depends_on_the_order_of_the_values_only(seed):
    maps, masks = random_case(seed, levels=50)
    for transform in (torch.exp, lambda m: 1e-6 * m.double() - 3, lambda m: m.double() ** 5):
        assert torch.equal(auc_loc(transform(maps), masks), auc_loc(maps, masks))


@pytest.mark.parametrize("seed", SEEDS)
def test_area_ignores_where_the_pixels_are(seed):
    maps, masks = random_case(seed, levels=20)
    order = torch.randperm(maps[0].numel(), generator=torch.Generator().manual_seed(seed))
    moved = [tensor.flatten(1)[:, order].reshape(tensor.shape) for tensor in (maps, masks)]
    torch.testing.assert_close(auc_loc(*moved), auc_loc(maps, masks), rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_thresholds", [None, 101])
def test_a_map_that_equals_the_mask_has_area_one(num_thresholds):
    _, masks = random_case(0)
    torch.testing.assert_close(auc_loc(masks, masks, num_thresholds=num_thresholds), torch.ones(3).double())
    torch.testing.assert_close(auc_loc(masks, masks, PARTIAL_MAX_SHARE, num_thresholds), torch.ones(3).double())


@pytest.mark.parametrize("num_thresholds", [None, 2, 101])
def test_a_constant_map_has_the_masks_share_in_total_and_nothing_in_part(num_thresholds):
    _, masks = random_case(1)
    constant = torch.full_like(masks, 0.3)
    share = masks.double().flatten(1).mean(dim=1)
    torch.testing.assert_close(auc_loc(constant, masks, num_thresholds=num_thresholds), share)
    assert torch.equal(auc_loc(constant, masks, 0.99, num_thresholds), torch.zeros(3).double())


def test_a_mostly_zero_map_has_its_plateau_at_the_last_point():
    maps, masks = torch.zeros(1, 1, 10, 10), torch.zeros(1, 1, 10, 10)
    masks[0, 0, :2] = 1  # 20 pixels
    maps[0, 0, 0, :5] = torch.arange(1.0, 6.0)  # 5 of them, the rest is one plateau
    assert auc_loc(maps, masks).item() == pytest.approx(0.25 * 1.0 + 0.75 * 0.2)
    assert auc_loc(maps, masks, max_share=0.2).item() == pytest.approx(0.25)


@pytest.mark.parametrize("levels", [None, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_areas_lie_between_zero_and_one_and_grow_with_the_share(seed, levels):
    maps, masks = random_case(seed, levels=levels)
    areas = torch.stack([auc_loc(maps, masks, share) for share in (0.05, PARTIAL_MAX_SHARE, 0.5, 1.0)])
    assert (areas[0] >= 0).all()
    assert (areas.diff(dim=0) >= 0).all()
    assert (areas[-1] <= 1).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_batch_gives_what_its_images_give_one_by_one(seed):
    maps, masks = random_case(seed, levels=9)
    single = torch.cat([auc_loc(m[None], g[None]) for m, g in zip(maps, masks, strict=True)])
    assert torch.equal(auc_loc(maps, masks), single)


def test_a_volume_gives_what_the_same_pixels_give_in_a_plane():
    maps, masks = random_case(2, (6, 5, 4))
    assert torch.equal(auc_loc(maps, masks), auc_loc(maps.reshape(3, 1, 30, 4), masks.reshape(3, 1, 30, 4)))


@pytest.mark.parametrize("size", [(96, 96), (224, 224), (37, 41)])
def test_a_map_without_ties_keeps_at_most_the_percentiles_share(size):
    maps, masks = random_case(3, size, batch=1)
    maps = maps.double() + 1e-9 * torch.arange(maps.numel()).reshape(maps.shape)
    kept_share = localisation_curve(maps, masks)[2][0]
    percentiles = torch.arange(101, dtype=torch.float64) / 100
    assert (kept_share[1:] <= percentiles[1:]).all()
    assert (kept_share >= percentiles - 1 / maps.numel()).all()
    assert kept_share[-1] == 1


def test_an_empty_mask_gives_nan_and_is_left_out_of_the_pool():
    maps, masks = random_case(4)
    masks[1] = 0
    areas = auc_loc(maps, masks)
    assert areas.isnan().tolist() == [False, True, False]
    others = localisation_curve(maps[[0, 2]], masks[[0, 2]])
    assert torch.equal(pooled_auc_loc(*localisation_curve(maps, masks)), pooled_auc_loc(*others))
    assert pooled_auc_loc(*localisation_curve(maps[1:2], masks[1:2])).isnan()


def test_pooling_one_image_many_times_gives_its_own_area_total_and_partial():
    maps, masks = random_case(5, (10, 10), batch=1)
    curves = localisation_curve(maps.repeat(3, 1, 1, 1), masks.repeat(3, 1, 1, 1))
    for max_share in (1.0, 0.6, PARTIAL_MAX_SHARE):
        assert pooled_auc_loc(*curves, max_share).item() == pytest.approx(auc_loc(maps, masks, max_share).item())


def test_half_precision_integer_and_bool_inputs_are_read_as_their_values():
    maps, masks = random_case(6, levels=16)
    for dtype in (torch.float16, torch.bfloat16):
        assert torch.equal(auc_loc(maps.to(dtype), masks.bool()), auc_loc(maps.to(dtype).float(), masks))
    assert torch.equal(auc_loc((maps * 16).to(torch.uint8), masks.to(torch.uint8)), auc_loc(maps, masks))


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        (torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 5), r"one shape, got \(2, 1, 4, 4\) and \(2, 1, 4, 5\)"),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4), r"\(B, 1, \*spatial\).*got \(2, 3, 4, 4\)"),
        (torch.zeros(2, 1), torch.zeros(2, 1), r"got \(2, 1\)"),
        (torch.zeros(2, 1, 0, 4), torch.zeros(2, 1, 0, 4), r"with pixels, got \(2, 1, 0, 4\)"),
        (torch.tensor([[[[0.0, float("nan")]]]]), torch.zeros(1, 1, 1, 2), "got 1 values that are NaN"),
        (torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.0, 255.0]]]]), "0 and 1 only, got 255.0"),
    ],
)
def test_bad_input_is_refused_with_what_was_found(maps, masks, message):
    with pytest.raises(ValueError, match=message):
        auc_loc(maps, masks)


def test_bad_parameters_are_refused():
    maps, masks = random_case(0)
    with pytest.raises(ValueError, match=r"max_share must lie in \(0, 1\], got 0"):
        auc_loc(maps, masks, max_share=0)
    with pytest.raises(ValueError, match="num_thresholds must be None or at least 2, got 1"):
        auc_loc(maps, masks, num_thresholds=1)
    with pytest.raises(ValueError, match=r"\(B, K\), got \(101,\)"):
        pooled_auc_loc(*(curve[0] for curve in localisation_curve(maps, masks)))
