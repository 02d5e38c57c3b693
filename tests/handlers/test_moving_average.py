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

"""MovingAverage: what it averages, what stays bit for bit, and what a checkpoint restores."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from monai_advexplain.handlers import MovingAverage


def run(average, network, values):
    """An engine that sets all weights and buffers of the network to the next value in each iteration."""

    def step(engine, value):
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor.fill_(value)

    engine = Engine(step)
    average.attach(engine)
    engine.run(values)


def test_the_average_is_that_of_the_definition_from_the_first_iteration_on():
    network = nn.Linear(2, 2)
    average = MovingAverage(network, momentum=0.25)
    run(average, network, [1.0, 2.0, 4.0])
    assert all(torch.all(weight == 0.75 * (0.75 * 1 + 0.25 * 2) + 0.25 * 4) for weight in average.network.parameters())
    assert all(torch.all(weight == 4.0) for weight in network.parameters())


def test_buffers_are_copied_and_weights_that_do_not_change_stay_bit_for_bit():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    average = MovingAverage(network)
    before = [weight.detach().clone() for weight in network.parameters()]

    def step(engine, batch):
        network[1].running_mean.add_(1.0)

    engine = Engine(step)
    average.attach(engine)
    engine.run(range(100), max_epochs=3)
    assert all(torch.equal(*pair) for pair in zip(average.network.parameters(), before, strict=True))
    assert torch.all(average.network[1].running_mean == 300.0)


def test_the_average_is_frozen_whatever_the_network_does():
    network = nn.Linear(2, 2).train()
    average = MovingAverage(network)
    assert not average.network.training
    assert not any(weight.requires_grad for weight in average.network.parameters())
    assert all(weight.requires_grad for weight in network.parameters())
    assert average.network is not network


def test_a_checkpoint_goes_on_where_the_average_was():
    whole, first, second = (nn.Linear(2, 2) for _ in range(3))
    wanted, stopped, resumed = (MovingAverage(network, momentum=0.1) for network in (whole, first, second))
    run(wanted, whole, [1.0, 5.0, 3.0, 2.0])
    run(stopped, first, [1.0, 5.0])
    resumed.model.load_state_dict(stopped.model.state_dict())
    run(resumed, second, [3.0, 2.0])
    assert torch.equal(resumed.network.weight, wanted.network.weight)


@pytest.mark.parametrize("momentum", [0.0, 1.0, -0.1, float("nan")])
def test_a_wrong_momentum_is_named(momentum):
    with pytest.raises(ValueError, match="momentum"):
        MovingAverage(nn.Linear(1, 1), momentum=momentum)
