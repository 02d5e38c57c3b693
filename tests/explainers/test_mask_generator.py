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

"""MaskGeneratorExplainer: twenty steps of the recipe ``mask_generator`` find the evidence of a known classifier."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from monai.engines.utils import IterationEvents
from monai.networks.nets import UNet
from torch import nn

from monai_advexplain import ExplainerLoss, JointExplainerTrainer
from monai_advexplain.explainers import MaskGeneratorExplainer
from monai_advexplain.handlers import loss_terms
from monai_advexplain.networks import GeneratedPair, MaskExplainerNet, MaskGenerator
from tests.small import assert_unchanged, snapshot

SIZE = 32


class BrightSpot(nn.Module):
    """Yes where the brightest place of 5 x 5 pixels is brighter than 0.75 on average."""

    def forward(self, image):
        places = F.avg_pool2d(image, 5, stride=1, padding=2).flatten(1)
        return 20 * (torch.logsumexp(30 * places, dim=1, keepdim=True) / 30 - 0.75)


def scenes(n, seed):
    """n noisy images with a grey bar at the border, half of them with a bright spot somewhere; and the spots."""
    generator = torch.Generator().manual_seed(seed)
    image = 0.3 + 0.1 * torch.rand(n, 1, SIZE, SIZE, generator=generator)
    image[..., -4:] = 0.6
    centres = 6 + (SIZE - 16) * torch.rand(n, 2, generator=generator)
    axis = torch.arange(SIZE)
    distance = (axis[:, None] - centres[:, :1, None]) ** 2 + (axis - centres[:, 1:, None]) ** 2
    image[: n // 2, 0] += 0.55 * torch.exp(-distance[: n // 2] / 18)
    spot = (distance < 25)[:, None]
    spot[n // 2 :] = False
    return image.clamp(0, 1), spot


@pytest.fixture(scope="module")
def trained():
    """The explainer after twenty steps on a frozen BrightSpot, and the loss terms of every step."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = UNet(2, 1, 8, channels=(8, 16), strides=(2,), norm="instance")
        net = MaskExplainerNet(MaskGenerator(trunk, features=8, hidden=8), size_divisor=2)
    trainer = JointExplainerTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": scenes(8, seed)[0]} for seed in range(1, 21)],
        network=net,
        classifier=BrightSpot(),
        optimizer=torch.optim.Adam(net.parameters(), lr=0.02),
        loss_function=ExplainerLoss("mask_generator"),
    )
    terms = []
    trainer.add_event_handler(
        IterationEvents.MODEL_COMPLETED, lambda engine: terms.append(loss_terms(engine.state.output))
    )
    trainer.run()
    return MaskGeneratorExplainer(net), terms


def test_every_term_goes_down(trained):
    terms = trained[1]
    for name in ("loss", "loss/preservation", "loss/flip", "loss/area", "loss/variation"):
        first, last = (sum(step[name] for step in part) / 5 for part in (terms[:5], terms[-5:]))
        assert last < 0.8 * first, name


def test_the_mask_covers_the_evidence_and_little_else(trained):
    image, spot = scenes(32, seed=99)
    maps = trained[0](image)
    assert maps[spot].mean() > 0.5
    assert maps[~spot].mean() < 0.1


def test_the_evidence_decides_in_the_similar_image_and_is_gone_from_the_adversarial_one(trained):
    image, spot = scenes(32, seed=99)
    pair = trained[0].generate(image)
    assert type(pair) is GeneratedPair
    f = BrightSpot()
    seen = spot.flatten(1).any(dim=1)
    assert torch.equal(f(image)[:, 0] > 0, seen)
    assert (f(pair.similar)[:, 0] > 0).eq(seen).float().mean() > 0.9
    assert (f(pair.adversarial)[seen] > 0).float().mean() < 0.1


def test_generating_leaves_the_images_and_the_network_alone(trained):
    explainer = trained[0]
    explainer.network.train()
    image = scenes(2, seed=0)[0].requires_grad_(True)
    before, kept = snapshot(explainer.network), image.detach().clone()
    for parameter in explainer.network.parameters():
        parameter.grad = None
    pair = explainer.generate(image)
    assert_unchanged(explainer.network, before)
    assert torch.equal(image.detach(), kept)
    assert not pair.similar.requires_grad
