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

"""MaskGenerator: what is kept and what is removed, the same when scripted, any U-Net from a config."""

from __future__ import annotations

import io

import pytest
import torch
from monai.bundle import ConfigParser

from monai_advexplain.networks import Blur, ExplainerNet, Frozen, MaskExplainerNet, MaskGenerator
from tests.small import SIZES, classifier, images, trunk

DIMS = pytest.mark.parametrize("dims", [2, 3])
SCALES = pytest.mark.parametrize("scale", [1, 2])


def mask_net(dims=2, channels=1, scale=1, seed=0):
    """An untrained MaskExplainerNet whose masks are neither flat nor all grey."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = MaskGenerator(trunk(dims, channels), features=4, spatial_dims=dims, hidden=4, scale=scale)
        torch.nn.init.normal_(generator.evidence.weight, std=4.0)
    return MaskExplainerNet(generator, channels, dims, size_divisor=2)


@DIMS
@SCALES
@torch.no_grad()
def test_the_evidence_is_kept_in_one_image_and_blurred_away_in_the_other(dims, scale):
    net = mask_net(dims, channels=2, scale=scale)
    image = images(2, 2, dims)
    similar, adversarial, mask = net.generate(image)
    blurred = Blur(20 / 224)(image)
    assert mask.shape == (2, 1, *SIZES[dims])
    assert 0 <= mask.min() < mask.max() - 0.2 <= 0.8
    torch.testing.assert_close(similar, image * mask + blurred * (1 - mask))
    torch.testing.assert_close(adversarial, image * (1 - mask) + blurred * mask)
    assert not torch.allclose(similar, adversarial, atol=0.05)


@DIMS
@torch.no_grad()
def test_the_explanation_is_the_mask_whether_the_images_are_made_or_not(dims):
    net = mask_net(dims)
    image = images(dims=dims)
    pair = net.generate(image)
    assert torch.equal(net.explain(image, pair), pair.mask)
    assert torch.equal(net(image), pair.mask)
    assert isinstance(net, ExplainerNet)


@DIMS
@SCALES
@torch.no_grad()
def test_torchscript_gives_the_same_map_and_the_same_images_also_from_a_file(dims, scale):
    net = mask_net(dims, scale=scale).eval()
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(net), buffer)
    buffer.seek(0)
    scripted = torch.jit.load(buffer)
    image = images(dims=dims)
    torch.testing.assert_close(scripted(image), net(image))
    pair, scripted_pair = net.generate(image), scripted.generate(image)
    assert all(torch.equal(getattr(scripted_pair, name), value) for name, value in pair._asdict().items())
    torch.testing.assert_close(scripted.explain(image, scripted_pair), net(image))


@pytest.mark.parametrize("method", ["forward", "generate"])
def test_an_image_of_another_shape_is_refused_with_both_shapes(method):
    with pytest.raises(ValueError, match=r"multiple of 2; got shape \[2, 1, 16, 15\]"):
        getattr(mask_net(), method)(torch.rand(2, 1, 16, 15))
    with pytest.raises(ValueError, match=r"1 channel\(s\).* got shape \[2, 3, 16, 16\]"):
        getattr(mask_net(), method)(torch.rand(2, 3, 16, 16))


@DIMS
def test_gradients_of_both_images_and_of_the_mask_reach_every_parameter(dims):
    for index in range(3):
        net = mask_net(dims)
        net.generator.trunk = trunk(dims, norm=None)
        net.generate(images(dims=dims))[index].square().sum().backward()
        assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@DIMS
def test_it_is_declared_by_a_config_on_any_monai_u_net(dims):
    config = {
        "_target_": "monai_advexplain.networks.MaskExplainerNet",
        "generator": {
            "_target_": "monai_advexplain.networks.MaskGenerator",
            "trunk": {
                "_target_": "BasicUNet",
                "spatial_dims": dims,
                "in_channels": 2,
                "out_channels": 4,
                "features": [4] * 6,
            },
            "features": 4,
            "spatial_dims": dims,
            "scale": 2,
            "sigma": 0.1,
        },
        "channels": 2,
        "spatial_dims": dims,
    }
    net = ConfigParser({"network": config}).get_parsed_content("network").eval()
    assert net(torch.rand(1, 2, *[64] * dims)).shape == (1, 1, *[64] * dims)


def test_a_scale_below_one_is_refused_with_its_value():
    with pytest.raises(ValueError, match=r"scale must be 1 .* got 0"):
        MaskGenerator(trunk(), features=4, scale=0)


def scored_net(asked):
    """A mask net whose trunk sees the score of the classifier asked."""
    net = mask_net(channels=1)
    net.generator.score = Frozen(asked)
    net.generator.trunk = trunk(2, channels=2)
    return net


def test_the_trunk_sees_the_classifiers_probability_as_one_more_channel():
    asked, image, seen = classifier(), images(2), []
    net = scored_net(asked)
    net.generator.trunk.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    net.eval()(image)
    with torch.no_grad():
        probability = torch.sigmoid(asked.eval()(image)).flatten()
    assert torch.equal(seen[0][:, :1], image)
    torch.testing.assert_close(seen[0][:, 1], probability[:, None, None].expand(-1, *image.shape[2:]))


def test_training_the_mask_generator_leaves_the_classifier_whose_score_it_sees_unchanged():
    asked = classifier()
    asked.append(torch.nn.BatchNorm1d(1))
    net = scored_net(asked)
    before = {name: value.clone() for name, value in asked.state_dict().items()}
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    net.train()
    net.generate(images(4)).mask.sum().backward()
    optimizer.step()
    assert not any(module.training for module in asked.modules())
    assert all(torch.equal(value, before[name]) for name, value in asked.state_dict().items())
    assert [p for p in asked.parameters() if p.requires_grad] == []
