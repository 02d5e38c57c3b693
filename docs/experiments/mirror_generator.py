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
from decision_heads import ReinforcingHead
from monai.networks.layers import Conv
from torch import Tensor, nn
from torch.nn import functional as F

from monai_advexplain.networks import GatedGenerator


class MirrorHead(nn.Module):
    """x - g (a - x) for an adversarial image a, with a share g of each pixel; stands where one ImageHead stood.

    Args:
        adversarial: the head of a.
        share: features (B, F, *grid) to (B, 1, *grid), whose sigmoid is g, not told the decision; None for g = 1.
    """

    def __init__(self, adversarial: nn.Module, share: nn.Module | None) -> None:
        super().__init__()
        self.adversarial, self.share = adversarial, share

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Image (B, C, *spatial) from features (B, F, *grid) and the input image (B, C, *spatial)."""
        change = self.adversarial(features, image) - image
        if self.share is not None:
            mode = "bilinear" if image.dim() == 4 else "trilinear"
            share = F.interpolate(self.share(features), image.shape[2:], mode=mode, align_corners=False)
            change = torch.sigmoid(share) * change
        return image - change


class MirrorGenerator(GatedGenerator):
    """The similar image goes the adversarial image's way backwards.

    Args:
        arguments: see :class:`~monai_advexplain.networks.GatedGenerator`, all by name.
        fixed: g = 1 everywhere; else g is learned.
    """

    def __init__(self, fixed: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        share = None
        if not fixed:
            convolution = Conv[Conv.CONV, arguments["spatial_dims"]]
            last = convolution(16, 1, kernel_size=1)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            first = convolution(arguments["features"], 16, kernel_size=3, padding=1)
            share = nn.Sequential(first, nn.LeakyReLU(0.1), last)
        # A decision that is to turn takes the head that one to be reinforced would not.
        self.similar = MirrorHead(ReinforcingHead(self.gate, self.to_yes, self.to_no), share)
