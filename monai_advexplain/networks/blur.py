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

"""Blur: a wide Gaussian blur that costs next to nothing and can be scripted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_GRID = 32
BLUR_SIGMA = 20 / 224
"""Standard deviation of the blur as share of the image's size."""


class Blur(nn.Module):
    """Gaussian blur of a width relative to the image, by which evidence is removed from it.

    The image is averaged to a grid of 32 cells along each axis, filtered there (borders are continued by their last
    cell) and interpolated back, linearly; the filter is narrowed by what averaging and interpolating widen. Off the
    borders of an image of 96 pixels or more, and at the default width, it differs from a Gaussian filter on the image's
    own grid by less than 1 % of the image's range.

    Args:
        sigma: standard deviation along each axis as share of the image's size along it, from 1/32 on. The default is
            20 of 224 pixels.

    Raises:
        ValueError: when ``sigma`` is below 1/32, which the grid cannot represent.
    """

    def __init__(self, sigma: float = BLUR_SIGMA) -> None:
        super().__init__()
        if not sigma * _GRID >= 1:
            raise ValueError(f"sigma must be at least {1 / _GRID} of the image's size, got {sigma}.")
        variance = (sigma * _GRID) ** 2 - 1 / 12 - 1 / 6  # a box of one cell, a triangle of two
        reach = _GRID + int(4 * sigma * _GRID)
        cells = torch.arange(-reach, _GRID + reach, dtype=torch.float64)
        taps = torch.exp(-((cells - torch.arange(_GRID)[:, None]) ** 2) / (2 * variance))
        inside = cells.clamp(0, _GRID - 1).long().expand(_GRID, -1)
        weights = torch.zeros(_GRID, _GRID, dtype=torch.float64).scatter_add_(1, inside, taps)
        # Not of the weights that are trained: a file of weights does not hold it.
        self.register_buffer("weights", (weights / weights.sum(dim=1, keepdim=True)).float(), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """The blurred image, (B, C, *spatial), of ``image`` (B, C, *spatial), 2D or 3D."""
        weights = self.weights.t()  # type: ignore[operator]
        blurred = F.interpolate(image, [len(weights)] * (image.dim() - 2), mode="area")
        for axis in range(2, image.dim()):
            blurred = torch.matmul(blurred.movedim(axis, -1), weights).movedim(-1, axis)
        mode = "bilinear" if image.dim() == 4 else "trilinear"
        return F.interpolate(blurred, image.shape[2:], mode=mode, align_corners=False)
