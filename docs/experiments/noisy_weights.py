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

"""A critic whose weights are noisy; see 2026-11-25-more-images.md."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call


class NoisyWeights(nn.Module):
    """A network whose weights are multiplied by 1 + ``std`` N(0, 1), drawn anew for every call (arXiv 2106.10185).

    Args:
        network: the network; its own weights stay as they are.
        std: standard deviation of the factors.
    """

    def __init__(self, network: nn.Module, std: float = 0.1) -> None:
        super().__init__()
        self.network, self.std = network, std

    def forward(self, image: Tensor) -> Tensor:
        """What the network with noisy weights returns for ``image``."""
        noisy = {n: v * (1 + self.std * torch.randn_like(v)) for n, v in self.network.named_parameters()}
        return functional_call(self.network, noisy, (image,))
