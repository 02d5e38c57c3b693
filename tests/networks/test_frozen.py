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

import torch

from monai_advexplain.networks import Frozen, freeze
from monai_advexplain.networks.frozen import evaluating
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
    assert torch.equal(inside, traced(images()))
