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

"""A frozen classifier stays as it is, and so does what is frozen for a while."""

from __future__ import annotations

import pytest
import torch

from monai_advexplain import Decision
from monai_advexplain.networks import Frozen, freeze
from monai_advexplain.networks.frozen import evaluating, without_gradients
from tests.small import classifier, images


def test_freezing_stops_statistics_and_gradients_in_place():
    net = classifier().train()
    assert freeze(net) is net
    assert not any(m.training for m in net.modules())
    assert not any(p.requires_grad for p in net.parameters())


def test_a_frozen_part_stays_in_eval_mode_when_the_whole_trains():
    part = Frozen(classifier().train())
    whole = torch.nn.Sequential(part)
    assert not part.training
    assert whole.train().training
    assert not any(m.training for m in part.modules())


def test_a_frozen_torchscript_which_has_no_mode_can_be_evaluated():
    traced = torch.jit.freeze(torch.jit.trace(classifier().eval(), images()))
    with evaluating(traced):
        inside = traced(images())
    torch.testing.assert_close(inside, traced(images()))


def test_without_gradients_the_input_alone_has_one_and_afterwards_all_is_as_before():
    net, image = classifier(), images().requires_grad_()
    net[0].weight.requires_grad_(False)
    before = [p.requires_grad for p in net.parameters()]
    with without_gradients(net):
        value = net(image).sum()
    value.backward()
    assert image.grad.abs().sum() > 0
    assert all(p.grad is None for p in net.parameters())
    assert [p.requires_grad for p in net.parameters()] == before


@pytest.mark.parametrize(
    ("outputs", "decision"),
    [
        (1, Decision("sigmoid", threshold=0.3)),
        (3, Decision("multilabel", index=1)),
        (3, Decision("softmax", index=-1, threshold=0.7)),
    ],
)
@torch.no_grad()
def test_a_frozen_classifier_with_a_decision_gives_its_margin_scripted_too(outputs, decision):
    asked = classifier(outputs=outputs)
    part, image = Frozen(asked, decision), images(3)
    wanted = decision.margin(asked(image))[:, None]
    assert torch.equal(part(image), wanted)
    torch.testing.assert_close(torch.jit.script(part)(image), wanted)


@torch.no_grad()
def test_a_frozen_classifier_without_a_decision_gives_its_output():
    asked = classifier(outputs=3)
    torch.testing.assert_close(Frozen(asked)(images(2)), asked(images(2)))
