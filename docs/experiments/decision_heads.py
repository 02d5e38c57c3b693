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

"""A GatedGenerator whose similar image is told the decision too; see 2026-11-25-critics-and-heads.md."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from monai_advexplain.networks import GatedGenerator, ImageHead


class ReinforcingHead(nn.Module):
    """Takes the head that makes the image more of what the gate says it is; stands where one ImageHead stood."""

    def __init__(self, gate: nn.Module, more_no: ImageHead, more_yes: ImageHead) -> None:
        super().__init__()
        self.gate, self.more_no, self.more_yes = gate, more_no, more_yes

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Image (B, C, *spatial) from features (B, F, *grid) and the input image (B, C, *spatial)."""
        yes = (self.gate(image).flatten() > 0).reshape([-1] + [1] * (image.dim() - 1))
        return torch.where(yes, self.more_yes(features, image), self.more_no(features, image))


class DecisionHeadsGenerator(GatedGenerator):
    """Similar and adversarial image from heads that the gate chooses between.

    Args:
        arguments: see :class:`~monai_advexplain.networks.GatedGenerator`, all by name.
        own_similar: whether the similar image has a head of its own for each decision; else the head that turns a "no"
            into a "yes" also reinforces a "yes", and the other way round.
    """

    def __init__(self, own_similar: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        heads = self.to_no, self.to_yes
        if own_similar:
            other = GatedGenerator(**arguments)
            heads = other.to_no, other.to_yes
        self.similar = ReinforcingHead(self.gate, *heads)
