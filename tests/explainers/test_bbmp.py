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

"""BBMP: the mask that it begins with, the loss that it lowers, and what it deletes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from monai_advexplain.explainers import BBMPExplainer
from monai_advexplain.explainers.baseline import baseline_images
from tests.explainers.cases import BrightSpot, decided, with_spot
from tests.small import images

DIMS = pytest.mark.parametrize("dims", [2, 3])


def blended(shown, maps, baseline):
    return shown * (1 - maps) + baseline_images(shown, baseline) * maps


@DIMS
@pytest.mark.parametrize("says_no", [False, True], ids=["yes", "no"])
@pytest.mark.parametrize("baseline", ["mean", 0.0])
def test_deleting_the_map_undoes_the_decision_and_deletes_little_else(dims, says_no, baseline):
    shown, spot = with_spot(dims)
    net = BrightSpot(dims, says_no)
    maps = BBMPExplainer(net, iterations=60, cell=2, jitter=0, baseline=baseline)(shown)
    logits = net(blended(shown, maps, baseline))
    assert ((logits > 0) == says_no).all()
    assert 0 <= maps.min() <= maps.max() <= 1
    assert (maps * spot).sum() > 0.4 * maps.sum()


@DIMS
def test_it_begins_with_the_smallest_centred_disc_that_deletes_as_much_as_the_whole(dims):
    net = BrightSpot(dims)
    size = (32,) * dims
    shown = torch.full((3, 1, *size), 0.1)
    for i, half in enumerate((5, 9)):  # centred cubes; the third image has a spot in a corner
        shown[(i, 0, *[slice(16 - half, 16 + half)] * dims)] = 0.9
    shown[(2, 0, *[slice(0, 10)] * dims)] = 0.9
    assert (net(shown) > 0).all()
    first = BBMPExplainer(net, iterations=0, cell=4, baseline=0.0)(shown)
    areas = first.flatten(1).mean(dim=1)
    assert areas[0] < areas[1] < areas[2]
    assert areas[2] == 1
    probability = net(shown).sigmoid() - net(blended(shown, first, 0.0)).sigmoid()
    assert (probability >= 0.99 * (net(shown).sigmoid() - net(0 * shown).sigmoid())).all()
    torch.testing.assert_close(first, first.flip(2))
    torch.testing.assert_close(first, first.transpose(2, -1))


@DIMS
def test_the_loss_of_every_image_falls(dims):
    net = BrightSpot(dims)
    shown, _ = with_spot(dims)

    def loss(iterations):
        explainer = BBMPExplainer(
            net, iterations=iterations, cell=2, area=0.3, variation=0.01, beta=2.0, jitter=0, baseline=0.0
        )
        maps = explainer(shown)
        mask = F.interpolate(1 - maps, [n // 2 for n in shown.shape[2:]], mode="area")  # near the mask itself
        slopes = [mask.diff(dim=a).flatten(1) * mask.shape[a] for a in range(2, 2 + dims)]
        variation = sum(slope.pow(2).sum(dim=1) for slope in slopes) / mask[0].numel()
        kept = net(blended(shown, maps, 0.0))[:, 0].sigmoid()
        return (0.3 * (1 - mask).flatten(1).mean(dim=1) + 0.01 * variation + kept).detach()

    assert (loss(60) < loss(0) - 0.1).all()


def test_area_and_variation_make_the_map_smaller_and_smoother():
    net = BrightSpot()
    shown, _ = with_spot()

    def maps(**weights):
        return BBMPExplainer(net, iterations=60, cell=2, jitter=0, baseline="mean", **weights)(shown)

    assert maps(area=0.5).mean() < maps(area=0.001).mean()
    rough, smooth = (
        sum(m.diff(dim=axis).pow(2).sum() for axis in (2, 3)) for m in (maps(variation=0.0), maps(variation=0.05))
    )
    assert smooth < 0.7 * rough


def test_the_seed_decides_the_shifts():
    explain = {seed: BBMPExplainer(decided(), iterations=5, cell=4, seed=seed)(images()) for seed in (1, 2)}
    torch.testing.assert_close(BBMPExplainer(decided(), iterations=5, cell=4, seed=1)(images()), explain[1])
    assert not torch.equal(explain[1], explain[2])


@DIMS
def test_shifts_move_the_perturbed_image_and_continue_its_border(dims):
    from monai_advexplain.explainers.bbmp import _shifted

    shown = images(1, 1, dims)
    moved = _shifted(shown, [2, -1, 0][:dims])
    assert moved.shape == shown.shape
    assert torch.equal(moved[:, :, 2:, :-1], shown[:, :, :-2, 1:])
    assert torch.equal(moved[:, :, 0], moved[:, :, 2])
    assert torch.equal(moved[:, :, :, -1], moved[:, :, :, -2])
