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

"""WindowPairInferer: the single pass where that is possible, without seams; one decision about all windows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_advexplain import Decision, ExplainerNet, TwoHeadGenerator
from monai_advexplain.inferers import PairInferer, WindowPairInferer, explain_images
from monai_advexplain.networks import Blur, GatedExplainerNet, GatedGenerator, MaskExplainerNet, MaskGenerator

DIMS = pytest.mark.parametrize("dims", [2, 3])
REACH = 4  # pixels that a change of the image is felt away, in the networks here


def convolution(dims, channels, features):
    return (nn.Conv2d, nn.Conv3d)[dims - 2](channels, features, 3, padding=1)


def trunk(dims):
    return nn.Sequential(
        convolution(dims, 1, 4), nn.ReLU(), convolution(dims, 4, 4), nn.ReLU(), convolution(dims, 4, 4), nn.ReLU()
    )


def randomised(network):
    """Large enough weights that the generated images differ, without clipping much."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        spread = 0.03 if name.endswith("image.weight") else 1.5 / max(parameter[0].numel(), 4) ** 0.5
        parameter.data.copy_(spread * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def plain_net(dims, rule="similar_adversarial"):
    generator = TwoHeadGenerator(trunk(dims), features=4, spatial_dims=dims, hidden=4)
    return randomised(ExplainerNet(generator, spatial_dims=dims, rule=rule))


class BrightGate(nn.Module):
    """Says yes about a window that is somewhere brighter than 0.95: the margin in units of 0.05."""

    def forward(self, image):
        return 20.0 * (image.flatten(1).amax(dim=1, keepdim=True) - 0.95)


def gated_net(dims=2):
    generator = GatedGenerator(trunk(dims), BrightGate(), 4, spatial_dims=dims, hidden=4)
    return randomised(GatedExplainerNet(generator, spatial_dims=dims))


def volume(dims, size, batch=1):
    """Smooth images within [0.2, 0.8]."""
    noise = torch.rand(batch, 1, *size, generator=torch.Generator().manual_seed(1))
    smooth = Blur(0.05)(noise)
    return 0.2 + 0.6 * (smooth - smooth.amin()) / (smooth.amax() - smooth.amin())


SIZES = {2: (72, 50), 3: (64, 40, 33)}
WINDOWS = {2: (32, 24), 3: (32, 28, 24)}


@DIMS
@torch.no_grad()
def test_the_interior_is_that_of_the_single_pass(dims):
    network, images = plain_net(dims), volume(dims, SIZES[dims], batch=2)
    whole = network.generate(images)
    pair = WindowPairInferer(WINDOWS[dims], sw_batch_size=3)(images, network)
    interior = (slice(None), slice(None), *[slice(REACH, -REACH)] * dims)
    for name in ("similar", "adversarial"):
        made, wanted = getattr(pair, name)[interior], getattr(whole, name)[interior]
        assert (made - wanted).abs().max() < 0.01 * (wanted - images[interior]).abs().max()
    wanted = network.explain(images, whole)
    assert (network.explain(images, pair) - wanted)[interior].abs().max() < 0.005 * wanted.max()


@torch.no_grad()
def jumps(network, images, window, overlap):
    """The map's departure from the single pass: its highest jump from each plane to the next along the first axis."""
    whole = network(images)
    error = network.explain(images, WindowPairInferer(window, overlap=overlap)(images, network)) - whole
    return error.diff(dim=2).abs().transpose(0, 2).flatten(1).amax(dim=1) / whole.max()


@DIMS
def test_no_seam_is_at_the_borders_of_windows(dims):
    network, images, window = plain_net(dims), volume(dims, SIZES[dims]), WINDOWS[dims]
    starts = {2: (16, 32, 40), 3: (16, 32)}[dims]  # of the windows after the first along the first axis
    borders = [start - 1 for start in starts] + [start + window[0] - 1 for start in (0, *starts[:-1])]
    assert jumps(network, images, window, overlap=0.5)[borders].max() < 0.005
    assert jumps(network, images, window, overlap=0.0)[window[0] - 1] > 0.05  # what a seam looks like


@DIMS
@torch.no_grad()
def test_an_image_smaller_than_the_window_is_padded_and_cropped_back(dims):
    network, images = plain_net(dims), volume(dims, SIZES[dims])[..., :13]
    sizes = []
    hook = network.generator.trunk.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[-1]))
    pair = WindowPairInferer(WINDOWS[dims])(images, network)
    hook.remove()
    assert set(sizes) == {WINDOWS[dims][-1]}
    assert pair.similar.shape == pair.adversarial.shape == images.shape
    interior = (slice(None), slice(None), *[slice(REACH, -REACH)] * dims)
    torch.testing.assert_close(pair.similar[interior], network.generate(images).similar[interior], atol=2e-3, rtol=0)


@torch.no_grad()
def test_never_more_windows_than_asked_for_go_through_the_network_at_once():
    network, images = plain_net(3), volume(3, SIZES[3], batch=2)
    shapes = set()
    network.generator.trunk.register_forward_pre_hook(lambda _, given: shapes.add(tuple(given[0].shape)))
    WindowPairInferer(WINDOWS[3], sw_batch_size=4)(images, network)
    assert {shape[1:] for shape in shapes} == {(1, *WINDOWS[3])}
    assert max(shape[0] for shape in shapes) == 4


def spotted(size=(72, 50), *spots):
    """Two images, the second with bright pixels."""
    images = volume(2, size, batch=2)
    for x, y in spots:
        images[1, 0, x, y] = 1.0
    return images


