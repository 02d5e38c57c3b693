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

"""GatedGenerator: the gate chooses the head, learns the classifier's margin and nothing else."""

from __future__ import annotations

import pytest
import torch

from monai_advexplain import Decision
from monai_advexplain.losses import ExplainerLoss, ExplanationStep, MarginEstimate
from monai_advexplain.networks import GatedExplainerNet, GatedGenerator, load_weights
from monai_advexplain.networks.gated import without_fallback
from tests.small import SIZES, classifier, images, trunk

DIMS = pytest.mark.parametrize("dims", [2, 3])


class MeanGate(torch.nn.Module):
    """Says yes about images brighter than 0.5 on average."""

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(8.0))

    def forward(self, image):
        return (self.gain * (image.flatten(1).mean(dim=1) - 0.5))[:, None]


def gated_net(dims=2, gate=None, scale=1):
    """An untrained net whose heads change the images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        gate = MeanGate() if gate is None else gate
        generator = GatedGenerator(trunk(dims), gate, 4, spatial_dims=dims, hidden=4, scale=scale, max_change=0.2)
        for head in (generator.similar, generator.to_no, generator.to_yes):
            torch.nn.init.normal_(head.image.weight, std=0.5)
    return GatedExplainerNet(generator, spatial_dims=dims, size_divisor=2).eval()


def dark_and_bright(dims):
    return torch.stack([0.3 * images(1, dims=dims)[0], 0.7 + 0.3 * images(1, dims=dims)[0]])


@DIMS
@torch.no_grad()
def test_each_image_gets_the_adversarial_head_of_its_estimated_decision(dims):
    net = gated_net(dims)
    image = dark_and_bright(dims)
    pair = net.generate(image)
    features = net.generator.trunk(image)
    assert (pair.estimate > 0).tolist() == [False, True]
    assert torch.equal(pair.adversarial[0], net.generator.to_yes(features, image)[0])
    assert torch.equal(pair.adversarial[1], net.generator.to_no(features, image)[1])
    assert not torch.equal(pair.adversarial[1], net.generator.to_yes(features, image)[1])


@DIMS
@pytest.mark.parametrize("scale", [1, 2])
@torch.no_grad()
def test_the_map_is_the_difference_of_the_images_scripted_too(dims, scale):
    net = gated_net(dims, scale=scale)
    image = dark_and_bright(dims)
    pair = net.generate(image)
    wanted = (pair.similar - pair.adversarial).abs().mean(dim=1, keepdim=True)
    assert wanted.shape == (2, 1, *SIZES[dims])
    assert wanted.max() > 0.01
    torch.testing.assert_close(net(image), wanted)
    torch.testing.assert_close(torch.jit.script(net)(image), wanted)


@torch.no_grad()
def test_a_similar_image_that_lost_the_decision_is_replaced_when_not_training():
    net, image = gated_net(), dark_and_bright(2)
    net.generator.similar.image.bias.fill_(1.0)  # up by 0.15: the dark one is decided as bright
    net.generator.similar.image.weight.zero_()
    image[0] = 0.45
    lost, kept = net.generate(image).similar
    assert torch.equal(lost, image[0])
    assert not torch.equal(kept, image[1])
    torch.testing.assert_close(torch.jit.script(net).generate(image).similar, net.generate(image).similar)
    with without_fallback(net):
        assert not torch.equal(net.generate(image).similar[0], image[0])
    assert torch.equal(net.generate(image).similar[0], image[0])
    assert not torch.equal(net.train().generate(image).similar[0], image[0])


def step_of(net, image, asked):
    """A step as the trainer makes it."""
    with torch.no_grad():
        output = asked(image)
    decision = Decision()
    return ExplanationStep(
        {"image": image, **net.generate(image)._asdict()},
        decision.target(output),
        lambda shown: decision.margin(asked(shown))[None],
        decision.margin(output),
    )


def test_the_gate_learns_from_its_own_term_only():
    net, image, asked = gated_net(), dark_and_bright(2), classifier()
    loss = ExplainerLoss(weights={"estimate": 1.0})
    values = loss(step_of(net, image, asked))
    (values["flip"] + values["preservation"] + values["similar_adversarial"]).backward()
    assert net.generator.gate.gain.grad is None
    loss(step_of(net, image, asked))["estimate"].backward()
    assert net.generator.gate.gain.grad != 0


def test_training_the_gate_brings_its_estimate_to_the_classifiers_margin():
    asked = classifier()
    net = gated_net(gate=classifier(seed=1))
    loss, image = ExplainerLoss(weights={"estimate": 1.0}), images(8)
    with torch.no_grad():
        margin = Decision().margin(asked(image))
    optimizer = torch.optim.Adam(net.generator.gate.parameters(), 0.02)
    errors = []
    for _ in range(60):
        value = loss(step_of(net, image, asked))["estimate"]
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        errors.append((net.generate(image).estimate - margin).abs().mean().item())
    assert errors[-1] < 0.3 * errors[0]


def test_the_weights_of_gate_and_heads_are_in_one_file(tmp_path):
    net = gated_net()
    with torch.no_grad():
        net.generator.gate.gain.fill_(-8.0)
    torch.save(net.state_dict(), tmp_path / "model.pt")
    again = load_weights(tmp_path / "model.pt", gated_net())
    image = dark_and_bright(2)
    torch.testing.assert_close(again(image), net(image))
    assert not torch.equal(again(image), gated_net()(image))


def test_an_estimate_without_the_classifiers_margin_is_refused():
    net, image = gated_net(), images(2)
    step = ExplanationStep({"image": image, **net.generate(image)._asdict()}, torch.ones(2), lambda shown: shown.mean())
    with pytest.raises(ValueError, match="image_margin"):
        MarginEstimate()(step)
