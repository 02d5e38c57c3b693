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

"""Every loss term against a plain NumPy computation, in 2D and 3D."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from monai_advexplain.losses import (
    Area,
    DecisionFlip,
    DecisionPreservation,
    DecisionReinforcement,
    Distance,
    ExplanationStep,
    MarginEstimate,
    Sparsity,
    TotalVariation,
)
from tests.small import images

DIMS = pytest.mark.parametrize("dims", [2, 3])
MARGINS = {
    "image": torch.tensor([[1.5, -1.0, 0.25], [-0.5, 2.0, -1.0]]),
    "similar": torch.tensor([[2.0, -3.0, 0.5], [0.2, -0.1, -4.0]]),
    "adversarial": torch.tensor([[-1.0, 5.0, 0.0], [3.0, 0.5, -0.5]]),
}


def step_of(dims, target=(1.0, 0.0, 1.0)):
    """Three images of two channels; the critic knows the margins of two draws by the image that it is shown."""
    named = {name: images(3, 2, dims, seed) for seed, name in enumerate(("image", "similar", "adversarial"))}

    def critic(shown):
        (name,) = [n for n in MARGINS if shown is named[n]]
        return MARGINS[name]

    return ExplanationStep(named, torch.tensor(target), critic)


def mean_over(margins, target, one):
    """Mean of a loss of one margin and one wanted decision over draws and images."""
    values = [one(float(m), float(y)) for row in margins for m, y in zip(row, target, strict=True)]
    return torch.tensor(float(sum(values) / len(values)))


def cross_entropy(margin, wanted):
    p = 1 / (1 + np.exp(-margin))
    return -wanted * np.log(p) - (1 - wanted) * np.log(1 - p)


@pytest.mark.parametrize("target", [(1.0, 0.0, 1.0), (0.9, 0.2, 0.5)], ids=["hard", "soft"])
@pytest.mark.parametrize(("form", "reach"), [("cross_entropy", 1.0), ("hinge", 1.0), ("hinge", 2.5)])
def test_preservation_and_flip_equal_a_plain_mean_over_draws_and_images(target, form, reach):
    def hinge(margin, wanted):
        return max(0.0, reach - (2 * wanted - 1) * margin)

    one = cross_entropy if form == "cross_entropy" else hinge
    preservation = DecisionPreservation("similar", form, reach)(step_of(2, target))
    torch.testing.assert_close(preservation, mean_over(MARGINS["similar"], target, one))
    flip = DecisionFlip("adversarial", form, reach)(step_of(2, target))
    torch.testing.assert_close(flip, mean_over(MARGINS["adversarial"], [1 - y for y in target], one))


@pytest.mark.parametrize(("term", "side"), [(DecisionPreservation, 1.0), (DecisionFlip, -1.0)])
def test_a_hinge_is_zero_and_stops_pushing_beyond_its_reach(term, side):
    for margin, loss, slope in ((2.1, 0.0, 0.0), (1.5, 0.5, -1.0), (-1.0, 3.0, -1.0)):
        margins = torch.full((1, 4), side * margin, requires_grad=True)
        step = ExplanationStep({"x": torch.zeros(4, 1, 2, 2)}, torch.ones(4), lambda _, margins=margins: margins)
        value = term("x", "hinge", reach=2.0)(step)
        value.backward()
        torch.testing.assert_close(value.detach(), torch.tensor(loss))
        torch.testing.assert_close(margins.grad, torch.full((1, 4), side * slope / 4))


@pytest.mark.parametrize("target", [(1.0, 0.0, 1.0), (0.9, 0.2, 0.5)], ids=["hard", "soft"])
@pytest.mark.parametrize("gain", [0.4, 3.0])
def test_reinforcement_equals_a_plain_mean_of_what_is_missing_to_the_gain(target, gain):
    gained = (MARGINS["similar"] - MARGINS["image"]).numpy()
    missing = [max(0.0, gain - (2 * y - 1) * g) for row in gained for g, y in zip(row, target, strict=True)]
    wanted = torch.tensor(float(np.mean(missing)))
    torch.testing.assert_close(DecisionReinforcement("similar", gain)(step_of(2, target)), wanted)


def test_reinforcement_pushes_the_similar_image_only_and_stops_at_the_gain():
    for margin, slope in ((1.5, -1.0), (3.5, 0.0)):
        shown = {name: torch.zeros(4, 1, 2, 2) for name in ("image", "similar")}
        margins = {"image": torch.ones(1, 4, requires_grad=True)}
        margins["similar"] = torch.full((1, 4), margin, requires_grad=True)
        names = {id(image): name for name, image in shown.items()}
        step = ExplanationStep(shown, torch.ones(4), lambda x, m=margins, n=names: m[n[id(x)]])
        DecisionReinforcement(gain=2.0)(step).backward()
        assert margins["image"].grad is None
        torch.testing.assert_close(margins["similar"].grad, torch.full((1, 4), slope / 4))


def test_a_gain_that_asks_for_nothing_is_refused_with_its_value():
    with pytest.raises(ValueError, match=r"gain must be positive.*got 0"):
        DecisionReinforcement(gain=0)


def test_cross_entropy_of_half_precision_margins_is_computed_in_single_precision():
    margins = torch.tensor([[-40.0, 30.0]], dtype=torch.bfloat16)
    step = ExplanationStep({"similar": images()}, torch.ones(2), lambda _: margins)
    torch.testing.assert_close(DecisionPreservation()(step), torch.tensor(20.0))


@DIMS
@pytest.mark.parametrize("pair", [*itertools.combinations(("image", "similar", "adversarial"), 2)])
def test_distances_equal_plain_means(dims, pair):
    step = step_of(dims)
    difference = (step[pair[0]] - step[pair[1]]).numpy()
    l1, l2 = np.mean(np.abs(difference)), np.mean(difference**2)
    for norm, expected in (("l1", l1), ("l2", l2), ("l1+l2", l1 + l2)):
        torch.testing.assert_close(Distance(*pair, norm)(step), torch.tensor(float(expected)))


@DIMS
@pytest.mark.parametrize("pair", [("similar", "adversarial"), ("image", "adversarial"), ("image", None)])
def test_total_variation_equals_a_plain_walk_over_neighbours(dims, pair):
    step = step_of(dims)
    difference = step[pair[0]].numpy() - (step[pair[1]].numpy() if pair[1] else 0)
    expected = 0.0
    for axis in range(dims):
        jumps = []
        for index in np.ndindex(*difference.shape[2:]):
            following = tuple(i + (a == axis) for a, i in enumerate(index))
            if following[axis] < difference.shape[2 + axis]:
                at, beside = difference[(..., *index)], difference[(..., *following)]
                jumps.append(np.abs(beside - at).mean())
        expected += np.mean(jumps)
    torch.testing.assert_close(TotalVariation(*pair)(step), torch.tensor(float(expected)))


@DIMS
def test_total_variation_ignores_a_constant_change(dims):
    image = images(dims=dims)
    step = ExplanationStep({"similar": image, "adversarial": image + 0.25}, torch.ones(2), lambda x: x)
    torch.testing.assert_close(TotalVariation()(step), torch.tensor(0.0), atol=1e-6, rtol=0)


@DIMS
@pytest.mark.parametrize("scale", [0.05, 0.5])
def test_sparsity_equals_a_plain_smooth_count(dims, scale):
    step = step_of(dims)
    values = (step["similar"] - step["adversarial"]).numpy().ravel()
    expected = np.mean([d * d / (d * d + scale * scale) for d in values])
    torch.testing.assert_close(Sparsity(scale=scale)(step), torch.tensor(float(expected)))


def test_sparsity_counts_a_change_of_its_scale_as_half_a_pixel():
    similar = torch.zeros(1, 1, 4, 4)
    adversarial = similar.clone()
    adversarial[..., 0, 0] = -0.05
    adversarial[..., 1, 1] = 50.0
    step = ExplanationStep({"similar": similar, "adversarial": adversarial}, torch.ones(1), lambda x: x)
    torch.testing.assert_close(Sparsity()(step), torch.tensor(1.5 / 16))


@DIMS
@pytest.mark.parametrize("term", [Distance("similar", "adversarial", "l1+l2"), TotalVariation(), Sparsity()])
def test_the_gradient_of_two_equal_images_is_finite(dims, term):
    image = images(dims=dims).requires_grad_(True)
    term(ExplanationStep({"similar": image, "adversarial": image.detach()}, torch.ones(2), lambda x: x)).backward()
    assert torch.isfinite(image.grad).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DecisionFlip(form="focal"), "form must be one of .* got 'focal'"),
        (lambda: DecisionPreservation(form="focal"), "form must be one of .* got 'focal'"),
        (lambda: Distance("image", "similar", "l3"), "norm must be one of .* got 'l3'"),
    ],
)
def test_an_unknown_form_or_norm_is_refused_with_the_known_ones(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@DIMS
def test_the_area_of_a_mask_is_the_share_that_it_covers(dims):
    step = step_of(dims)
    torch.testing.assert_close(Area("similar")(step), torch.tensor(step["similar"].numpy().mean()))
    half = torch.zeros(2, 1, *[4] * dims)
    half[:, :, :2] = 1
    assert Area()(ExplanationStep({"mask": half}, torch.ones(2), lambda x: x)) == 0.5


def test_a_margin_estimate_costs_its_huber_distance_to_the_classifiers_margin():
    estimate, margin = torch.tensor([0.5, -2.0, 3.0]), torch.tensor([0.0, 1.0, 3.0])
    step = ExplanationStep({"estimate": estimate}, torch.ones(3), lambda shown: shown, margin)
    # 0.5^2 / 2 within one logit, |-3| - 1/2 beyond
    assert MarginEstimate()(step).item() == pytest.approx((0.125 + 2.5 + 0.0) / 3)
