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

"""Where an explanation map points: the pointing game and its energy-based form, the relevance mass."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_advexplain.metrics._pixels import flat_pixels, score_dtype


def _dilated(masks: Tensor, distance: float) -> Tensor:
    """Masks (B, 1, *spatial) with all pixels whose centre is at most ``distance`` pixels from that of a mask's pixel.

    The squared Euclidean distance is the minimum along one axis after the other, over the offsets that can matter.
    """
    reach = math.floor(distance)
    squared = torch.zeros(masks.shape, device=masks.device).masked_fill(masks == 0, math.inf)
    for axis in range(2, masks.ndim):
        lines = squared.movedim(axis, -1)
        padded = F.pad(lines, (reach, reach), value=math.inf)
        lines = torch.full_like(lines, math.inf)
        for offset in range(-reach, reach + 1):
            lines = torch.minimum(lines, padded.narrow(-1, reach + offset, lines.shape[-1]) + offset**2)
        squared = lines.movedim(-1, axis)
    return (squared <= distance**2).long()


def pointing_game(maps: Tensor, masks: Tensor, tolerance: float = 0.0) -> Tensor:
    """Whether each map's maximum lies in the mask; the share of the maxima that do, when the highest value is shared.

    So a constant map has the mask's share of the image. Nothing is averaged over images. Only the place of the highest
    value matters.

    Args:
        maps: explanation maps, (B, 1, *spatial), 2D or 3D, finite, high = important.
        masks: ground truth, same shape, 0 or 1.
        tolerance: distance in pixels from the mask (Euclidean, between centres of pixels) at which a maximum still
            counts as a hit; at least 0. The source uses 15 on photographs, which for a small lesion is most of the
            image; the package uses 0.

    Returns:
        (B,), in [0, 1], 0 or 1 without ties, high = good; NaN where the mask is empty.

    Raises:
        ValueError: when shapes differ or hold no pixels, maps are not finite, masks hold more than 0 and 1, or the
            tolerance is negative.

    Source:
        Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016, arXiv 1608.00507.
    """
    if not 0.0 <= tolerance < math.inf:
        raise ValueError(f"tolerance must be at least 0 pixels and finite, got {tolerance}.")
    flat, inside = flat_pixels(maps, masks)
    empty = inside.sum(dim=1) == 0
    if tolerance >= 1:
        inside = _dilated(inside.reshape(masks.shape), tolerance).flatten(1)
    maxima = flat == flat.amax(dim=1, keepdim=True)
    share = (maxima * inside).sum(dim=1).to(score_dtype(flat.device)) / maxima.sum(dim=1)
    return share.masked_fill(empty, math.nan)


def relevance_mass(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of each map's sum that lies in the mask: the energy-based pointing game, or relevance mass accuracy.

    A constant map has the mask's share of the image; a map of zeros puts nothing into the mask and has 0. Nothing is
    averaged over images. The map's scale does not matter, its offset does: a method whose maps have a floor above zero
    loses here.

    Args:
        maps: explanation maps, (B, 1, *spatial), 2D or 3D, finite, non negative, high = important.
        masks: ground truth, same shape, 0 or 1.

    Returns:
        (B,), in [0, 1], high = good; NaN where the mask is empty.

    Raises:
        ValueError: when shapes differ or hold no pixels, maps are negative or not finite, or masks hold more than 0
            and 1.

    Source:
        Wang et al., "Score-CAM", CVPR Workshops 2020, arXiv 1910.01279 (energy-based pointing game); Arras, Osman and
        Samek, "CLEVR-XAI", 2022, arXiv 2003.07258 (relevance mass accuracy).
    """
    maps, masks = flat_pixels(maps, masks)
    if (maps < 0).any():
        raise ValueError(f"maps must be non negative, got {maps.min().item()}.")
    maps = maps.to(score_dtype(maps.device))
    highest = maps.amax(dim=1, keepdim=True)
    highest = highest.masked_fill(highest == 0, 1)
    maps = maps / highest  # so that no sum overflows
    mass = (maps * masks).sum(dim=1) / maps.sum(dim=1).clamp(min=0.5)  # at least 1, or 0 for a map of zeros
    return mass.clamp(max=1).masked_fill(masks.sum(dim=1) == 0, math.nan)
