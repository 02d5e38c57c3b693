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

"""Classifiers frozen, for a while or for good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


def freeze(classifier: nn.Module) -> nn.Module:
    """Put a classifier in eval mode with no parameter that requires a gradient, in place, and return it."""
    for parameter in classifier.parameters():  # Module.requires_grad_ does not exist for TorchScript
        parameter.requires_grad_(False)
    return classifier.eval()


class Frozen(nn.Module):
    """A classifier as a part of a network that trains: it stays frozen, and in eval mode whatever the whole is in.

    Args:
        network: the classifier; frozen in place.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = freeze(network)
        self.training = False

    def train(self, mode: bool = True) -> Frozen:
        """Stay in eval mode."""
        return super().train(False)

    def forward(self, image: Tensor) -> Tensor:
        """What the classifier returns for ``image``."""
        return self.network(image)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode; then every part is back in its own (``monai.networks.eval_mode`` remembers that of the whole only)."""
    # torch.jit.freeze leaves modules without a mode
    modes = [(module, module.training) for module in network.modules() if hasattr(module, "training")]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
