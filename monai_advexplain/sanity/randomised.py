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

"""Randomised classifiers: a copy whose layers are untrained again, from the head down."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from monai_advexplain.networks.frozen import evaluating

_BATCH = 8  # images that go through a network at once
# A training with the same seed may have begun with the very weights that would be drawn: draw others.
_APART = 0x5EED_0000


def layers(network: nn.Module) -> list[str]:
    """Names of the parts that hold parameters of their own, in order of registration: the head comes last."""
    return [name for name, part in network.named_modules() if next(part.parameters(recurse=False), None) is not None]


@torch.no_grad()
def randomised(network: nn.Module, count: int | None = None, seed: int = 0) -> nn.Module:
    """A copy of a network whose last ``count`` layers are as before any training.

    A part with ``reset_parameters`` (torch's layers) draws its initial values again and forgets the statistics that it
    gathered; the parameters of any other part are shuffled, each within itself.

    Args:
        network: stays as it is.
        count: how many of :func:`layers`, counted from the head; None for all.
        seed: of the draws; the global random state stays as it is.

    Returns:
        The copy.

    Raises:
        ValueError: when there are fewer than ``count`` layers, or ``count`` is negative.

    Source:
        Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, arXiv 1810.03292 (cascading randomisation).
    """
    names = layers(network)
    count = len(names) if count is None else count
    if not 0 <= count <= len(names):
        raise ValueError(f"count must be from 0 to {len(names)}, the number of layers with parameters, got {count}.")
    drawn = copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_APART + seed)
        for name in names[len(names) - count :]:
            part = drawn.get_submodule(name)
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
                continue
            for parameter in part.parameters(recurse=False):
                order = torch.randperm(parameter.numel()).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
    return drawn


@torch.no_grad()
def deciding(network: nn.Module, intact: nn.Module, images: Tensor) -> nn.Module:
    """Let a randomised network decide some images one way and some the other, as the intact one does.

    Weights just drawn give all images nearly the same output, all on one side of the boundary, and then there is no
    decision to turn or to explain. The statistics of batch normalisation are gathered again, and a linear head is
    scaled and shifted so that each output has the median and the deviation of the intact network's. What the network
    looks at stays random.

    Args:
        network: what :func:`randomised` returned, changed in place.
        intact: the network before.
        images: (N, C, *spatial) to gather over.

    Returns:
        ``network``; its head as it was when it is no ``nn.Linear`` with a bias that gives the network's outputs.
    """
    batches = images.split(_BATCH)
    update_bn(batches, network)
    head = network.get_submodule(layers(network)[-1])
    with evaluating(intact), evaluating(network):
        wanted, found = (torch.cat([net(batch) for batch in batches]) for net in (intact, network))
    if isinstance(head, nn.Linear) and head.bias is not None and found.shape[1:] == (head.out_features,):
        scale = wanted.std(dim=0) / found.std(dim=0).clamp_min(torch.finfo(found.dtype).tiny)
        shift = wanted.median(dim=0).values - scale * found.median(dim=0).values
        head.weight *= scale[:, None]
        head.bias.copy_(scale * head.bias + shift)
    return network
