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

"""Realism and the discriminator's own terms against plain NumPy, and whom each of them teaches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_advexplain.losses import (
    ExplainerLoss,
    ExplanationStep,
    GradientPenalty,
    JudgedGenerated,
    JudgedReal,
    Realism,
)
from tests.small import images

TARGET = (1.0, 0.0, 1.0)
DIMS = pytest.mark.parametrize("dims", [2, 3])


class PixelDiscriminator(torch.nn.Module):
    """Verdict a_d u^2 + b_d on every pixel u of the first channel, for decision d."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor([0.5, -1.5]))
        self.b = torch.nn.Parameter(torch.tensor([0.1, 0.7]))

    def forward(self, image, decision):
        index = (decision > 0.5).long()
        shape = [-1] + [1] * (image.ndim - 2)
        return self.a[index].reshape(shape) * image[:, 0].square() + self.b[index].reshape(shape)


def make_step(dims=2, discriminator=None, target=TARGET):
    named = {name: images(3, 1, dims, seed) for seed, name in enumerate(("image", "adversarial"))}
    for image in named.values():
        image.requires_grad_()
    return ExplanationStep(
        named, torch.tensor(target), lambda x: x, discriminator=discriminator or PixelDiscriminator()
    )


def verdicts(image, decisions):
    """The plain verdicts of PixelDiscriminator."""
    a, b = (0.5, -1.5), (0.1, 0.7)
    return np.stack([a[int(d)] * u[0] ** 2 + b[int(d)] for u, d in zip(image.detach().numpy(), decisions, strict=True)])


def plain_loss(values, real, criterion):
    if criterion == "least_squares":  # MONAI's has a leaky ReLU before it
        return np.mean((np.where(values > 0, values, 0.05 * values) - real) ** 2)
    if criterion == "bce":
        p = 1 / (1 + np.exp(-values))
        return -np.mean(np.log(p if real else 1 - p))
    return np.mean(np.maximum(0, 1 - (1 if real else -1) * np.tanh(values)))


@DIMS
@pytest.mark.parametrize("criterion", ["least_squares", "bce", "hinge"])
def test_verdicts_are_held_against_real_and_generated_in_the_channel_of_the_claimed_decision(dims, criterion):
    step = make_step(dims)
    same, opposite = TARGET, [1 - y for y in TARGET]
    for term, name, decisions, real in (
        (Realism, "adversarial", opposite, True),
        (JudgedReal, "image", same, True),
        (JudgedGenerated, "adversarial", opposite, False),
    ):
        expected = plain_loss(verdicts(step[name], decisions), real, criterion)
        torch.testing.assert_close(term(criterion=criterion)(step), torch.tensor(float(expected)))


@DIMS
def test_the_gradient_penalty_is_the_mean_squared_norm_of_the_gradient_of_the_mean_verdict(dims):
    step = make_step(dims)
    pixels = step["image"][0].numel()
    plain = [
        np.sum((2 * a * u.detach().numpy() / pixels) ** 2)
        for u, a in zip(step["image"], (-1.5, 0.5, -1.5), strict=True)
    ]
    torch.testing.assert_close(GradientPenalty()(step), torch.tensor(float(np.mean(plain))))


def test_each_term_teaches_its_own_side_only():
    discriminator = PixelDiscriminator()
    step = make_step(discriminator=discriminator)
    for term in (JudgedReal("image"), JudgedGenerated(), GradientPenalty()):
        discriminator.zero_grad()
        term(step).backward()
        assert discriminator.a.grad.abs().sum() > 0
        assert step["adversarial"].grad is None
    Realism()(step).backward()
    assert step["adversarial"].grad.abs().sum() > 0


def test_a_soft_decision_is_rounded():
    discriminator = PixelDiscriminator()
    soft, hard = (make_step(discriminator=discriminator, target=target) for target in ((0.9, 0.2, 0.6), TARGET))
    for term in (Realism(), JudgedReal(), JudgedGenerated(), GradientPenalty()):
        assert torch.equal(term(soft), term(hard))


@pytest.mark.parametrize("criterion", ["least_squares", "bce", "hinge"])
def test_half_precision_verdicts_are_judged_in_single_precision(criterion):
    step = make_step(discriminator=lambda image, decision: (image * 20).to(torch.bfloat16))
    with torch.autocast("cpu"):
        value = Realism(criterion=criterion)(step)
    assert value.dtype == torch.float32
    assert torch.isfinite(value)


def test_the_discriminators_recipe_counts_real_and_generated_images_alike():
    loss = ExplainerLoss("discriminator")
    step = make_step()
    values = loss(step)
    expected = (values["real"] + values["generated"]) / 2 + values["gradient_penalty"]
    torch.testing.assert_close(loss.total(values), expected)


@pytest.mark.parametrize("term", [Realism, JudgedReal, JudgedGenerated])
def test_an_unknown_criterion_is_refused_with_the_known_ones(term):
    with pytest.raises(ValueError, match=r"criterion must be one of .*'least_squares'.* got 'wasserstein'"):
        term(criterion="wasserstein")


@pytest.mark.parametrize("term", [Realism(), JudgedReal(), JudgedGenerated(), GradientPenalty()])
def test_without_a_discriminator_a_term_says_which_arguments_are_missing(term):
    step = ExplanationStep({"image": images(), "adversarial": images()}, torch.ones(2), lambda x: x)
    with pytest.raises(ValueError, match="give the trainer discriminator and discriminator_optimizer"):
        term(step)
