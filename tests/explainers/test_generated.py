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

"""Explanations from generated images: the residual of the similar image, and the images themselves."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_advexplain.explainers import NaiveExplainer, ProposedExplainer, RandomExplainer, SimilarResidualExplainer
from monai_advexplain.explainers.generated import generates_images
from tests.small import assert_unchanged, explainer_net, images, snapshot, trained_looking

DIMS = pytest.mark.parametrize("dims", [2, 3])


@DIMS
def test_the_similar_residual_is_the_absolute_reconstruction_error_averaged_over_channels(dims):
    net = trained_looking(explainer_net(dims, channels=2))
    shown = images(2, 2, dims)
    expected = abs(shown.numpy() - net.generate(shown).similar.detach().numpy()).mean(axis=1, keepdims=True)
    torch.testing.assert_close(SimilarResidualExplainer(net)(shown), torch.from_numpy(expected))


@DIMS
@pytest.mark.parametrize("explainer", [ProposedExplainer, NaiveExplainer, SimilarResidualExplainer])
def test_the_images_behind_a_map_are_generated_in_eval_mode_and_change_nothing(dims, explainer):
    net = trained_looking(explainer_net(dims, channels=2, norm="batch"))
    shown = images(3, 2, dims)
    expected = net.eval().generate(shown)
    net.train()
    before, seen = snapshot(net), MetaTensor(shown).requires_grad_(True)
    pair = explainer(net).generate(seen)
    assert_unchanged(net, before)
    assert torch.equal(seen.detach().as_tensor(), shown)
    for image, wanted in zip(pair, expected, strict=True):
        assert type(image) is torch.Tensor
        assert not image.requires_grad
        torch.testing.assert_close(image, wanted.detach())
    assert torch.equal(pair.similar, pair[0])


def test_only_methods_with_images_of_their_own_generate_images():
    net = explainer_net()
    assert [generates_images(kind(net)) for kind in (ProposedExplainer, NaiveExplainer)] == [True, True]
    assert not any(map(generates_images, (SimilarResidualExplainer(net), RandomExplainer(), None)))
