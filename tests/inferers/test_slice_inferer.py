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

"""SlicePairInferer: a volume through a 2D network is every slice through it."""

from __future__ import annotations

import pytest
import torch

from monai_advexplain import Decision
from monai_advexplain.inferers import SlicePairInferer, explain_images
from tests.inferers.test_window_inferer import BrightGate, gated_net, plain_net, volume

SIZE = (20, 24, 16)
AXES = pytest.mark.parametrize("spatial_dim", [0, 1, 2])


def by_slices(network, images, spatial_dim):
    """The network's pairs of all slices, stacked along the axis, each field (B, C, x, y, z)."""
    pairs = [network.generate(part) for part in images.unbind(spatial_dim + 2)]
    return {
        name: torch.stack([getattr(pair, name) for pair in pairs], spatial_dim + 2)
        for name in ("similar", "adversarial")
    }


@AXES
@torch.no_grad()
def test_every_slice_is_what_the_2d_network_makes_of_it(spatial_dim):
    network, images = plain_net(2), volume(3, SIZE, batch=2)
    pair = SlicePairInferer(spatial_dim, sw_batch_size=3)(images, network)
    for name, wanted in by_slices(network, images, spatial_dim).items():
        torch.testing.assert_close(getattr(pair, name), wanted)
    assert network.explain(images, pair).shape == (2, 1, *SIZE)


@AXES
@torch.no_grad()
def test_a_positive_slice_decides_and_only_positive_slices_change_then(spatial_dim):
    network, images = gated_net(), volume(3, SIZE, batch=2)
    images[1, 0, 5, 6, 7] = 1.0
    pair = SlicePairInferer(spatial_dim)(images, network)
    wanted = by_slices(network, images, spatial_dim)
    assert (pair.estimate > 0).tolist() == [False, True]
    torch.testing.assert_close(pair.similar, wanted["similar"])
    torch.testing.assert_close(pair.adversarial[0], wanted["adversarial"][0])
    positive = (5, 6, 7)[spatial_dim]
    for index in range(SIZE[spatial_dim]):
        made = pair.adversarial[1].select(spatial_dim + 1, index)
        expected = wanted["adversarial" if index == positive else "similar"][1].select(spatial_dim + 1, index)
        torch.testing.assert_close(made, expected)


@torch.no_grad()
def test_the_scores_are_those_of_the_slice_of_the_highest_probability():
    network, images = gated_net(), volume(3, SIZE, batch=2)
    images[1, 0, 5, 6, 7] = 1.0
    result = explain_images(images, network, BrightGate(), Decision(), SlicePairInferer(2, sw_batch_size=5))
    slices = torch.sigmoid(torch.stack([BrightGate()(images[..., i]) for i in range(SIZE[2])])).amax(dim=0)
    torch.testing.assert_close(result["probability"], slices)
    assert result["decision"][:, 0].tolist() == [False, True]


def test_another_axis_than_the_three_is_refused():
    with pytest.raises(ValueError, match="spatial_dim must be 0, 1 or 2, got 3"):
        SlicePairInferer(3)


def test_an_image_that_is_no_volume_is_refused():
    with pytest.raises(RuntimeError, match="only 2D `roi_size`"):
        SlicePairInferer()(torch.rand(1, 1, 20, 20), plain_net(2))
