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

"""Consistency: the pair's map against the teacher's, and whom it teaches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_advexplain.losses import Consistency, ExplainerLoss, ExplanationStep
from tests.small import images


def make_step(dims=2, channels=1, teacher=None):
    named = {name: images(3, channels, dims, seed) for seed, name in enumerate(("image", "similar", "adversarial"))}
    for image in named.values():
        image.requires_grad_()
    return ExplanationStep(named, torch.tensor([1.0, 0.0, 1.0]), lambda x: x.flatten(1).mean(1)[None], teacher=teacher)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dims", [2, 3])
def test_it_is_the_mean_absolute_and_squared_error_of_the_map(dims, channels):
    taught = images(3, 1, dims, seed=7)
    step = make_step(dims, channels, lambda image: taught)
    pair = (step["similar"] - step["adversarial"]).detach().numpy()
    error = np.abs(pair).mean(axis=1, keepdims=True) - taught.numpy()
    assert Consistency()(step).item() == pytest.approx(np.abs(error).mean() + (error**2).mean(), rel=1e-5)


def test_the_teacher_sees_the_image_and_learns_nothing():
    weight = torch.tensor(0.5, requires_grad=True)
    step = make_step(teacher=lambda image: weight * image)
    Consistency()(step).backward()
    assert weight.grad is None
    assert step["image"].grad is None
    assert all(step[name].grad.abs().sum() > 0 for name in ("similar", "adversarial"))


def test_it_vanishes_where_the_pair_shows_what_the_teacher_shows():
    step = make_step()
    shown = (step["image"] - step["adversarial"]).abs().detach()
    agreeing = make_step(teacher=lambda image: shown)
    assert Consistency("image", "adversarial")(agreeing).item() == 0.0
    assert Consistency("similar", "adversarial")(agreeing).item() > 0.0


def test_a_resting_teacher_costs_nothing_and_a_missing_one_is_named():
    loss = ExplainerLoss("similar_adversarial", weights={"consistency": 5.0})
    values = loss(make_step(teacher=lambda image: None))
    assert values["consistency"].item() == 0.0
    with pytest.raises(ValueError, match=r"teacher.*consistency"):
        loss(make_step())
