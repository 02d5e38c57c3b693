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

"""What the metrics of maps and masks share: their checks, and what lies above a rank."""

from __future__ import annotations

import torch
from torch import Tensor


def score_dtype(device: torch.device) -> torch.dtype:
    """Double precision, or single where the device has no double (MPS)."""
    return torch.float32 if device.type == "mps" else torch.float64


def flat_maps(maps: Tensor) -> Tensor:
    """Maps (B, 1, *spatial), checked, as floats (B, N), a plain tensor."""
    if maps.ndim < 3 or maps.shape[1] != 1 or 0 in maps.shape[2:]:
        raise ValueError(f"maps and masks must have shape (B, 1, *spatial) with pixels, got {tuple(maps.shape)}.")
    maps = maps.detach().as_subclass(Tensor).flatten(1)
    finite = torch.isfinite(maps)
    if not finite.all():
        raise ValueError(f"maps must be finite, got {int((~finite).sum())} values that are NaN or infinite.")
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def flat_pixels(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """The checked maps as floats and masks as integers, both (B, N), plain tensors."""
    if maps.shape != masks.shape:
        raise ValueError(f"maps and masks must have one shape, got {tuple(maps.shape)} and {tuple(masks.shape)}.")
    maps = flat_maps(maps)
    masks = masks.as_subclass(Tensor).flatten(1)
    stray = masks[(masks != 0) & (masks != 1)]
    if stray.numel():
        raise ValueError(f"masks must hold 0 and 1 only, got {stray[0].item()} among {stray.numel()} other values.")
    return maps, masks.long()


def kept_and_hits(maps: Tensor, masks: Tensor, ranks: Tensor) -> tuple[Tensor, Tensor]:
    """How many pixels are at or above the value of the pixel of a rank, ties included, and how many lie in the mask.

    Args:
        maps: (B, N), from :func:`flat_pixels`.
        masks: (B, N).
        ranks: (K,), in 1 ... N, 1 being the highest value.

    Returns:
        Two integer tensors (B, K).
    """
    unimportance, order = torch.sort(-maps, dim=1)
    hits = masks.gather(1, order).cumsum(dim=1)
    kept = torch.searchsorted(unimportance, unimportance[:, ranks - 1].contiguous(), right=True)
    return kept, hits.gather(1, kept - 1)
