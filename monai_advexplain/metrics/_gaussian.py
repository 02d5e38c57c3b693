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

"""Gaussian smoothing in double precision: neither autocast nor TF32 rounds it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monai_advexplain.metrics._pixels import score_dtype


def gaussian_taps(sigma: float, radius: int) -> Tensor:
    """The sampled Gaussian at -radius ... radius pixels, normalised, (2 radius + 1,), on the CPU."""
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64, device="cpu")
    taps = torch.exp(-0.5 * (offsets / sigma) ** 2)
    return taps / taps.sum()


def smooth(images: Tensor, taps: Sequence[Tensor]) -> Tensor:
    """Filters images (B, C, *spatial) with one odd kernel for each axis; borders are continued by their last pixel.

    Returns:
        Same shape, double precision (single on MPS).
    """
    smoothed = images.to(score_dtype(images.device))
    for axis, kernel in enumerate(taps, start=2):
        size, radius = smoothed.shape[axis], len(kernel) // 2
        # One matrix for each axis: for wide kernels in double precision much faster than a convolution on the CPU.
        offsets = torch.arange(-radius, radius + 1, device="cpu")
        sources = (torch.arange(size, device="cpu")[:, None] + offsets).clamp(0, size - 1)
        matrix = torch.zeros(size, size, dtype=kernel.dtype, device="cpu").scatter_add_(
            1, sources, kernel.expand_as(sources)
        )
        smoothed = (smoothed.movedim(axis, -1) @ matrix.T.to(smoothed)).movedim(-1, axis)
    return smoothed
