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

import torch
from torch import Tensor, nn

from monai_advexplain.decision import Decision, head_logit


def freeze(classifier: nn.Module) -> nn.Module:
    """Put a classifier in eval mode with no parameter that requires a gradient, in place, and return it."""
    for parameter in classifier.parameters():  # Module.requires_grad_ does not exist for TorchScript
        parameter.requires_grad_(False)
    return classifier.eval()


class Frozen(nn.Module):
    """A classifier as a part of a network that trains: it stays frozen, and in eval mode whatever the whole is in.

    Args:
        network: the classifier; frozen in place.
        decision: when given, the margin of this decision (B, 1) is returned, which is what a gate has to give; else
            whatever the classifier returns.
    """

    def __init__(self, network: nn.Module, decision: Decision | None = None) -> None:
        super().__init__()
        self.network = freeze(network)
        self.training = False
        self._decision = decision
        self.has_decision = decision is not None
        self.head = decision.head if decision is not None else ""
        self.index = decision.index or 0 if decision is not None else 0
        self.boundary = decision.boundary if decision is not None else 0.0

    def train(self, mode: bool = True) -> Frozen:
        """Stay in eval mode."""
        return super().train(False)

    def forward(self, image: Tensor) -> Tensor:
        """The margin (B, 1) of the decision, or what the classifier returns, for ``image``."""
        output = self.network(image)
        if not self.has_decision:
            return output
        if torch.jit.is_scripting():
            return (head_logit(output, self.head, self.index) - self.boundary).unsqueeze(1)
        return self._decision.margin(output).unsqueeze(1)  # type: ignore[union-attr]


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


@contextmanager
def without_gradients(network: nn.Module) -> Iterator[None]:
    """No parameter requires a gradient; then those require one that did before.

    What is computed meanwhile has a gradient with respect to the network's input alone.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
