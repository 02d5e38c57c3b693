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

"""Tests of realism: which images are compared, that near is near, and that nothing is measured twice."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import torch

from monai_advexplain.benchmark.latent_space import LatentSpace
from monai_advexplain.benchmark.realism import REAL, TOWARDS, UNCHANGED, Realism, draw_sets
from monai_advexplain.explainers import ProposedExplainer
from monai_advexplain.metrics import l1_change, mse_change, ssim
from monai_advexplain.networks import GeneratedPair

CPU = torch.device("cpu")
N = 48
SPACE = {"latent_size": 4, "features": (4, 8), "epochs": 12, "batch_size": 8, "learning_rate": 0.01}


def square(images):
    """Where the images may be bright."""
    return images[..., 4:9, 4:9]


def decide(images):
    """Whether there is a bright square."""
    return square(images).flatten(1).mean(dim=1) > 0.45


def items(count=N, seed=0):
    """Noisy images, every second one with a bright square; two images a patient, of either decision."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for i in range(count):
        image = 0.2 * torch.rand(1, 16, 16, generator=generator)
        if i % 2:
            square(image).add_(0.7)
        found.append({"id": f"i{seed}-{i}", "group": f"g{i // 2}", "image": image})
    return found


class Translator(torch.nn.Module):
    """Adds or takes away the square (strength 1), or some of it; counts how often it is asked."""

    def __init__(self, strength):
        super().__init__()
        self.strength = torch.nn.Parameter(torch.tensor(float(strength)))
        self.asked = 0

    def generate(self, images):
        self.asked += 1
        if self.strength < 0:
            raise RuntimeError("out of\nmemory")
        adversarial = images.clone()
        change = torch.where(decide(images), -0.7, 0.7) * self.strength
        square(adversarial).add_(change[:, None, None, None])
        return GeneratedPair(images, adversarial)


def realism(space=SPACE, **changes):
    arguments = {"items": items(), "training_items": items(32, seed=1), "n_draws": 5, **changes}
    return Realism(latent_space=LatentSpace(**space), **arguments)


def measure(folder, strengths, asked="a classifier", **changes):
    explainers = {name: ProposedExplainer(Translator(strength)) for name, strength in strengths.items()}
    found = realism(**changes).measure(explainers, decide, folder, CPU, {"classifier": asked})
    return found, {name: explainer.network.asked for name, explainer in explainers.items()}


def rows_of(found):
    return {(row["towards"], row["row"]): row for row in found["rows"]}


