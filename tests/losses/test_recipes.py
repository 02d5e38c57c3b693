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

"""Recipes: weights by name, terms left out, and how often the classifier is asked."""

from __future__ import annotations

import pytest
import torch

from monai_advexplain.losses import RECIPES, Distance, ExplainerLoss, ExplanationStep
from tests.small import images


class CountingCritic:
    """Margins (2, B) of an image; remembers how often it was asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, shown):
        self.calls += 1
        return torch.stack([shown.flatten(1).sum(dim=1), shown.flatten(1).mean(dim=1)])


def make_step():
    critic = CountingCritic()
    names = ("image", "similar", "adversarial", "mask", "cycle")
    named = {name: images(seed=seed) for seed, name in enumerate(names)}
    named["estimate"] = torch.tensor([0.5, -2.0])
    target, margin = torch.tensor([1.0, 0.0]), torch.tensor([1.5, 0.5])
    step = ExplanationStep(named, target, critic, margin, lambda shown, _: shown.square(), lambda image: image / 2)
    return step, critic


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_total_is_the_weighted_sum_of_the_terms_of_the_recipe(recipe):
    loss = ExplainerLoss(recipe)
    step, _ = make_step()
    values = loss(step)
    used = {name: weighted for name, weighted in RECIPES[recipe].items() if weighted.weight}
    assert list(values) == list(used)
    assert all(value.shape == () for value in values.values())
    expected = sum(weighted.weight * weighted.term(step).item() for weighted in used.values())
    assert loss.total(values).item() == pytest.approx(expected)
    assert all(torch.equal(values[name], weighted.term(step)) for name, weighted in used.items())


def test_every_weight_of_a_recipe_can_be_overridden_by_name_without_changing_the_recipe():
    weights = {name: 0.5 + i for i, name in enumerate(RECIPES["similar_adversarial"])}
    loss = ExplainerLoss("similar_adversarial", weights=weights)
    step, _ = make_step()
    values = loss(step)
    assert {name: weighted.weight for name, weighted in loss.terms.items()} == weights
    expected = sum(weights[name] * float(value) for name, value in values.items())
    assert loss.total(values).item() == pytest.approx(expected)
    assert RECIPES["similar_adversarial"]["flip"].weight == 1.0
    assert "sparsity" not in ExplainerLoss("similar_adversarial")(step)


def test_a_weight_of_zero_leaves_the_term_out_and_then_the_classifier_is_not_asked():
    step, critic = make_step()
    assert set(ExplainerLoss("naive", weights={"flip": 0.0})(step)) == {"image_adversarial", "variation"}
    assert critic.calls == 0
    only_flip = {"preservation": 0.0}
    ExplainerLoss("similar_adversarial", weights=only_flip)(step)
    assert critic.calls == 1


def test_the_critic_is_asked_once_for_each_name_however_many_terms_ask():
    step, critic = make_step()
    terms = {"again": RECIPES["similar_adversarial"]["flip"].term}
    values = ExplainerLoss("similar_adversarial", weights={"again": 1.0}, terms=terms)(step)
    assert torch.equal(values["again"], values["flip"])
    assert critic.calls == 2
    assert step.margin("similar") is step.margin("similar")
    assert critic.calls == 2


def test_a_term_is_replaced_under_its_weight_and_a_new_one_added_with_its_own():
    step, _ = make_step()
    swapped = Distance("image", "similar", "l2")
    loss = ExplainerLoss("naive", weights={"close": 2.0}, terms={"image_adversarial": swapped, "close": swapped})
    values = loss(step)
    plain = (step["image"] - step["similar"]).square().mean()
    torch.testing.assert_close(values["image_adversarial"], plain)
    torch.testing.assert_close(values["close"], plain)
    assert loss.terms["image_adversarial"].weight == RECIPES["naive"]["image_adversarial"].weight


def test_terms_without_a_recipe_are_all_there_is():
    loss = ExplainerLoss(None, weights={"only": 3.0}, terms={"only": Distance("image", "similar")})
    step, _ = make_step()
    values = loss(step)
    assert list(values) == ["only"]
    torch.testing.assert_close(loss.total(values), 3 * (step["image"] - step["similar"]).abs().mean())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"recipe": "sice"},
            r"recipe must be one of \['cyce', .*'naive', 'similar_adversarial', 'syce'\] or None, got 'sice'",
        ),
        ({"weights": {"flipp": 1.0}}, r"unknown terms \['flipp'\]; the terms are .*'flip'"),
        ({"recipe": "naive", "weights": {"preservation": 1.0}}, r"unknown terms \['preservation'\]"),
        ({"terms": {"new": Distance("image", "similar")}}, "the term 'new' has no weight; add it to weights"),
        ({"recipe": None}, "no term has a weight other than 0"),
        ({"recipe": "naive", "weights": dict.fromkeys(RECIPES["naive"], 0)}, "no term has a weight other than 0"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        ExplainerLoss(**arguments)


def test_a_term_on_an_image_that_is_not_there_names_those_that_are():
    step, _ = make_step()
    with pytest.raises(KeyError, match=r"no image named 'reconstruction' .* there are: \['adversarial', 'cycle'"):
        Distance("image", "reconstruction")(step)


def test_syce_and_cyce_have_the_weights_of_the_paper():
    """Digits 3 against 8, arXiv 2106.10947."""
    step, _ = make_step()
    used = {recipe: {name: w.weight for name, w in ExplainerLoss(recipe).terms.items()} for recipe in ("syce", "cyce")}
    assert used["syce"] == {
        "flip": 0.2,
        "preservation": 0.01,
        "cycle_preservation": 0.005,
        "image_similar": 10,
        "image_cycle": 2,
        "realism": 0.25,
    }
    assert used["cyce"] == {"flip": 0.2, "cycle_preservation": 0.005, "image_cycle": 10, "realism": 0.25}
    values = ExplainerLoss("cyce")(step)
    difference = step["image"] - step["cycle"]
    torch.testing.assert_close(values["image_cycle"], difference.abs().mean() + difference.square().mean())
