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

"""Generators in 2D and 3D: identity at the start, range, independence of the batch, any MONAI U-Net by config."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from torch import nn

from monai_advexplain.networks import ImageHead, SeparateGenerators, TwoHeadGenerator
from tests.small import explainer_net, images, trained_looking, trunk

FORMS = pytest.mark.parametrize("separate", [False, True], ids=["two heads", "separate"])
DIMS = pytest.mark.parametrize("dims", [2, 3])
TRUNKS = {
    "UNet": {"channels": [4, 8], "strides": [2], "norm": None},
    "UNet, instance norm": {"_target_": "UNet", "channels": [4, 8], "strides": [2], "norm": "instance"},
    "BasicUNet": {"features": [4, 4, 4, 4, 4, 4]},
    "AttentionUnet": {"channels": [4, 8], "strides": [2]},
}


@DIMS
@FORMS
def test_a_residual_generator_starts_as_exactly_the_identity(dims, separate):
    image = images(dims=dims)
    similar, adversarial = explainer_net(dims, separate=separate).generator(image)
    assert torch.equal(similar, image)
    assert torch.equal(adversarial, image)


@DIMS
@FORMS
def test_a_direct_generator_starts_elsewhere_and_sees_the_image_only_through_its_trunk(dims, separate):
    image = images(dims=dims)
    generator = explainer_net(dims, separate=separate, residual=False).generator
    similar, adversarial = generator(image)
    assert similar.shape == adversarial.shape == image.shape
    assert not torch.allclose(similar, image, atol=0.05)
    assert not torch.equal(similar, adversarial)
    features = torch.rand(2, 4, *image.shape[2:])
    assert torch.equal(generator.similar(features, image), generator.similar(features, torch.zeros_like(image)))


@DIMS
@FORMS
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 3.0)])
def test_the_output_keeps_the_range_that_was_declared(dims, separate, residual, value_range):
    low, high = value_range
    trunks = [trunk(dims) for _ in range(1 + separate)]
    make = SeparateGenerators if separate else TwoHeadGenerator
    generator = make(*trunks, features=4, spatial_dims=dims, residual=residual, value_range=value_range)
    for head in (generator.similar, generator.adversarial):
        nn.init.normal_(head.image.weight, std=20.0)
    for image in generator(low + (high - low) * images(dims=dims)):
        assert image.min() == low
        assert image.max() == high


@DIMS
def test_a_head_adds_a_bounded_3x3_and_1x1_convolution_to_the_image(dims):
    head = ImageHead(dims, features=3, channels=2, hidden=5, value_range=(-100.0, 100.0))
    nn.init.normal_(head.image.weight)
    features, image = images(channels=3, dims=dims), images(channels=2, dims=dims, seed=1)
    convolve = (nn.functional.conv2d, nn.functional.conv3d)[dims - 2]
    hidden = convolve(features, head.hidden.weight, head.hidden.bias, padding=1)
    assert head.hidden.weight.shape == (5, 3, *[3] * dims)
    expected = image + convolve(hidden, head.image.weight, head.image.bias).tanh()
    torch.testing.assert_close(head(features, image), expected)


@DIMS
@FORMS
def test_gradients_reach_every_parameter_of_a_generator_that_has_left_the_identity(dims, separate):
    net = trained_looking(explainer_net(dims, separate=separate, norm=None))
    similar, adversarial = net.generator(0.4 + 0.2 * images(dims=dims))
    (similar.square().sum() + adversarial.square().sum()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_heads_of_two_separate_generators_share_nothing():
    generator = explainer_net(separate=True, residual=False).generator
    similar, _ = generator(images())
    similar.sum().backward()
    touched = {name.split(".")[0] for name, p in generator.named_parameters() if p.grad is not None}
    assert touched == {"similar_trunk", "similar"}


@DIMS
@FORMS
@pytest.mark.parametrize("norm", [None, "instance"])
def test_an_image_is_generated_the_same_whatever_its_batch_mates_are(dims, separate, norm):
    net = trained_looking(explainer_net(dims, separate=separate, norm=norm)).train()
    image = images(batch=3, dims=dims)
    together = net.generator(image)
    alone = net.generator(image[1:2])
    for one, several in zip(alone, together, strict=True):
        torch.testing.assert_close(several[1:2], one)


@DIMS
@FORMS
@pytest.mark.parametrize("name", TRUNKS)
def test_any_monai_u_net_is_a_trunk_by_config(name, dims, separate):
    torch.manual_seed(0)  # untrained images may lie wholly outside the range
    declared = {
        "_target_": name.split(",")[0],
        "spatial_dims": dims,
        "in_channels": 2,
        "out_channels": 4,
        **TRUNKS[name],
    }
    trunks = {"trunk": declared}
    if separate:
        trunks = {"similar_trunk": declared, "adversarial_trunk": declared}
    target = "SeparateGenerators" if separate else "TwoHeadGenerator"
    config = {
        "network": {
            "_target_": "monai_advexplain.networks.ExplainerNet",
            "channels": 2,
            "spatial_dims": dims,
            "generator": {
                "_target_": f"monai_advexplain.networks.{target}",
                **trunks,
                "features": 4,
                "channels": 2,
                "spatial_dims": dims,
                "residual": False,
                "value_range": [0.0, 1.0],
            },
        }
    }
    net = ConfigParser(config).get_parsed_content("network").eval()
    image = torch.rand(2, 2, *[32] * dims)
    similar, adversarial = net.generate(image)
    assert similar.shape == adversarial.shape == image.shape
    assert net(image).shape == (2, 1, *[32] * dims)
    assert net(image).max() > 0


def test_one_trunk_given_twice_is_refused():
    shared = trunk()
    with pytest.raises(ValueError, match="same object; use TwoHeadGenerator"):
        SeparateGenerators(shared, shared, features=4)


@pytest.mark.parametrize("value_range", [(1.0, 0.0), (0.5, 0.5)])
def test_an_empty_range_is_refused_with_its_values(value_range):
    with pytest.raises(ValueError, match=r"low < high, got \(" + str(value_range[0])):
        ImageHead(2, features=4, value_range=value_range)


@DIMS
def test_a_coarse_trunk_sees_the_averaged_image_and_its_residual_is_interpolated_back(dims):
    generator = TwoHeadGenerator(trunk(dims), features=4, spatial_dims=dims, scale=2)
    image = images(dims=dims)
    assert all(torch.equal(generated, image) for generated in generator(image))
    seen = []
    generator.trunk.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    nn.init.constant_(generator.similar.image.bias, 0.1)
    similar, _ = generator(image)
    torch.testing.assert_close(similar, (image + np.tanh(0.1)).clamp(0, 1))
    assert seen[0].shape[2:] == tuple(size // 2 for size in image.shape[2:])
    corner = image[(..., *[slice(2)] * dims)].flatten(2).mean(dim=2)
    torch.testing.assert_close(seen[0][(..., *[0] * dims)], corner)


@pytest.mark.parametrize(("scale", "residual"), [(0, True), (2, False)])
def test_a_scale_that_cannot_be_is_refused_with_its_value(scale, residual):
    with pytest.raises(ValueError, match=f"scale must be 1 .* got {scale} with residual={residual}"):
        TwoHeadGenerator(trunk(), features=4, scale=scale, residual=residual)


def test_a_residual_stays_within_the_largest_change_and_a_small_one_is_not_distorted():
    head = ImageHead(2, features=1, hidden=1, max_change=0.3, value_range=(-9.0, 9.0))
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.fill_(1.0)
        large = head(torch.full((1, 1, 4, 4), 50.0), torch.zeros(1, 1, 4, 4))
        head.image.weight.fill_(0.0)
        head.image.bias.fill_(0.001)
        small = head(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    torch.testing.assert_close(large, torch.full_like(large, 0.3))
    torch.testing.assert_close(small, torch.full_like(small, 0.001), rtol=1e-4, atol=0)


@pytest.mark.parametrize("max_change", [0.0, -1.0])
def test_a_largest_change_that_allows_none_is_refused_with_its_value(max_change):
    with pytest.raises(ValueError, match=f"max_change must be positive, got {max_change}"):
        ImageHead(2, features=1, max_change=max_change)


@pytest.mark.parametrize("dims", [2, 3])
@torch.no_grad()
def test_a_relative_change_dims_and_brightens_what_is_there_and_leaves_a_dark_background(dims):
    head = ImageHead(dims, features=1, hidden=1, max_change=0.5, value_range=(-1.0, 2.0), relative=0.1)
    torch.nn.init.constant_(head.image.bias, -0.4)
    image = images(dims=dims)
    image[0] = 0.0
    change = -0.5 * float(np.tanh(0.4 / 0.5))
    for same in (head, torch.jit.script(head)):
        torch.testing.assert_close(same(torch.zeros_like(image), image), image + change * (image + 0.1))


@torch.no_grad()
def test_a_change_relative_to_a_grey_level_leaves_what_has_it_and_reaches_what_is_darker_or_brighter():
    head = ImageHead(2, features=1, hidden=1, value_range=(-1.0, 2.0), relative=0.1, level=0.4)
    torch.nn.init.constant_(head.image.bias, 0.5)
    image = torch.tensor([0.0, 0.4, 0.8]).reshape(1, 1, 1, 3)
    for same in (head, torch.jit.script(head)):
        change = (same(torch.zeros_like(image), image) - image).flatten() / float(np.tanh(0.5))
        torch.testing.assert_close(change, torch.tensor([0.5, 0.1, 0.5]))


def test_a_level_that_nothing_is_relative_to_is_refused():
    with pytest.raises(ValueError, match=r"it needs relative, got level=0\.4 without"):
        ImageHead(2, features=1, level=0.4)


@pytest.mark.parametrize(("relative", "residual"), [(0.0, True), (-0.1, True), (0.1, False)])
def test_a_relative_change_that_cannot_be_is_refused_with_its_value(relative, residual):
    with pytest.raises(ValueError, match=f"relative must be .*got {relative} with residual={residual}"):
        ImageHead(2, features=1, residual=residual, relative=relative)


def test_a_clipped_pixel_still_gets_a_gradient():
    head = ImageHead(2, features=1, hidden=1)
    with torch.no_grad():
        head.image.bias.fill_(0.5)
    output = head(torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 0.9))
    output.sum().backward()
    assert (output == 1.0).all()
    assert head.image.bias.grad is not None
    assert head.image.bias.grad.item() > 0
