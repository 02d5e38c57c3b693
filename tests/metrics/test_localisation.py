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

"""What all localisation metrics have in common, and their closed forms."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_advexplain.metrics import (
    PARTIAL_MAX_SHARE,
    auc_loc,
    iou_at_mask_area,
    iou_at_share,
    localisation_scores,
    ncc,
    pointing_game,
    relevance_mass,
)
from tests.metrics.cases import SIZES, random_case

RANK_BASED = ("auc_loc_total", "auc_loc_partial", "iou_at_mask_area", "iou_best", "pointing")


def assert_scores(scores, expected):
    assert scores.keys() == expected.keys()
    for name, score in scores.items():
        torch.testing.assert_close(
            score, torch.as_tensor(expected[name]).double().expand_as(score), msg=name, equal_nan=True
        )


@pytest.fixture(params=SIZES, ids=["2D", "3D"])
def case(request):
    return random_case(0, request.param, levels=40)


def test_scores_are_those_of_the_single_metrics(case):
    assert_scores(
        localisation_scores(*case),
        {
            "auc_loc_total": auc_loc(*case),
            "auc_loc_partial": auc_loc(*case, PARTIAL_MAX_SHARE),
            "iou_at_mask_area": iou_at_mask_area(*case),
            "iou_best": torch.stack([iou_at_share(*case, [k / 100])[:, 0] for k in range(1, 101)]).amax(dim=0),
            "ncc": ncc(*case),
            "pointing": pointing_game(*case),
            "relevance_mass": relevance_mass(*case),
        },
    )


def test_a_map_that_equals_the_mask_scores_one_everywhere(case):
    _, masks = case
    assert_scores(localisation_scores(masks, masks), dict.fromkeys(localisation_scores(*case), 1.0))


def test_the_inverted_mask_scores_nothing_but_what_keeping_everything_gives(case):
    _, masks = case
    share = masks.flatten(1).double().mean(dim=1)
    assert_scores(
        localisation_scores(1 - masks, masks),
        {
            "auc_loc_total": share,
            "auc_loc_partial": 0.0,
            "iou_at_mask_area": 0.0,
            "iou_best": share,
            "ncc": -1.0,
            "pointing": 0.0,
            "relevance_mass": 0.0,
        },
    )


@pytest.mark.parametrize("value", [0.0, 0.1, 7.0])
def test_a_constant_map_scores_what_blind_pixels_would(case, value):
    _, masks = case
    share = masks.flatten(1).double().mean(dim=1)
    assert_scores(
        localisation_scores(torch.full_like(masks, value), masks),
        {
            "auc_loc_total": share,
            "auc_loc_partial": 0.0,
            "iou_at_mask_area": share / (2 - share),
            "iou_best": share,
            "ncc": 0.0,
            "pointing": share,
            "relevance_mass": share if value else 0.0,
        },
    )


def test_a_batch_gives_what_its_images_give_one_by_one(case):
    together = localisation_scores(*case)
    single = [localisation_scores(m[None], g[None]) for m, g in zip(*case, strict=True)]
    for name, score in together.items():
        assert score.shape == (3,)
        torch.testing.assert_close(score, torch.cat([scores[name] for scores in single]), rtol=1e-12, atol=0)


def test_moving_the_pixels_of_map_and_mask_together_changes_nothing(case):
    order = torch.randperm(case[0][0].numel(), generator=torch.Generator().manual_seed(0))
    moved = [tensor.flatten(1)[:, order].reshape(tensor.shape) for tensor in case]
    assert_scores(localisation_scores(*moved), localisation_scores(*case))


def test_monotone_transformations_change_no_rank_based_score(case):
    maps, masks = case
    scores = localisation_scores(maps, masks)
    for transform in (torch.exp, lambda m: 1e-6 * m.double() + 3, lambda m: m.double() ** 5):
        transformed = localisation_scores(transform(maps), masks)
        assert all(torch.equal(transformed[name], scores[name]) for name in RANK_BASED)
        assert not torch.equal(transformed["relevance_mass"], scores["relevance_mass"])


def test_scaling_changes_no_score_and_an_offset_not_the_correlation(case):
    maps, masks = case
    assert_scores(localisation_scores(3 * maps.double(), masks), localisation_scores(maps.double(), masks))
    torch.testing.assert_close(ncc(maps.double() + 2, masks), ncc(maps.double(), masks))


def test_an_empty_mask_gives_nan_everywhere_and_for_this_image_only(case):
    maps, masks = case
    masks[1] = 0
    for score in localisation_scores(maps, masks).values():
        assert score.isnan().tolist() == [False, True, False]


def test_plain_tensors_come_out_and_inputs_stay(case):
    maps, masks = case
    before = maps.clone(), masks.clone()
    scores = localisation_scores(MetaTensor(maps), MetaTensor(masks.bool()))
    assert_scores(scores, localisation_scores(maps, masks))
    assert {type(score) for score in scores.values()} == {torch.Tensor}
    assert torch.equal(maps, before[0])
    assert torch.equal(masks, before[1])


def test_nothing_is_computed_elsewhere_than_on_the_device_of_the_inputs(case):
    expected = localisation_scores(*case) | {"tolerant": pointing_game(*case, tolerance=2)}
    with torch.device("meta"):  # a tensor made without naming the device lands there and meets one of the CPU
        scores = localisation_scores(*case) | {"tolerant": pointing_game(*case, tolerance=2)}
    assert_scores(scores, expected)
