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

"""DecisionDiscriminator: each image is judged among those of the decision that it claims to be of."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import PatchDiscriminator

from monai_advexplain.networks import DecisionDiscriminator
from tests.small import images


@pytest.mark.parametrize("dims", [2, 3])
def test_each_image_gets_the_verdict_of_its_own_decision(dims):
    network = PatchDiscriminator(dims, 4, 1, out_channels=2, num_layers_d=1, norm=None)
    image = images(3, dims=dims)
    with torch.no_grad():
        both = network(image)[-1]
        verdict = DecisionDiscriminator(network)(image, torch.tensor([1.0, 0.0, 0.6]))
    assert verdict.shape == (3, *both.shape[2:])
    for i, channel in enumerate((1, 0, 1)):
        assert torch.equal(verdict[i], both[i, channel])
    assert not torch.equal(both[:, 0], both[:, 1])


def test_a_network_that_returns_one_tensor_judges_too():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2))
    assert DecisionDiscriminator(network)(images(), torch.zeros(2)).shape == (2,)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_without_a_channel_for_each_decision_is_refused_with_its_shape(channels):
    network = torch.nn.Conv2d(1, channels, 3)
    with pytest.raises(ValueError, match=rf"two output channels.*got an output of shape \(2, {channels}, 14, 10\)"):
        DecisionDiscriminator(network)(images(), torch.zeros(2))
