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

"""Tests of randomised classifiers."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import ResNet, ViT

from monai_advexplain.sanity.randomised import deciding, layers, randomised
from tests.small import assert_unchanged, classifier, snapshot

RESNET = {"block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [2, 4, 8, 16], "n_input_channels": 1}


def changed(before: torch.nn.Module, after: torch.nn.Module) -> set[str]:
    state = after.state_dict()
    return {name for name, value in before.state_dict().items() if not torch.equal(value, state[name])}


def test_the_layers_are_randomised_from_the_head_down():
    net = classifier()
    assert layers(net) == ["0", "1", "3", "4", "8"]
    assert changed(net, randomised(net, 0)) == set()
    assert changed(net, randomised(net, 1)) == {"8.weight", "8.bias"}
    two = changed(net, randomised(net, 2))
    assert {name.split(".")[0] for name in two} == {"4", "8"}
    assert {name.split(".")[0] for name in changed(net, randomised(net))} == set(layers(net))


def test_the_head_of_monais_resnet_comes_last_and_its_first_convolution_first():
    names = layers(ResNet(spatial_dims=2, num_classes=1, **RESNET))
    assert (names[0], names[-1]) == ("conv1", "fc")


def test_statistics_are_forgotten_and_weights_are_those_of_a_new_layer():
    net = classifier()
    drawn = randomised(net)
    assert drawn[1].running_mean.eq(0).all()
    assert drawn[1].running_var.eq(1).all()
    new, old = (layer.weight.std().item() for layer in (torch.nn.Conv2d(8, 8, 3), drawn[3]))
    assert old == pytest.approx(new, rel=0.2)


def test_a_network_that_was_made_with_the_same_seed_is_not_drawn_again():
    torch.manual_seed(5)
    layer = torch.nn.Linear(8, 8)
    assert not torch.equal(layer.weight, randomised(layer, seed=5).weight)


def test_neither_the_network_nor_the_global_random_state_changes_and_the_seed_decides():
    net, state = classifier(), torch.get_rng_state()
    before = snapshot(net)
    first, again, other = (randomised(net, seed=seed) for seed in (0, 0, 1))
    assert_unchanged(net, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert changed(first, again) == set()
    assert "8.weight" in changed(first, other)
    assert first.training == net.training


def test_parameters_of_a_part_that_cannot_reset_itself_are_shuffled():
    net = ViT(1, (16, 16), (8, 8), hidden_size=12, mlp_dim=8, num_layers=1, num_heads=2, classification=True,
              spatial_dims=2)  # fmt: skip
    drawn = randomised(net)
    before, after = net.patch_embedding.position_embeddings, drawn.patch_embedding.position_embeddings
    assert not torch.equal(before, after)
    assert torch.equal(before.flatten().sort()[0], after.flatten().sort()[0])


@pytest.mark.parametrize("count", [-1, 6])
def test_a_count_outside_the_layers_is_refused(count):
    with pytest.raises(ValueError, match=f"from 0 to 5, the number of layers with parameters, got {count}"):
        randomised(classifier(), count)


@torch.no_grad()
def test_a_randomised_network_that_decides_has_the_intact_ones_outputs_in_median_and_deviation():
    net, images = classifier().eval(), torch.rand(20, 1, 16, 16)
    net[-1].bias += 3.0  # most images are "yes"
    drawn = deciding(randomised(net), net, images)
    wanted, found = net(images), drawn.eval()(images)
    torch.testing.assert_close(found.median(), wanted.median(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.std(), wanted.std(), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(drawn[1].running_mean, torch.zeros(()))
    assert not torch.allclose(found, wanted, atol=1e-2)


def test_a_head_that_is_not_linear_stays_as_it_was_drawn():
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    drawn = randomised(net)
    before = snapshot(drawn)
    assert_unchanged(deciding(drawn, net, torch.rand(9, 1, 8, 8)), before)