@torch.no_grad()
def test_a_volume_is_decided_by_its_most_positive_window_and_each_image_of_a_batch_on_its_own():
    images = spotted((72, 50), (66, 45))
    pair = WindowPairInferer((24, 24), sw_batch_size=3)(images, gated_net())
    highest = images.flatten(1).amax(dim=1)
    torch.testing.assert_close(pair.estimate, 20.0 * (highest - 0.95))
    assert (pair.estimate > 0).tolist() == [False, True]


@torch.no_grad()
def test_windows_that_are_decided_otherwise_than_the_volume_contribute_no_change():
    images, network = spotted((72, 50), (66, 45)), gated_net()
    pair = WindowPairInferer((24, 24), overlap=0.0)(images, network)
    changed = (pair.adversarial - pair.similar).abs() > 0
    # Without overlap the windows start at 0, 24, 48 and 0, 24, 26: two of them hold the spot.
    assert changed[1, 0, 48:, 26:].any()
    assert not changed[1, 0, :48].any()
    assert not changed[1, 0, :, :24].any()
    for start in (0, 24, 48):  # a volume that is decided "no" changes everywhere
        assert changed[0, 0, start : start + 24, :24].any()


@torch.no_grad()
def test_the_change_is_that_of_the_head_which_turns_the_volumes_decision():
    images, network = spotted((24, 24), (12, 12)), gated_net()
    inferer = WindowPairInferer((24, 24))
    pair, whole = inferer(images, network), network.generate(images)
    torch.testing.assert_close(pair.adversarial, whole.adversarial)
    torch.testing.assert_close(pair.similar, whole.similar)
    torch.testing.assert_close(pair.estimate, whole.estimate)
    features = network.generator.trunk(images)
    torch.testing.assert_close(pair.adversarial[1], network.generator.to_no(features, images)[1])
    torch.testing.assert_close(pair.adversarial[0], network.generator.to_yes(features, images)[0])


@torch.no_grad()
def test_a_networks_other_images_are_blended_too():
    network = MaskExplainerNet(MaskGenerator(trunk(2), features=4, hidden=4)).eval()
    images = volume(2, SIZES[2])
    pair = WindowPairInferer(WINDOWS[2])(images, network)
    assert pair.mask.shape == images.shape
    assert torch.equal(network.explain(images, pair), pair.mask)
    interior = (..., slice(REACH, -REACH), slice(REACH, -REACH))
    torch.testing.assert_close(pair.mask[interior], network.generate(images).mask[interior], atol=0.01, rtol=0)


@pytest.mark.parametrize("make", [lambda: plain_net(2), lambda: plain_net(2, rule="naive"), gated_net])
@torch.no_grad()
def test_torchscript_gives_the_same(make, tmp_path):
    network, images = make(), spotted((72, 50), (66, 45))
    torch.jit.script(network).save(str(tmp_path / "network.ts"))
    loaded = torch.jit.load(str(tmp_path / "network.ts"))
    inferer = WindowPairInferer((24, 24))
    pair, wanted = inferer(images, loaded), inferer(images, network)
    assert pair._fields == wanted._fields
    torch.testing.assert_close(loaded.explain(images, pair), network.explain(images, wanted))


@torch.no_grad()
def test_a_network_that_returns_its_input_does_not_harm_the_images():
    class Same(nn.Module):
        def forward(self, image):
            return image, image

    images = volume(2, SIZES[2])
    before = images.clone()
    pair = WindowPairInferer(WINDOWS[2])(images, ExplainerNet(Same()))
    assert torch.equal(images, before)
    torch.testing.assert_close(pair.similar, before)


class MaximumClassifier(nn.Module):
    """Logits (B, 3) of which one follows the brightest pixel; as a tuple, like MONAI's ViT."""

    def forward(self, images):
        highest = images.flatten(1).amax(dim=1)
        return torch.stack([-highest, 20.0 * (highest - 0.95), highest.new_zeros(len(images))], dim=1), None


def test_the_classifiers_answer_is_that_about_the_window_of_the_highest_probability():
    images, decision = spotted((72, 50), (66, 45)), Decision("multilabel", index=1)
    output = WindowPairInferer((24, 24), sw_batch_size=4).classify(images, MaximumClassifier(), decision)
    torch.testing.assert_close(output, MaximumClassifier()(images)[0])
    assert decision.hard(output).tolist() == [False, True]


def test_in_one_pass_the_classifier_sees_the_whole_image():
    images = spotted((72, 50), (66, 45))
    output = PairInferer().classify(images, MaximumClassifier(), Decision("multilabel", index=1))
    torch.testing.assert_close(output[0], MaximumClassifier()(images)[0])


@torch.no_grad()
def test_scores_are_asked_window_by_window_for_all_three_images():
    images, network, sizes = spotted((72, 50), (66, 45)), gated_net(), set()

    class Classifier(nn.Module):
        def forward(self, shown):
            sizes.add(tuple(shown.shape[2:]))
            return BrightGate()(shown)

    result = explain_images(images, network, Classifier(), Decision(), WindowPairInferer((24, 24)))
    assert sizes == {(24, 24)}
    assert {name: value.shape for name, value in result.items() if value.ndim == 2} == {
        f"{score}{suffix}": (2, 1)
        for score in ("probability", "decision")
        for suffix in ("", "_similar", "_adversarial")
    }
    assert result["decision"][:, 0].tolist() == [False, True]
    whole = torch.sigmoid(BrightGate()(result["adversarial"]))
    torch.testing.assert_close(result["probability_adversarial"], whole)
    assert result["explanation"].shape == images.shape


def test_a_window_of_another_dimensionality_is_refused():
    with pytest.raises(ValueError, match="Sequence must have length 3, got 2"):
        WindowPairInferer((24, 24))(torch.rand(1, 1, 30, 30, 30), plain_net(3))
