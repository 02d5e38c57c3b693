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

"""Overlap of an explanation map with a mask: intersection over union and normalised cross-correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from monai_advexplain.metrics._pixels import flat_pixels, kept_and_hits, score_dtype

PERCENTILE_SHARES = tuple(k / 100 for k in range(1, 101))
"""Kept shares 0.01, 0.02, ..., 1: the map's percentiles 99, 98, ..., 0."""


def iou_at_share(maps: Tensor, masks: Tensor, shares: Sequence[float] = PERCENTILE_SHARES) -> Tensor:
    """Intersection over union of the mask and each image's most important pixels, at given shares of the image.

    The threshold for a share s of an image of N pixels is the value of its pixel of rank max(1, floor(s N)), counted
    from the highest. All pixels at or above it are kept, ties included, as in
    :func:`~monai_advexplain.metrics.auc_loc.localisation_curve`: more than the share is kept where the map has a
    plateau, and a constant map has the mask's share of the image at every s. Nothing is averaged over images. Only the
    order of a map's values matters. The best and the mean over shares are ``.amax(1)`` and ``.mean(1)``.

    Args:
        maps: explanation maps, (B, 1, *spatial), 2D or 3D, finite, high = important.
        masks: ground truth, same shape, 0 or 1.
        shares: K shares of the image's pixels, in [0, 1]; the percentile p of a map keeps the share 1 - p / 100.

    Returns:
        (B, K), in [0, 1], high = good, NaN where the mask is empty.

    Raises:
        ValueError: when shapes differ or hold no pixels, maps are not finite, masks hold more than 0 and 1, or a share
            is outside [0, 1].

    Source:
        Jaccard index; the thresholds are those of AUC_Loc (Charachon et al., ICPR 2020, arXiv 2012.07332).
    """
    for share in shares:
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"shares must lie in [0, 1], got {share}.")
    maps, masks = flat_pixels(maps, masks)
    num_pixels = maps.shape[1]
    # 0.29 * 100 is 28.999999999999996: a share that means a whole number of pixels keeps that number.
    ranks = torch.tensor([max(1, math.floor(share * num_pixels + 1e-6)) for share in shares], device=maps.device)
    kept, hits = kept_and_hits(maps, masks, ranks)
    area = masks.sum(dim=1, keepdim=True)
    iou = hits.to(score_dtype(maps.device)) / (kept + area - hits)
    return iou.masked_fill(area == 0, math.nan)


def iou_at_mask_area(maps: Tensor, masks: Tensor) -> Tensor:
    """Intersection over union when exactly as many pixels are kept as the mask has.

    With A pixels in the mask, the A most important pixels are kept. Where the A-th lies on a plateau, the tied pixels
    share the places left equally: m tied pixels for r places count r / m each. So exactly A pixels are kept, wherever
    they lie in the image, and a plateau gains nothing: a constant map has s / (2 - s), s the mask's share of the image,
    as random pixels would. Nothing is averaged over images. Only the order of a map's values matters.

    Args:
        maps: explanation maps, (B, 1, *spatial), 2D or 3D, finite, high = important.
        masks: ground truth, same shape, 0 or 1.

    Returns:
        (B,), in [0, 1], high = good; 1 exactly when all pixels of the mask are above all others; NaN where the mask is
        empty.

    Raises:
        ValueError: when shapes differ or hold no pixels, maps are not finite, or masks hold more than 0 and 1.

    Source:
        Jaccard index; the threshold is that of the relevance rank accuracy of Arras, Osman and Samek, "CLEVR-XAI: A
        benchmark dataset for the ground truth evaluation of neural network explanations", 2022, arXiv 2003.07258.
    """
    maps, masks = flat_pixels(maps, masks)
    area = masks.sum(dim=1, keepdim=True)
    threshold = maps.sort(dim=1, descending=True).values.gather(1, (area - 1).clamp(min=0))
    above, tied = maps > threshold, maps == threshold
    places = (area[:, 0] - above.sum(dim=1)).to(score_dtype(maps.device))
    hits = (above * masks).sum(dim=1) + places * (tied * masks).sum(dim=1) / tied.sum(dim=1)
    return hits / (2 * area[:, 0] - hits)


def ncc(maps: Tensor, masks: Tensor) -> Tensor:
    """Normalised cross-correlation: Pearson's correlation of map and mask over the pixels of each image.

    Nothing is averaged over images. The map's scale and offset do not matter, the distribution of its values does. A
    constant map says nothing about the mask and has 0.

    Args:
        maps: explanation maps, (B, 1, *spatial), 2D or 3D, finite, high = important.
        masks: ground truth, same shape, 0 or 1.

    Returns:
        (B,), in [-1, 1], high = good; NaN where the mask is empty or is the whole image.

    Raises:
        ValueError: when shapes differ or hold no pixels, maps are not finite, or masks hold more than 0 and 1.

    Source:
        Used for explanation maps by Baumgartner et al., "Visual Feature Attribution using Wasserstein GANs", CVPR
        2018, arXiv 1711.08998.
    """
    maps, masks = flat_pixels(maps, masks)
    dtype = score_dtype(maps.device)
    constant = maps.amax(dim=1) == maps.amin(dim=1)
    centred = []
    for values in (maps.to(dtype), masks.to(dtype)):
        values = values / values.abs().amax(dim=1, keepdim=True)  # else squares of tiny values vanish
        centred.append(values - values.mean(dim=1, keepdim=True))
    x, y = centred
    correlation = (x * y).sum(dim=1) / ((x**2).sum(dim=1) * (y**2).sum(dim=1)).sqrt()
    correlation = correlation.clamp(-1, 1).masked_fill(constant, 0.0)
    return correlation.masked_fill(masks.amax(dim=1) == masks.amin(dim=1), math.nan)
