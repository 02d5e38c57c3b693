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

"""A GatedGenerator whose similar image mirrors the adversarial one; see 2026-11-25-more-images.md."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.layers import Conv
from torch import Tensor, nn
from torch.nn import functional as F

from monai_advexplain.networks import GatedGenerator
from monai_advexplain.networks.generators import _coarser


class MirrorGenerator(GatedGenerator):
    """s = x - g (a - x): the similar image goes the adversarial image's way backwards, by a share g of each pixel.

    Args:
        arguments: see :class:`~monai_advexplain.networks.GatedGenerator`, all by name.
        fixed: g = 1 everywhere; else a head that is not told the decision gives g in [0, 1].
    """

    def __init__(self, fixed: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.fixed = fixed
        dims, features = arguments["spatial_dims"], arguments["features"]
        convolution = Conv[Conv.CONV, dims]
        last = convolution(16, 1, kernel_size=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.similar = nn.Sequential(convolution(features, 16, kernel_size=3, padding=1), nn.LeakyReLU(0.1), last)
        self.mode = "bilinear" if dims == 2 else "trilinear"

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(similar, adversarial, estimate) of ``image`` (B, C, *spatial)."""
        features = self.trunk(_coarser(image, self.scale))
        estimate = self.gate(image).flatten()
        yes = (estimate > 0).reshape([-1] + [1] * (image.dim() - 1))
        adversarial = torch.where(yes, self.to_no(features, image), self.to_yes(features, image))
        change = adversarial - image
        if not self.fixed:
            share = F.interpolate(self.similar(features), image.shape[2:], mode=self.mode, align_corners=False)
            change = torch.sigmoid(share) * change
        similar = image - change
        if self.fallback and not self.training:
            kept = (self.gate(similar).flatten() > 0).reshape(yes.shape) == yes
            similar = torch.where(kept, similar, image)
        return similar, adversarial, estimate
