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

"""What a classifier wants of its input is a part of it: nobody else notices."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from monai_advexplain import explainers
from monai_advexplain.networks import AdaptedClassifier
from tests.explainers.cases import CLASSIFIER_METHODS
from tests.small import assert_unchanged, classifier, images, snapshot

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Seen(nn.Module):
    """Keeps what it is shown."""

    def forward(self, image):
        self.image = image
        return image.flatten(1).mean(1, keepdim=True)


def shown(image, **settings):
    """What a network behind an AdaptedClassifier is shown of an image."""
    network = Seen()
    AdaptedClassifier(network, **settings)(image)
    return network.image


def test_by_default_the_network_is_shown_the_image():
    assert torch.equal(shown(images()), images())


@pytest.mark.parametrize("dims", [2, 3])
def test_a_grey_image_becomes_three_normalised_channels(dims):
    x = images(dims=dims)
    seen = shown(x, channels=3, mean=MEAN, std=STD)
    for channel in range(3):
        assert torch.allclose(seen[:, channel], (x[:, 0] - MEAN[channel]) / STD[channel], atol=1e-6)


def test_an_image_that_has_the_channels_already_keeps_them():
    assert torch.equal(shown(images(channels=3), channels=3), images(channels=3))


def test_intensities_are_scaled_before_they_are_normalised():
    assert torch.allclose(shown(images(), value_range=(-1024, 1024)), 2048 * images() - 1024, atol=1e-3)
    seen = shown(images(), value_range=(0, 255), mean=128, std=64)
    assert torch.allclose(seen, (255 * images() - 128) / 64, atol=1e-5)


def test_resizing_is_that_of_the_pipelines_in_which_rgb_classifiers_are_trained():
    x = images(1)
    with_pillow = Image.fromarray(x[0, 0].numpy()).resize((7, 9), Image.Resampling.BILINEAR)
    assert np.allclose(shown(x, size=(9, 7))[0, 0], with_pillow, atol=1e-5)


def test_volumes_are_averaged_down_and_interpolated_up():
    x = images(dims=3)
    assert torch.allclose(shown(x, size=(4, 6, 8)), functional.avg_pool3d(x, 2), atol=1e-6)
    assert shown(x, size=(16, 6, 8)).shape == (2, 1, 16, 6, 8)


def test_axes_are_reversed_for_networks_that_put_rows_first():
    assert torch.equal(shown(images(), reverse_axes=True), images().transpose(2, 3))
    assert torch.equal(shown(images(dims=3), reverse_axes=True), images(dims=3).permute(0, 1, 4, 3, 2))
    assert shown(images(), reverse_axes=True, size=(6, 8)).shape == (2, 1, 6, 8)


def adapted(**settings):
    return AdaptedClassifier(classifier(channels=3), 3, MEAN, STD, size=(10, 14), **settings)


def test_the_gradient_reaches_every_pixel_of_the_image_even_when_it_is_made_smaller():
    x = images().requires_grad_(True)
    (gradient,) = torch.autograd.grad(adapted()(x).sum(), x)
    assert gradient.shape == x.shape
    assert (gradient != 0).all()


def test_the_network_is_frozen_for_good_and_its_weights_keep_their_place_in_the_state_dict():
    net = AdaptedClassifier(classifier(channels=3).train(), 3, MEAN, STD)
    assert not net.training
    assert not any(m.training for m in net.train().modules())
    assert not any(p.requires_grad for p in net.parameters())
    assert [name.removeprefix("network.") for name in net.state_dict()] == list(classifier(channels=3).state_dict())


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("reverse_axes", [False, True])
def test_it_is_scripted_where_the_classifier_is(dims, reverse_axes):
    size = (10, 14) if dims == 2 else (4, 5, 6)
    net = AdaptedClassifier(classifier(dims, 3), 3, MEAN, STD, (0, 255), size, reverse_axes)
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(net), file)
    file.seek(0)
    torch.testing.assert_close(torch.jit.load(file)(images(dims=dims)), net(images(dims=dims)))


def test_it_can_be_exported():
    program = torch.export.export(adapted(), (images(),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    assert torch.allclose(program.module()(images(3)), adapted()(images(3)), atol=1e-6)


def test_mixed_precision_is_resized_too():
    with torch.autocast("cpu"):
        logits = adapted()(images().bfloat16())
    assert torch.allclose(logits.float(), adapted()(images()), atol=0.1)


@pytest.mark.parametrize("name", CLASSIFIER_METHODS)
@pytest.mark.parametrize("reverse_axes", [False, True])
def test_every_method_explains_in_the_space_of_the_image(name, reverse_axes):
    net = adapted(reverse_axes=reverse_axes)
    before = snapshot(net)
    maps = getattr(explainers, name)(net, **CLASSIFIER_METHODS[name])(images())
    assert maps.shape == images().shape
    assert maps.isfinite().all()
    assert_unchanged(net, before)


@pytest.mark.parametrize("name", ["GradientExplainer", "GradCAMExplainer", "GradCAMPlusPlusExplainer"])
@pytest.mark.parametrize("dims", [2, 3])
def test_maps_of_a_network_with_other_axes_lie_on_the_image(name, dims):
    x, reverse = images(dims=dims), (0, 1, *range(1 + dims, 1, -1))
    explain = getattr(explainers, name)
    maps = explain(AdaptedClassifier(classifier(dims), reverse_axes=True))(x)
    wanted = explain(classifier(dims))(x.permute(reverse)).permute(reverse)
    assert maps.std() > 0
    assert torch.allclose(maps, wanted, atol=1e-5 * float(wanted.max()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 0}, "channels must be at least 1, got 0"),
        ({"channels": 3, "mean": (0.5, 0.5)}, r"mean must be one number or 3, one for each channel, got \(0.5, 0.5\)"),
        ({"std": 0.0}, "std must be positive, got 0.0"),
        ({"value_range": (1, 1)}, "value_range must be two different numbers"),
        ({"size": (224,)}, "size must be two or three positive numbers"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        AdaptedClassifier(Seen(), **settings)


def test_an_image_that_does_not_fit_is_refused_with_its_shape():
    with pytest.raises(ValueError, match=r"1 or 3 channel\(s\), got shape \[2, 2, 16, 12\]"):
        adapted()(images(channels=2))
    with pytest.raises(ValueError, match=r"images of size \[10, 14\], got shape \[2, 1, 8, 12, 16\]"):
        adapted()(images(dims=3))
