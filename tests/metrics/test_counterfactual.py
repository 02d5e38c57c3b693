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

"""The scores of generated images, put together from the single metrics."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_advexplain.decision import Decision
from monai_advexplain.metrics import counterfactual_scores, l1_change, sparsity_of_change, ssim
from tests.small import assert_unchanged, classifier, images, snapshot


def mean_intensity(shown):
    return shown.flatten(1).mean(dim=1)


@pytest.mark.parametrize("dims", [2, 3])
def test_scores_are_those_of_the_single_metrics_and_of_the_decision(dims):
    shown, similar, adversarial = (images(9, dims=dims, seed=seed) for seed in range(3))
    net, decision = classifier(dims), Decision(threshold=0.515)
    with torch.no_grad():
        spread = decision.probability(net(torch.cat([shown, similar, adversarial])))
        decision = Decision(threshold=spread.median().item() + 1e-6)
        hard = [decision.hard(net(x)) for x in (shown, similar, adversarial)]
    scores = counterfactual_scores(
        shown,
        similar,
        adversarial,
        lambda x: decision.probability(net(x)),
        threshold=decision.threshold,
        change_threshold=0.3,
        batch_size=4,
    )
    expected = {
        "flipped": (hard[0] != hard[2]).double(),
        "preserved": (hard[0] == hard[1]).double(),
        "l1_similar": l1_change(shown, similar),
        "l1_adversarial": l1_change(similar, adversarial),
        "ssim_similar": ssim(shown, similar),
        "ssim_adversarial": ssim(similar, adversarial),
        "sparsity": sparsity_of_change(similar, adversarial, 0.3),
    }
    assert scores.keys() == expected.keys()
    for name, score in scores.items():
        assert score.shape == (9,)
        assert torch.equal(score, expected[name]), name
    for name in ("flipped", "preserved"):
        assert 0 < scores[name].sum() < 9


def test_flips_count_in_both_directions():
    values = torch.tensor([0.2, 0.2, 0.8, 0.8])
    shown, similar, adversarial = (
        v[:, None, None, None].expand(-1, 1, 12, 12) for v in (values, values.flip(0), torch.full((4,), 0.8))
    )
    scores = counterfactual_scores(shown, similar, adversarial, mean_intensity)
    assert scores["flipped"].tolist() == [1, 1, 0, 0]
    assert scores["preserved"].tolist() == [0, 0, 0, 0]
    assert counterfactual_scores(shown, shown, shown, mean_intensity)["preserved"].tolist() == [1, 1, 1, 1]


def test_an_in_place_classifier_in_training_mode_and_the_images_stay_as_they_were():
    class Probability(nn.Sequential):
        def forward(self, x):
            return Decision().probability(super().forward(x.sub_(0.5)))

    net = Probability(nn.ReLU(inplace=True), classifier().train())
    three = [images(2, seed=seed) for seed in range(3)]
    before, copies = snapshot(net), [x.clone() for x in three]
    counterfactual_scores(*three, net)
    assert_unchanged(net, before)
    assert all(torch.equal(x, copy) for x, copy in zip(three, copies, strict=True))


def test_bad_input_is_refused_with_what_was_found():
    shown = images(2)
    with pytest.raises(ValueError, match=r"one shape, got \(2, 1, 16, 12\), \(1, 1, 16, 12\)"):
        counterfactual_scores(shown, shown, shown[:1], mean_intensity)
    with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
        counterfactual_scores(shown, shown, shown, lambda x: x.flatten(1).sum(1))
    with pytest.raises(ValueError, match=r"threshold must lie in \(0, 1\), got 1"):
        counterfactual_scores(shown, shown, shown, mean_intensity, threshold=1)
