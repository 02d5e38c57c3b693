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

"""DecisionDomainGenerators: the gate chooses the generator, applied twice, and the other one closes the cycle."""

from __future__ import annotations

import pytest
import torch

from monai_advexplain.inferers import WindowPairInferer
from monai_advexplain.networks import (
    DecisionDomainGenerators,
    DomainExplainerNet,
    Frozen,
    load_weights,
)
from tests.small import SIZES, assert_unchanged, classifier, images, snapshot, trunk

DIMS = pytest.mark.parametrize("dims", [2, 3])


class MeanGate(torch.nn.Module):
    """Says yes about images brighter than 0.5 on average."""

    def forward(self, image):
        return 8 * (image.flatten(1).mean(dim=1) - 0.5)[:, None]


def domain_net(dims=2, rule="similar_adversarial", scale=1, gate=None, seed=0):
    """An untrained net whose heads change the images."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generators = DecisionDomainGenerators(
            trunk(dims),
            trunk(dims),
            MeanGate() if gate is None else gate,
            features=4,
            spatial_dims=dims,
            hidden=4,
            scale=scale,
            max_change=0.3,
        )
        for head in (generators.no_head, generators.yes_head):
            torch.nn.init.normal_(head.image.weight, std=0.5)
    return DomainExplainerNet(generators, spatial_dims=dims, size_divisor=2, rule=rule).eval()


def dark_and_bright(dims):
    return torch.stack([0.3 * images(1, dims=dims)[0], 0.7 + 0.3 * images(1, dims=dims)[0]])


def generator_of(net, decision):
    """g_0 or g_1 as a function of one image, without its batch."""
    g = net.generator
    trunk_, head = (g.yes_trunk, g.yes_head) if decision else (g.no_trunk, g.no_head)
    return lambda image: head(trunk_(image[None]), image[None])[0]


@DIMS
@torch.no_grad()
def test_each_image_goes_through_the_generator_of_its_decision_twice_and_back_through_the_other(dims):
    net = domain_net(dims)
    image = dark_and_bright(dims)
    made = net.generate(image)
    assert (made.estimate > 0).tolist() == [False, True]
    for i, decision in enumerate((False, True)):
        own, other = generator_of(net, decision), generator_of(net, not decision)
        adversarial = own(image[i])
        torch.testing.assert_close(made.adversarial[i], adversarial)
        torch.testing.assert_close(made.similar[i], own(adversarial))
        torch.testing.assert_close(made.cycle[i], other(adversarial))
        assert (own(image[i]) - other(image[i])).abs().max() > 0.01


@DIMS
@pytest.mark.parametrize("scale", [1, 2])
@torch.no_grad()
def test_syce_explains_by_similar_and_adversarial_scripted_too(dims, scale):
    net = domain_net(dims, scale=scale)
    image = dark_and_bright(dims)
    made = net.generate(image)
    wanted = (made.similar - made.adversarial).abs().mean(dim=1, keepdim=True)
    assert wanted.shape == (2, 1, *SIZES[dims])
    assert wanted.max() > 0.01
    torch.testing.assert_close(net(image), wanted)
    scripted = torch.jit.script(net)
    torch.testing.assert_close(scripted(image), wanted)
    for name, value in scripted.generate(image)._asdict().items():
        torch.testing.assert_close(value, getattr(made, name))


@DIMS
@torch.no_grad()
def test_a_window_of_the_images_size_gives_what_the_network_gives(dims):
    net, image = domain_net(dims), dark_and_bright(dims)
    made = WindowPairInferer(SIZES[dims])(image, net)
    for name, value in net.generate(image)._asdict().items():
        torch.testing.assert_close(getattr(made, name), value)


@torch.no_grad()
def test_cyce_explains_by_image_and_adversarial_and_its_similar_image_is_the_cycle():
    syce, cyce = domain_net(), domain_net(rule="naive")
    image = dark_and_bright(2)
    made, of_syce = cyce.generate(image), syce.generate(image)
    assert torch.equal(made.adversarial, of_syce.adversarial)
    assert torch.equal(made.similar, made.cycle)
    assert torch.equal(made.cycle, of_syce.cycle)
    assert not torch.equal(made.similar, of_syce.similar)
    wanted = (image - made.adversarial).abs().mean(dim=1, keepdim=True)
    torch.testing.assert_close(cyce(image), wanted)
    torch.testing.assert_close(torch.jit.script(cyce)(image), wanted)


def test_images_of_one_decision_train_their_own_generator_and_that_of_the_cycle():
    for decision, level in ((False, 0.3), (True, 1.0)):
        net = domain_net()
        own, other = (net.generator.yes_head, net.generator.no_head)[:: 1 if decision else -1]
        made = net.generate(level * (0.5 * images() + 0.5))
        (made.adversarial.sum() + made.similar.sum()).backward(retain_graph=True)
        assert own.image.weight.grad.abs().sum() > 0
        assert other.image.weight.grad.abs().sum() == 0
        made.cycle.sum().backward()
        assert other.image.weight.grad.abs().sum() > 0


def test_a_frozen_classifier_as_gate_estimates_its_margin_and_never_changes():
    f = classifier()
    gate = Frozen(f)
    net = domain_net(gate=gate).train()
    before, image = snapshot(f), images(4)
    made = net.generate(image)
    sum(value.mean() for value in made).backward()
    torch.testing.assert_close(made.estimate, f(image).flatten())
    assert_unchanged(f, before)


def test_an_untrained_network_changes_nothing():
    generators = DecisionDomainGenerators(trunk(), trunk(), MeanGate(), 4)
    image = images()
    made = DomainExplainerNet(generators).generate(image)
    assert all(torch.equal(value, image) for value in made[:3])


def test_gate_and_both_generators_are_in_one_file(tmp_path):
    net = domain_net(gate=Frozen(classifier(seed=1)))
    torch.save(net.state_dict(), tmp_path / "syce.pt")
    again = load_weights(tmp_path / "syce.pt", domain_net(gate=Frozen(classifier(seed=2)), seed=1))
    image = images(4)
    assert all(torch.equal(*pair) for pair in zip(again.generate(image), net.generate(image), strict=True))


def test_generators_that_share_a_trunk_are_refused():
    one = trunk()
    with pytest.raises(ValueError, match="trunk and yes_trunk are the same object"):
        DecisionDomainGenerators(one, one, MeanGate(), 4)


@pytest.mark.parametrize("head", [{"residual": False}, {}])
def test_a_scale_that_does_not_fit_the_heads_is_refused(head):
    with pytest.raises(ValueError, match="scale must be 1"):
        DecisionDomainGenerators(trunk(), trunk(), MeanGate(), 4, scale=2 if head else 0, **head)
