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

"""A discriminator that knows which decision an image claims to be of."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DecisionDiscriminator(nn.Module):
    """How real an image looks among those of a decision: a discriminator with an output channel for each decision.

    Args:
        network: module (B, C, *spatial) -> (B, 2, *patches), such as ``monai.networks.nets.PatchDiscriminator`` with
            ``out_channels=2``; of a list, which that returns, the last entry. A gradient penalty goes badly with batch
            norm: use ``norm="INSTANCE"`` or none.

    Example::

        network = PatchDiscriminator(spatial_dims=2, channels=16, in_channels=1, out_channels=2, norm="INSTANCE")
        DecisionDiscriminator(network)(images, decisions)  # (B, *patches), high = real
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, decision: Tensor) -> Tensor:
        """Verdicts (B, *patches), high = real, on ``image`` (B, C, *spatial) as one of ``decision`` (B,) in [0, 1].

        Raises:
            ValueError: when the network has not one output channel for each of the two decisions.
        """
        output = self.network(image)
        if isinstance(output, (list, tuple)):
            output = output[-1]
        if output.ndim < 2 or output.shape[1] != 2:
            raise ValueError(
                "the discriminator's network must have two output channels, one for each decision (out_channels=2); "
                f"got an output of shape {tuple(output.shape)}."
            )
        return output[torch.arange(len(output), device=output.device), (decision > 0.5).long()]
