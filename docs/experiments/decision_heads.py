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
from monai_advexplain.networks.generators import _coarser


class DecisionHeadsGenerator(GatedGenerator):
    """Similar and adversarial image from heads that the gate chooses between.

    Args:
        trunk, gate, features, spatial_dims, scale, fallback, head: see
            :class:`~monai_advexplain.networks.GatedGenerator`.
        own_similar: whether the similar image has a head of its own for each decision; else the head that turns a "no"
            into a "yes" also reinforces a "yes", and the other way round.
    """

    def __init__(
        self,
        trunk: nn.Module,
        gate: nn.Module,
        features: int,
        spatial_dims: int = 2,
        own_similar: bool = False,
        **arguments: Any,
    ) -> None:
        super().__init__(trunk, gate, features, spatial_dims, **arguments)
        del self.similar
        head = {name: value for name, value in arguments.items() if name not in ("scale", "fallback")}
        if own_similar:
            self.more_no = ImageHead(spatial_dims, features, **head)
            self.more_yes = ImageHead(spatial_dims, features, **head)
        self.own_similar = own_similar

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(similar, adversarial, estimate) of ``image`` (B, C, *spatial)."""
        features = self.trunk(_coarser(image, self.scale))
        estimate = self.gate(image).flatten()
        yes = (estimate > 0).reshape([-1] + [1] * (image.dim() - 1))
        to_no, to_yes = self.to_no(features, image), self.to_yes(features, image)
        more_no, more_yes = to_no, to_yes
        if self.own_similar:
            more_no, more_yes = self.more_no(features, image), self.more_yes(features, image)
        similar = torch.where(yes, more_yes, more_no)
        if self.fallback and not self.training:
            kept = (self.gate(similar).flatten() > 0).reshape(yes.shape) == yes
            similar = torch.where(kept, similar, image)
        return similar, torch.where(yes, to_no, to_yes), estimate