def test_adversaries_that_look_like_the_other_decision_are_as_near_as_real_images_and_others_are_not(tmp_path):
    found, _ = measure(tmp_path, {"full": 1.0, "none": 0.0, "half": 0.6})
    rows = rows_of(found)
    assert [(towards, row) for towards, row in rows] == [
        (towards, row) for towards in TOWARDS for row in (REAL, UNCHANGED, "full", "none", "half")
    ]
    for towards in TOWARDS:
        real, unchanged, full, none, half = (rows[towards, name] for name in (REAL, UNCHANGED, "full", "none", "half"))
        assert full["fd"] < 3 * real["fd"] < half["fd"] < unchanged["fd"]
        assert full["js"] < half["js"] <= unchanged["js"]
        for score in ("fd", "fd_low", "fd_high", "js", "js_low", "js_high"):
            assert none[score] == unchanged[score]
        assert full["fd_low"] <= full["fd"] <= full["fd_high"]
        assert (full["flipped"], none["flipped"]) == (1, 0)
        assert {row["n_changed"] for row in (real, full)} == {N // 2}
        assert {row["n_each"] for row in (real, unchanged, full)} == {N // 4}
    assert found["agreement"] > 0.9
    assert (found["n_images"], found["n_yes"], found["n_no"]) == (N, N // 2, N // 2)


def test_proximity_is_that_of_the_adversarial_image_and_the_image_for_each_decision(tmp_path):
    found, _ = measure(tmp_path, {"half": 0.5})
    images = torch.stack([item["image"] for item in items()])
    adversarial = Translator(0.5).generate(images).adversarial.detach()
    for towards, chosen in (("no", decide(images)), ("yes", ~decide(images))):
        row = rows_of(found)[towards, "half"]
        for name, metric in (("l1", l1_change), ("mse", mse_change), ("ssim", ssim)):
            assert row[name] == pytest.approx(metric(images, adversarial)[chosen].mean().item())


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_sets_are_of_one_size_and_no_group_is_on_both_sides(share):
    random = np.random.default_rng(0)
    groups = [f"g{i}" for i in random.integers(0, 20, 90)]
    target = random.random(90) < share
    draws = draw_sets(groups, target, 30, seed=0)
    assert len(draws) == 30
    seen = Counter()
    for draw in draws:
        assert len(draw.real) == len(draw.other_real) == len(draw.changed) >= 2
        assert target[draw.real].all()
        assert target[draw.other_real].all()
        assert not target[draw.changed].any()
        for one in draw:
            assert len(set(one)) == len(one)
        near, far = ({groups[i] for i in positions} for positions in (draw.real, [*draw.other_real, *draw.changed]))
        assert near.isdisjoint(far)
        seen.update(draw.real.tolist())
    assert set(seen) == set(np.flatnonzero(target))
    assert len(draws[0].real) > 0.3 * min(target.sum(), (~target).sum())
    again = draw_sets(groups, target, 30, seed=0)
    assert all(
        np.array_equal(a, b) for one, two in zip(draws, again, strict=True) for a, b in zip(one, two, strict=True)
    )


@pytest.mark.parametrize(
    ("groups", "target"),
    [("aaaa", [1, 1, 0, 0]), ("abab", [1, 1, 1, 1]), ("abcd", [1, 0, 0, 0]), ("ab", [1, 0])],
)
def test_too_few_groups_or_images_give_no_draw(groups, target):
    assert draw_sets(list(groups), np.array(target, dtype=bool), 5, seed=0) == []


def test_a_split_of_one_decision_says_that_it_cannot_be_measured(tmp_path):
    found, _ = measure(tmp_path, {"full": 1.0}, items=items()[1::2])
    rows = rows_of(found)
    for towards in TOWARDS:
        assert rows[towards, REAL]["error"].startswith("too few groups of images")
        assert "fd" not in rows[towards, "full"]
    assert rows["no", "full"]["flipped"] == 1
    assert "flipped" not in rows["yes", "full"]


def test_what_was_measured_is_not_measured_again(tmp_path):
    first, asked = measure(tmp_path, {"a": 1.0, "b": 0.5})
    assert all(asked.values())
    again, asked = measure(tmp_path, {"a": 1.0, "b": 0.5})
    assert asked == {"a": 0, "b": 0}
    assert again == first
    more, asked = measure(tmp_path, {"a": 1.0, "b": 0.4, "c": 0.5})
    assert asked["a"] == 0
    assert min(asked["b"], asked["c"]) > 0
    assert rows_of(more)["no", "a"] == rows_of(first)["no", "a"]
    assert {**rows_of(more)["no", "c"], "row": "b"} == rows_of(first)["no", "b"]
    fewer, _ = measure(tmp_path, {"c": 0.5})
    assert {row["row"] for row in fewer["rows"]} == {REAL, UNCHANGED, "c"}


@pytest.mark.parametrize(
    "change",
    [{"asked": "another"}, {"n_draws": 4}, {"space": {**SPACE, "epochs": 1}}, {"items": items(seed=2)}],
)
def test_other_settings_images_or_classifiers_measure_anew(tmp_path, change):
    measure(tmp_path, {"a": 1.0})
    assert measure(tmp_path, {"a": 1.0}, **change)[1]["a"] > 0


def test_a_method_that_fails_says_why_and_is_tried_again_while_the_others_stay(tmp_path):
    found, _ = measure(tmp_path, {"a": 1.0, "broken": -1.0})
    assert {rows_of(found)[to, "broken"]["error"] for to in TOWARDS} == {"RuntimeError: out of memory"}
    assert "broken" not in found["points"]
    assert "broken" not in json.loads((tmp_path / "realism.json").read_text())["methods"]
    _, asked = measure(tmp_path, {"a": 1.0, "broken": -1.0})
    assert asked == {"a": 0, "broken": 1}


def test_points_lie_in_the_plane_of_real_images_only(tmp_path):
    (tmp_path / "alone").mkdir()
    alone, _ = measure(tmp_path / "alone", {"none": 0.0})
    with_others, _ = measure(tmp_path, {"none": 0.0, "far": 5.0})
    assert with_others["points"][REAL] == alone["points"][REAL] == alone["points"]["none"]
    assert rows_of(with_others)["no", "none"] == rows_of(alone)["no", "none"]


def test_as_many_images_as_asked_are_taken_evenly_and_transformed(tmp_path):
    loaded = []

    def transform(item):
        loaded.append(item["id"])
        return item

    found, _ = measure(tmp_path, {"a": 1.0}, max_images=17, max_training_images=5, transform=transform)
    assert found["n_images"] == 17
    mine = {name for name in loaded if name.startswith("i0")}
    assert len(mine) == 17
    assert {"i0-0", f"i0-{N - 1}"} <= mine
    assert len(set(loaded) - mine) == 5


def test_settings_and_images_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="max_images of realism must be at least 1, got 0"):
        realism(max_images=0)
    with pytest.raises(ValueError, match="realism needs images, got 0 and 32 for training"):
        realism(items=[])
    with pytest.raises(ValueError, match=r"multiples of 4 .*\(16, 10\).* --set realism=null"):
        realism().check(torch.zeros(1, 1, 16, 10))
    realism().check(torch.zeros(1, 1, 16, 12))
