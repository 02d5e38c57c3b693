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

"""The contract of every explainer in the package, in 2D and 3D; and what each of them computes."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_advexplain import Decision, explainers
from monai_advexplain.explainers import Explainer, GradientExplainer, NaiveExplainer, ProposedExplainer, RandomExplainer
from tests.explainers.cases import EVERY_METHOD, METHODS_WITH_NETWORK, make
from tests.small import SIZES, assert_unchanged, classifier, explainer_net, images, snapshot, trained_looking

DIMS = pytest.mark.parametrize("dims", [2, 3])
EVERY = pytest.mark.parametrize("name", EVERY_METHOD)
WITH_NETWORK = pytest.mark.parametrize("name", METHODS_WITH_NETWORK)


def test_no_explainer_of_the_package_is_left_out_here():
    public = {name for name in explainers.__all__ if issubclass(getattr(explainers, name), Explainer)}
    assert public - {"Explainer"} == set(EVERY_METHOD)


@DIMS
@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_maps_are_one_channel_of_non_negative_float32_that_need_no_gradient(dims, name, dtype):
    shown = images(3, 2, dims)
    shown = (shown > 0.5).to(dtype) if dtype == torch.uint8 else shown.to(dtype)
    maps = make(name, dims)(shown)
    assert maps.shape == (3, 1, *SIZES[dims])
    assert maps.dtype == torch.float32
    assert type(maps) is torch.Tensor
    assert maps.min() >= 0
    assert maps.flatten(1).max(dim=1).values.gt(0).all()
    assert not maps.requires_grad


@DIMS
@EVERY
def test_the_maps_are_the_same_under_no_grad(dims, name):
    shown = images(2, 2, dims)
    with torch.no_grad():
        maps = make(name, dims)(shown)
        assert not torch.is_grad_enabled()
    torch.testing.assert_close(maps, make(name, dims)(shown))
    assert torch.is_grad_enabled()


@EVERY
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("meta", [False, True], ids=["tensor", "metatensor"])
def test_the_input_stays_as_it_was(name, requires_grad, meta):
    shown = images(2, 2)
    shown = MetaTensor(shown) if meta else shown
    shown.requires_grad_(requires_grad)
    before = shown.detach().clone()
    make(name)(shown)
    assert torch.equal(shown.detach(), before)
    assert shown.requires_grad == requires_grad
    assert shown.grad is None
    assert isinstance(shown, MetaTensor) == meta


def evaluating(net):
    net.eval()


def training(net):
    net.train()


def training_but_for_its_last_norm(net):
    net.train()
    [m for m in net.modules() if isinstance(m, torch.nn.modules.batchnorm._NormBase)][-1].eval()


def evaluating_but_for_its_last_norm(net):
    net.eval()
    [m for m in net.modules() if isinstance(m, torch.nn.modules.batchnorm._NormBase)][-1].train()


@DIMS
@WITH_NETWORK
@pytest.mark.parametrize(
    "mode", [evaluating, training, training_but_for_its_last_norm, evaluating_but_for_its_last_norm]
)
def test_weights_buffers_modes_and_gradient_flags_of_the_network_stay_as_they_were(dims, name, mode):
    explainer = make(name, dims)
    shown = images(2, 2, dims)
    expected = explainer(shown)
    mode(explainer.network)
    for i, parameter in enumerate(explainer.network.parameters()):
        parameter.requires_grad_(i % 2 == 0)
    before = snapshot(explainer.network)
    maps = explainer(shown)
    assert_unchanged(explainer.network, before)
    torch.testing.assert_close(maps, expected)  # explained in eval mode whatever the mode was


def test_a_torchscript_classifier_is_explained_as_the_original_and_keeps_its_mode():
    net = classifier(channels=2)
    scripted = torch.jit.script(net).train()
    before = snapshot(scripted)
    maps = GradientExplainer(scripted)(images(2, 2))
    assert_unchanged(scripted, before)
    torch.testing.assert_close(maps, GradientExplainer(net)(images(2, 2)))


@WITH_NETWORK
def test_the_modes_are_restored_when_an_explanation_fails(name):
    explainer = make(name)
    explainer.network.train()
    before = snapshot(explainer.network)
    with pytest.raises((RuntimeError, ValueError)):
        explainer(images(2, 3))
    assert_unchanged(explainer.network, before)


@DIMS
@EVERY
def test_the_map_of_an_image_does_not_depend_on_its_batch_mates(dims, name):
    explainer = make(name, dims)
    shown = images(3, 2, dims)
    maps = explainer(shown)
    torch.testing.assert_close(torch.cat([explainer(one[None]) for one in shown]), maps, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(explainer(shown.flip(0)).flip(0), maps, atol=1e-5, rtol=1e-4)


@EVERY
def test_global_random_numbers_and_hooks_stay_as_they_were(name):
    explainer = make(name)
    modules = list(explainer.network.modules()) if name in METHODS_WITH_NETWORK else []

    def hooks():
        return [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in modules]

    before, numbers, numpy_numbers, python_numbers = (
        hooks(),
        torch.get_rng_state(),
        np.random.get_state()[1].copy(),
        random.getstate(),
    )
    explainer(images(2, 2))
    assert hooks() == before
    assert torch.equal(torch.get_rng_state(), numbers)
    assert (np.random.get_state()[1] == numpy_numbers).all()
    assert random.getstate() == python_numbers


@WITH_NETWORK
def test_gradients_that_the_parameters_hold_are_kept(name):
    explainer = make(name)
    parameter = next(explainer.network.parameters())
    parameter.grad = torch.ones_like(parameter)
    explainer(images(2, 2))
    assert torch.equal(parameter.grad, torch.ones_like(parameter))


@EVERY
@pytest.mark.parametrize("shape", [(16, 12), (2, 16, 12), (1, 1, 2, 8, 8, 8)])
def test_images_of_other_dimensions_are_refused_with_their_shape(name, shape):
    with pytest.raises(ValueError, match=r"images must be \(B, C, W, H\) or .* got shape \(" + str(shape[0])):
        make(name)(torch.rand(shape))


def test_a_method_that_gives_maps_of_another_shape_is_caught():
    class Several(Explainer):
        def explain(self, images):
            return images

    with pytest.raises(RuntimeError, match=r"Several gave maps of shape \(2, 2, 16, 12\), wanted \(2, 1, 16, 12\)"):
        Several()(images(2, 2))


@pytest.mark.parametrize(
    ("decision", "outputs", "plain_margin"),
    [
        (Decision(), 1, lambda row: row[0]),
        (Decision(threshold=0.9), 1, lambda row: row[0]),
        (Decision("multilabel", index=2), 3, lambda row: row[2]),
        (Decision("softmax", index=1), 3, lambda row: torch.logit(row.double().softmax(dim=0)[1])),
    ],
    ids=["sigmoid", "threshold", "multilabel", "softmax"],
)
@DIMS
def test_the_gradient_equals_autograd_one_image_at_a_time(dims, decision, outputs, plain_margin):
    net = classifier(dims, channels=2, outputs=outputs)
    shown = images(3, 2, dims)
    expected = []
    for one in shown:
        one = one.clone().requires_grad_(True)
        plain_margin(net(one[None])[0]).backward()
        expected.append(one.grad.abs().max(dim=0, keepdim=True).values)
    maps = GradientExplainer(net.requires_grad_(False), decision)(shown)
    torch.testing.assert_close(maps, torch.stack(expected), atol=1e-6, rtol=1e-3)


@DIMS
def test_proposed_and_naive_are_the_absolute_changes_averaged_over_channels(dims):
    net = trained_looking(explainer_net(dims, channels=2))
    shown = images(2, 2, dims)
    similar, adversarial = (image.detach().numpy() for image in net.generate(shown))
    for explainer, first in ((ProposedExplainer(net), similar), (NaiveExplainer(net), shown.numpy())):
        expected = abs(first - adversarial).mean(axis=1, keepdims=True)
        torch.testing.assert_close(explainer(shown), torch.from_numpy(expected))


def test_a_random_map_is_reproduced_by_its_seed_whatever_the_order_and_is_another_for_each_image():
    shown = images(3)
    torch.manual_seed(0)
    maps = RandomExplainer(seed=3)(shown)
    torch.manual_seed(1)
    assert torch.equal(RandomExplainer(seed=3)(shown.flip(0)).flip(0), maps)
    assert not torch.equal(RandomExplainer(seed=4)(shown), maps)
    assert not torch.equal(maps[0], maps[1])
    assert not torch.equal(maps[0], maps[2])
    assert maps.max() < 1
