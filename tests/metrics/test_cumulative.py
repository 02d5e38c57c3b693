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

"""The metrics that collect over batches give what the pure functions give on everything at once."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_advexplain.metrics import (
    AgreementRate,
    AUCLocMetric,
    auc_loc,
    flip_rate,
    localisation_curve,
    pooled_auc_loc,
    preservation_rate,
)


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    masks = (torch.rand(5, 1, 12, 10, generator=generator) < 0.2).float()
    maps = torch.rand(5, 1, 12, 10, generator=generator) + 0.5 * masks
    masks[3] = 0
    return maps, masks


@pytest.mark.parametrize("max_share", [1.0, 0.2])
def test_pooled_over_batches_equals_the_pooled_function(case, max_share):
    maps, masks = case
    metric = AUCLocMetric(max_share)
    metric(maps[:2], masks[:2])
    metric(maps[2:], masks[2:])
    assert torch.equal(metric.aggregate(), pooled_auc_loc(*localisation_curve(maps, masks), max_share))


@pytest.mark.parametrize("max_share", [1.0, 0.2])
def test_per_image_is_the_mean_over_images_that_have_a_mask(case, max_share):
    maps, masks = case
    metric = AUCLocMetric(max_share, num_thresholds=None, pooling="per_image")
    metric(maps, masks)
    expected = auc_loc(maps, masks, max_share, num_thresholds=None)
    assert torch.equal(metric.aggregate(), expected[[0, 1, 2, 4]].mean())
    torch.testing.assert_close(metric.get_buffer(), expected[:, None], equal_nan=True)


@pytest.mark.parametrize("pooling", ["pooled", "per_image"])
def test_lists_of_channel_first_tensors_equal_batches(case, pooling):
    maps, masks = case
    batched, listed = AUCLocMetric(pooling=pooling), AUCLocMetric(pooling=pooling)
    batched(maps, masks)
    listed([MetaTensor(m) for m in maps], [MetaTensor(m) for m in masks])
    assert torch.equal(batched.aggregate(), listed.aggregate())
    assert type(listed.aggregate()) is torch.Tensor


def test_images_of_different_sizes_are_pooled_at_each_percentile(case):
    maps, masks = case
    metric = AUCLocMetric()
    metric([maps[0], maps[1, :, :7, :7]], [masks[0], masks[1, :, :7, :7]])
    curves = [localisation_curve(maps[:1], masks[:1]), localisation_curve(maps[1:2, :, :7, :7], masks[1:2, :, :7, :7])]
    pooled = pooled_auc_loc(*(torch.cat(pair) for pair in zip(*curves, strict=True)))
    assert torch.equal(metric.aggregate(), pooled)


@pytest.mark.parametrize("pooling", ["pooled", "per_image"])
def test_only_empty_masks_give_nan(case, pooling):
    maps, masks = case
    metric = AUCLocMetric(pooling=pooling)
    metric(maps[3:4], masks[3:4])
    assert metric.aggregate().isnan()


def test_reset_forgets_what_was_collected(case):
    maps, masks = case
    metric = AUCLocMetric(pooling="per_image")
    metric(maps[:2], masks[:2])
    metric.reset()
    metric(maps[2:3], masks[2:3])
    assert metric.aggregate() == auc_loc(maps[2:3], masks[2:3])


@pytest.mark.parametrize("metric", [AUCLocMetric(), AgreementRate(agree=True)])
def test_aggregating_nothing_is_an_error(metric):
    with pytest.raises(ValueError, match="has collected no image"):
        metric.aggregate()


def test_bad_parameters_are_refused_when_constructed():
    with pytest.raises(ValueError, match=r"pooling must be one of .* got 'mean'"):
        AUCLocMetric(pooling="mean")
    with pytest.raises(ValueError, match="num_thresholds must be a number"):
        AUCLocMetric(num_thresholds=None)
    with pytest.raises(ValueError, match="max_share"):
        AUCLocMetric(max_share=1.5)


def test_missing_ground_truth_is_refused(case):
    with pytest.raises(ValueError, match="y must be the masks, got None"):
        AUCLocMetric()(case[0])
    with pytest.raises(ValueError, match="y must be the decisions"):
        AgreementRate(agree=True)(torch.ones(2, 1))


@pytest.mark.parametrize(("agree", "function"), [(True, preservation_rate), (False, flip_rate)])
def test_agreement_rate_weighs_images_not_batches(agree, function):
    decision = torch.tensor([True, False, True, True, False])
    other = torch.tensor([True, True, True, False, True])
    metric = AgreementRate(agree)
    metric(other[:1, None], decision[:1, None])
    metric(list(other[1:, None]), list(decision[1:, None]))
    assert metric.aggregate().item() == pytest.approx(function(decision, other).item())
    flat = AgreementRate(agree)
    flat(other, decision.float())
    assert torch.equal(flat.aggregate(), metric.aggregate())


def test_agreement_rate_refuses_probabilities_and_several_columns():
    metric = AgreementRate(agree=True)
    with pytest.raises(ValueError, match=r"y_pred must be bool or 0 and 1, got values from 0\.25"):
        metric(torch.tensor([[0.25]]), torch.tensor([[True]]))
    with pytest.raises(ValueError, match=r"y must be decisions of shape .* got \(2, 3\)"):
        metric(torch.ones(2, 1), torch.ones(2, 3))
