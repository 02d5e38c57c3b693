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

"""GradCAM and GradCAM++: MONAI's maps the right way up, the layer that is found, and nothing left behind."""

from __future__ import annotations

import copy

import monai.visualize
import pytest
import torch
import torch.nn.functional as F
from monai.networks.nets import DenseNet121, SEResNet50, resnet18
from torch import nn

from monai_advexplain import Decision
from monai_advexplain.explainers import GradCAMExplainer, GradCAMPlusPlusExplainer, UnsupportedClassifierError
from tests.explainers.cases import decided
from tests.small import assert_unchanged, classifier, images, snapshot

DIMS = pytest.mark.parametrize("dims", [2, 3])


def with_seed(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval()


def scaled(maps):
    """Each map to [0, 1]."""
    flat = maps.flatten(1)
    low, high = (extreme.reshape(-1, *[1] * (maps.ndim - 1)) for extreme in (flat.amin(dim=1), flat.amax(dim=1)))
    return (maps - low) / (high - low)


@DIMS
@pytest.mark.parametrize("layer", ["3", "5"])
def test_gradcam_is_one_less_the_map_of_monai(dims, layer):
    net = classifier(dims, outputs=3)
    shown = images(1, 1, dims)
    says_yes = Decision("multilabel", index=int(net(shown)[0].argmax()))
    assert says_yes.hard(net(shown)).all()
    expected = 1 - monai.visualize.GradCAM(copy.deepcopy(net), layer)(shown, class_idx=says_yes.index)
    torch.testing.assert_close(scaled(GradCAMExplainer(net, says_yes, layer)(shown)), expected)


@DIMS
@pytest.mark.parametrize("method", [GradCAMExplainer, GradCAMPlusPlusExplainer])
@pytest.mark.parametrize("strength", [1.0, 1e-3], ids=["usual gradients", "small gradients"])
def test_the_maps_equal_the_formulas_one_image_at_a_time_for_both_decisions(dims, method, strength):
    net = decided(dims)
    for parameter in net[-1].parameters():
        parameter.data *= strength
    shown = images(6, 1, dims)
    assert {True, False} == set(Decision().hard(net(shown)).tolist())
    expected = []
    for one in shown:
        features = net[:6](one[None]).detach().double().requires_grad_(True)
        margin = copy.deepcopy(net[6:]).double()(features)[0, 0]
        (gradient,) = torch.autograd.grad(margin.abs(), features)
        axes = tuple(range(2, features.ndim))
        if method is GradCAMExplainer:
            weights = gradient.mean(axes, keepdim=True)
        else:
            below = 2 * gradient**2 + (features * gradient**3).sum(axes, keepdim=True)
            alpha = torch.where(gradient != 0, gradient**2 / torch.where(below != 0, below, 1.0), 0.0)
            weights = (alpha * gradient.relu()).sum(axes, keepdim=True)
        small = (weights * features).sum(dim=1, keepdim=True).relu().detach()
        expected.append(F.interpolate(small, one.shape[1:], mode=("bilinear", "trilinear")[dims - 2]))
    maps = method(net)(shown)
    torch.testing.assert_close(maps, torch.cat(expected).float(), atol=1e-5 * maps.max().item(), rtol=1e-3)


@pytest.mark.parametrize(
    ("make", "size", "layer"),
    [
        (lambda: DenseNet121(2, 1, 1), (64, 64), "class_layers.relu"),
        (lambda: DenseNet121(3, 1, 1), (32, 32, 64), "class_layers.relu"),
        (lambda: resnet18(spatial_dims=2, n_input_channels=1, num_classes=1), (64, 64), "layer4"),
        (lambda: resnet18(spatial_dims=3, n_input_channels=1, num_classes=1), (32, 32, 32), "layer4"),
        (lambda: SEResNet50(spatial_dims=2, in_channels=1, num_classes=1), (64, 64), "layer4"),
        (lambda: classifier(2), (16, 12), "5"),
        (lambda: classifier(3), (8, 12, 16), "5"),
    ],
)
def test_the_last_layer_with_positions_is_found_and_used(make, size, layer):
    net = with_seed(make)
    shown = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(GradCAMExplainer(net)(shown), GradCAMExplainer(net, target_layer=layer)(shown))


def test_each_size_of_image_has_its_own_layer():
    net = with_seed(lambda: resnet18(spatial_dims=2, n_input_channels=1, num_classes=1))
    explainer = GradCAMExplainer(net)
    small, large = torch.rand(1, 1, 16, 16), torch.rand(1, 1, 64, 64)  # layer4 has one position for the small one
    explainer(small)
    torch.testing.assert_close(explainer(large), GradCAMExplainer(net, target_layer="layer4")(large))
    torch.testing.assert_close(explainer(small), GradCAMExplainer(net, target_layer="layer3")(small))


def test_what_works_in_place_behind_the_layer_does_not_change_its_activations():
    net = nn.Sequential(*classifier(outputs=1))
    net[5] = nn.ReLU(inplace=True)
    plain = copy.deepcopy(net)
    plain[5] = nn.ReLU()
    torch.testing.assert_close(*(GradCAMExplainer(one, target_layer="4")(images()) for one in (net, plain)))


def test_a_layer_without_a_name_in_the_classifier_is_refused():
    with pytest.raises(ValueError, match=r"has no layer 'features'; classifier.named_modules\(\) lists them"):
        GradCAMExplainer(classifier(), target_layer="features")


def test_a_layer_that_does_not_run_is_refused():
    net = classifier()
    net[7].unused = nn.ReLU()
    with pytest.raises(UnsupportedClassifierError, match=r"'7\.unused': the classifier does not run such a layer"):
        GradCAMExplainer(net, target_layer="7.unused")(images())


def test_a_layer_that_gives_no_feature_maps_is_refused_with_what_it_gives():
    with pytest.raises(UnsupportedClassifierError, match=r"and '7' gives \(2, 8\)"):
        GradCAMExplainer(classifier(), target_layer="7")(images())


def test_a_classifier_without_feature_maps_is_refused_and_left_as_it_was():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16 * 12, 4), nn.ReLU(), nn.Linear(4, 1))
    before = snapshot(net)
    with pytest.raises(UnsupportedClassifierError, match="the classifier does not run such a layer"):
        GradCAMExplainer(net)(images())
    assert_unchanged(net, before)
    assert not any(module._forward_hooks for module in net.modules())


def test_torchscript_inside_a_python_module_is_refused_as_such():
    with pytest.raises(UnsupportedClassifierError, match="TorchScript hides the layers"):
        GradCAMExplainer(nn.Sequential(torch.jit.script(classifier())))(images())


def test_a_logit_however_large_gives_finite_maps():
    net = classifier()
    net[-1].weight.data *= 1e4
    maps = GradCAMPlusPlusExplainer(net)(images())
    assert maps.isfinite().all()
