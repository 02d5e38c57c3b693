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

"""Deletion and insertion curves against a plain loop, closed forms, and what they leave unchanged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.metrics import auc
from torch import nn

from monai_advexplain.decision import Decision
from monai_advexplain.metrics import faithfulness_curves, faithfulness_scores
from tests.small import SIZES, assert_unchanged, classifier, images, snapshot

DIMS = [2, 3]


def maps_for(shown, levels=None, seed=1):
    maps = torch.rand(shown.shape[0], 1, *shown.shape[2:], generator=torch.Generator().manual_seed(seed))
    return maps if levels is None else (maps * levels).floor() / levels


def mean_intensity(shown):
    return shown.flatten(1).mean(dim=1)


def reference_curves(image, image_map, probability, threshold, num_steps, blur_sigma):
    """One image, one step at a time, as the docstring says it."""
    sigmas = [blur_sigma * size for size in image.shape[1:]]
    blurred = np.stack([gaussian_filter(channel, sigmas, mode="nearest") for channel in image])
    most_important_first = sorted(range(image_map.size), key=lambda i: -image_map.flat[i])  # stable
    yes = probability(image) > threshold
    curves = []
    for start, end in ((image, blurred), (blurred, image)):
        curve = []
        for k in range(num_steps + 1):
            shown = start.copy()
            for i in most_important_first[: k * image_map.size // num_steps]:
                for channel, replacement in zip(shown, end, strict=True):
                    channel.flat[i] = replacement.flat[i]
            p = probability(shown)
            curve.append(p if yes else 1 - p)
        curves.append(curve)
    return curves


@pytest.mark.parametrize("levels", [None, 3])
@pytest.mark.parametrize("dims", DIMS)
def test_curves_and_areas_equal_a_plain_loop(dims, levels):
    shown, net = images(3, 2, dims), classifier(dims, 2)
    maps = maps_for(shown, levels)
    centre = net(shown).median() - 0.004

    def probability(x):
        return torch.sigmoid(100 * (net(x)[:, 0] - centre))

    settings = {"threshold": 0.52, "num_steps": 7, "blur_sigma": 0.08}
    curves = faithfulness_curves(shown, maps, probability, batch_size=5, **settings)
    decided = set()
    for i in range(3):
        expected = reference_curves(
            shown[i].numpy(),
            maps[i, 0].numpy(),
            lambda x: probability(torch.as_tensor(x)[None]).item(),
            **settings,
        )
        decided.add(probability(shown[i : i + 1]).item() > 0.52)
        np.testing.assert_allclose(curves.deletion[i], expected[0], atol=1e-5)
        np.testing.assert_allclose(curves.insertion[i], expected[1], atol=1e-5)
        pixels = maps[i].numel()
        shares = [k * pixels // 7 / pixels for k in range(8)]
        assert curves.deletion_area[i].item() == pytest.approx(auc(shares, expected[0]), abs=1e-5)
        assert curves.insertion_area[i].item() == pytest.approx(auc(shares, expected[1]), abs=1e-5)
    assert decided == {True, False}


@pytest.mark.parametrize("dims", DIMS)
def test_areas_of_a_linear_classifier_add_up_to_both_ends(dims):
    shown = 0.5 + 0.5 * images(3, dims=dims)
    curves = faithfulness_curves(shown, maps_for(shown), mean_intensity, num_steps=9)
    torch.testing.assert_close(curves.deletion[:, 0], mean_intensity(shown.double()))
    torch.testing.assert_close(curves.deletion[:, -1], curves.insertion[:, 0])
    both = curves.deletion[:, :1] + curves.insertion[:, :1]
    torch.testing.assert_close(curves.deletion + curves.insertion, both.expand(-1, 10))
    torch.testing.assert_close(curves.deletion_area + curves.insertion_area, both[:, 0])


def test_the_lesion_as_map_beats_random_maps_and_its_inverse_loses_to_them():
    lesion = torch.zeros(1, 1, 20, 20)
    lesion[..., 8:12, 8:12] = 1

    def probability(x):
        return (x * lesion).flatten(1).sum(dim=1) / lesion.sum()

    def scores(maps):
        return faithfulness_scores(lesion, maps, probability)

    perfect, inverse, chance = scores(lesion), scores(1 - lesion), scores(maps_for(lesion))
    assert perfect["deletion"] < chance["deletion"] < inverse["deletion"]
    assert perfect["insertion"] > chance["insertion"] > inverse["insertion"]


def test_pixels_of_one_value_are_replaced_in_the_order_of_memory():
    shown = torch.ones(1, 1, 4, 5)
    shown[0, 0, 0] = 0

    def top_row(x):
        return x[:, 0, 0].mean(dim=1)

    insertion = faithfulness_curves(1 - shown, torch.zeros(1, 1, 4, 5), top_row, num_steps=4).insertion[0]
    assert insertion[0] < 1
    assert insertion[1:].tolist() == [1, 1, 1, 1]


def test_a_negative_decision_is_followed_as_the_positive_one_of_the_opposite_question():
    shown = 0.3 * images(3)
    yes = faithfulness_curves(shown, maps_for(shown), lambda x: 1 - mean_intensity(x))
    no = faithfulness_curves(shown, maps_for(shown), mean_intensity)
    for ours, theirs in zip(no, yes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert (no.deletion[:, 0] > 0.5).all()
    low_threshold = faithfulness_curves(shown, maps_for(shown), mean_intensity, threshold=0.01)
    torch.testing.assert_close(low_threshold.deletion, 1 - no.deletion)


def test_a_constant_image_has_flat_curves_up_to_its_border():
    shown = torch.full((1, 1, 16, 12), 0.7)
    curves = faithfulness_curves(shown, maps_for(shown), lambda x: x.flatten(1).amin(dim=1), blur_sigma=0.5)
    for values in curves:
        torch.testing.assert_close(values, torch.full_like(values, 0.7), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dims", DIMS)
def test_a_batch_gives_what_its_images_give_one_by_one_at_any_batch_size(dims):
    shown, net = images(3, dims=dims), classifier(dims)
    maps = maps_for(shown, levels=6)

    def probability(x):
        return Decision().probability(net(x))

    together = faithfulness_scores(shown, maps, probability, num_steps=5, batch_size=7)
    single = [faithfulness_scores(x[None], m[None], probability, num_steps=5) for x, m in zip(shown, maps, strict=True)]
    for name, score in together.items():
        torch.testing.assert_close(score, torch.cat([scores[name] for scores in single]), rtol=0, atol=1e-6)
    again = faithfulness_scores(shown, maps, probability, num_steps=5, batch_size=7)
    assert all(torch.equal(again[name], score) for name, score in together.items())


def test_monotone_transformations_of_the_map_change_nothing():
    shown = images(2)
    maps = maps_for(shown, levels=9)
    scores = faithfulness_scores(shown, maps, mean_intensity)
    transformed = faithfulness_scores(shown, maps.double().exp(), mean_intensity)
    assert all(torch.equal(transformed[name], score) for name, score in scores.items())


def test_more_steps_than_pixels_are_no_error():
    shown = images(1)[..., :2, :2]
    fine, exact = (faithfulness_scores(shown, maps_for(shown), mean_intensity, num_steps=n) for n in (40, 4))
    torch.testing.assert_close(fine["insertion"], exact["insertion"])


def test_classifier_images_and_maps_stay_as_they_were():
    class Probability(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.ReLU(inplace=True), classifier(), nn.Dropout(0.9))

        def forward(self, x):
            assert not self.training
            assert not torch.is_grad_enabled()
            return Decision().probability(self.net(x - 0.5))

    net = Probability().train()
    net.net[1].eval()
    shown = images(2).requires_grad_()
    maps = maps_for(shown)
    before, copies = snapshot(net), (shown.detach().clone(), maps.clone())
    scores = faithfulness_scores(shown, maps, net, num_steps=3)
    assert_unchanged(net, before)
    assert torch.equal(shown.detach(), copies[0])
    assert torch.equal(maps, copies[1])
    assert not scores["deletion"].requires_grad


def test_nothing_is_computed_elsewhere_than_on_the_device_of_the_inputs():
    shown = images(2)
    maps = maps_for(shown)
    expected = faithfulness_scores(shown, maps, mean_intensity)
    with torch.device("meta"):  # a tensor made without naming the device lands there and meets one of the CPU
        scores = faithfulness_scores(shown, maps, mean_intensity)
    assert all(torch.equal(scores[name], score) for name, score in expected.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(2, 16, 12)}, r"images must be .* got shape \(2, 16, 12\)"),
        ({"maps": torch.zeros(2, 1, 12, 16)}, r"maps of images \(2, 1, 16, 12\) must be .* got \(2, 1, 12, 16\)"),
        ({"maps": torch.full((2, 1, *SIZES[2]), torch.nan)}, "maps must be finite"),
        ({"probability": lambda x: x.flatten(1).mean(1, keepdim=True)}, r"must give shape \(32,\), got \(32, 1\)"),
        ({"probability": lambda x: x.flatten(1).sum(1)}, r"values in \[0, 1\], got \d\d\."),
        ({"probability": lambda x: x.flatten(1).sum(1) * torch.nan}, r"values in \[0, 1\], got nan"),
        ({"threshold": 0}, r"threshold must lie in \(0, 1\), got 0"),
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
        ({"blur_sigma": 0}, "blur_sigma must be above 0, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_bad_input_is_refused_with_what_was_found(change, message):
    arguments = {"images": images(2), "maps": maps_for(images(2)), "probability": mean_intensity} | change
    with pytest.raises(ValueError, match=message):
        faithfulness_curves(**arguments)
