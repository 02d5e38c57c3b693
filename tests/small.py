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

"""Small real parts that several test files share."""

from __future__ import annotations

import torch
from monai.networks.nets import UNet
from torch import Tensor, nn

from monai_advexplain.networks import ExplainerNet, SeparateGenerators, TwoHeadGenerator

SIZES = {2: (16, 12), 3: (8, 12, 16)}


def images(batch: int = 2, channels: int = 1, dims: int = 2, seed: int = 0) -> Tensor:
    """Random images (batch, channels, *SIZES[dims]) in [0, 1]."""
    return torch.rand(batch, channels, *SIZES[dims], generator=torch.Generator().manual_seed(seed))


def classifier(dims: int = 2, channels: int = 1, outputs: int = 1, seed: int = 0) -> nn.Sequential:
    """A convolutional classifier with batch norms whose statistics are not the initial ones, in eval mode."""
    convolution, norm = ((nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d))[dims - 2]
    pool = (nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[dims - 2]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            convolution(channels, 8, 3, padding=1),
            norm(8),
            nn.ReLU(),
            convolution(8, 8, 3, padding=1, stride=2),
            norm(8),
            nn.ReLU(),
            pool(1),
            nn.Flatten(),
            nn.Linear(8, outputs),
        )
        net.train()
        for _ in range(20):
            net(torch.rand(8, channels, *SIZES[dims]))
    return net.eval()


def trunk(dims: int = 2, channels: int = 1, features: int = 4, norm: str | None = "instance") -> UNet:
    """A U-Net of one stride."""
    return UNet(dims, channels, features, channels=(4, 8), strides=(2,), norm=norm)


def explainer_net(
    dims: int = 2,
    channels: int = 1,
    separate: bool = False,
    residual: bool = True,
    norm: str | None = "instance",
    rule: str = "similar_adversarial",
    seed: int = 0,
) -> ExplainerNet:
    """An untrained ExplainerNet."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        trunks = [trunk(dims, channels, norm=norm) for _ in range(1 + separate)]
        make = SeparateGenerators if separate else TwoHeadGenerator
        generator = make(*trunks, features=4, spatial_dims=dims, channels=channels, hidden=4, residual=residual)
    return ExplainerNet(generator, channels=channels, spatial_dims=dims, size_divisor=2, rule=rule)


def trained_looking(net: ExplainerNet, seed: int = 0) -> ExplainerNet:
    """The net with random last convolutions, so that its images differ from the input and from each other."""
    generator = torch.Generator().manual_seed(seed)
    for head in (net.generator.similar, net.generator.adversarial):
        with torch.no_grad():
            head.image.weight.copy_(0.3 * torch.randn(head.image.weight.shape, generator=generator))
    return net


def snapshot(net: nn.Module) -> tuple[dict[str, Tensor], list[bool], list[bool]]:
    """Copies of weights and buffers, training flags of all modules, requires_grad flags of all parameters."""
    state = {name: value.clone() for name, value in net.state_dict().items()}
    return state, [m.training for m in net.modules()], [p.requires_grad for p in net.parameters()]


def assert_unchanged(net: nn.Module, before: tuple[dict[str, Tensor], list[bool], list[bool]]) -> None:
    """The net is bit for bit as in an earlier :func:`snapshot`, and its parameters hold no gradients."""
    state, training, requires_grad = snapshot(net)
    assert state.keys() == before[0].keys()
    assert [name for name in state if not torch.equal(state[name], before[0][name])] == []
    assert training == before[1]
    assert requires_grad == before[2]
    assert all(p.grad is None for p in net.parameters())
