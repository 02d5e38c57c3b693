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

"""AUC_Loc: how well an explanation map localises a mask, as area under its precision-recall curve."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from monai_advexplain.metrics._pixels import flat_pixels, kept_and_hits, score_dtype

PARTIAL_MAX_SHARE = 0.2
"""Share of the image's pixels up to which the partial AUC_Loc is reported in this package."""


def _check_max_share(max_share: float) -> None:
    if not 0.0 < max_share <= 1.0:
        raise ValueError(f"max_share must lie in (0, 1], got {max_share}.")


def _check_num_thresholds(num_thresholds: int | None) -> None:
    if num_thresholds is not None and num_thresholds < 2:
        raise ValueError(f"num_thresholds must be None or at least 2, got {num_thresholds}.")


def localisation_curve(maps: Tensor, masks: Tensor, num_thresholds: int | None = 101) -> tuple[Tensor, Tensor, Tensor]:
    """Precision and recall of the most important pixels against a mask, per image.

    With N pixels and K thresholds, threshold k = 0 ... K-1 of an image is the value of its pixel of rank
    max(1, floor(k N / (K-1))), counted from the highest value: the percentiles 100, ..., 0 in equal steps, taken as
    values of the map, never interpolated. All pixels at or above it are kept, ties included, so threshold k keeps the
    share k / (K-1) of the image at most, one pixel at least, and more only where the map has plateaus. The last
    threshold keeps everything (recall 1). Only the order of a map's values matters.

    Args:
        maps: explanation maps, (B, 1, *spatial), 2D or 3D, finite, high = important.
        masks: ground truth, same shape, 0 or 1.
        num_thresholds: K, at least 2; ``None`` makes every value of the map a threshold (K = N, and pixels of one
            value repeat one point of the curve).

    Returns:
        ``(precision, recall, kept_share)``, each (B, K), in [0, 1]: the share of the kept pixels that lie in the mask,
        the share of the mask's pixels that are kept (NaN where the mask is empty), and the share of the image's pixels
        that are kept. Double precision (single on MPS).

    Raises:
        ValueError: when shapes differ or hold no pixels, maps are not finite, or masks hold more than 0 and 1.

    Source:
        Charachon et al., "Combining Similarity and Adversarial Learning to Generate Visual Explanation: Application to
        Medical Image Classification", ICPR 2020, arXiv 2012.07332.
    """
    _check_num_thresholds(num_thresholds)
    maps, masks = flat_pixels(maps, masks)
    num_pixels = maps.shape[1]
    if num_thresholds is None:
        ranks = torch.arange(1, num_pixels + 1, device=maps.device)
    else:
        steps = torch.arange(num_thresholds, device=maps.device)
        ranks = (steps * num_pixels // (num_thresholds - 1)).clamp(min=1)
    kept, hits = kept_and_hits(maps, masks, ranks)
    true_positives = hits.to(score_dtype(maps.device))
    return true_positives / kept, true_positives / masks.sum(dim=1, keepdim=True), kept.to(true_positives) / num_pixels


def _area(curve: Iterable[Tensor], max_share: float) -> Tensor:
    """sum_k P_k (R_k - R_(k-1)) along the last dimension, over thresholds that keep at most ``max_share``."""
    _check_max_share(max_share)
    precision, recall, kept_share = curve
    gained = torch.diff(recall, dim=-1, prepend=torch.zeros_like(recall[..., :1]))
    rounding = 64 * torch.finfo(kept_share.dtype).eps  # a mean of equal shares may exceed them by this much
    return (precision * gained * (kept_share <= max_share + rounding)).sum(dim=-1)


def auc_loc(maps: Tensor, masks: Tensor, max_share: float = 1.0, num_thresholds: int | None = 101) -> Tensor:
    """AUC_Loc of each image, sum_k P_k (R_k - R_(k-1)) with R_(-1) = 0, from the highest threshold down.

    Nothing is averaged over images. With ``num_thresholds=None`` and ``max_share=1`` it is the average precision of
    the pixels. A constant map has the mask's share of the image. The partial AUC_Loc (``max_share < 1``) is the part
    of the sum over the thresholds that keep at most that share of the image's pixels; it is not rescaled, and it is 0
    where the highest plateau alone is larger.

    Args:
        maps: explanation maps, (B, 1, *spatial), 2D or 3D, finite, high = important.
        masks: ground truth, same shape, 0 or 1.
        max_share: in (0, 1]; 1 for the total, :data:`PARTIAL_MAX_SHARE` for the package's partial AUC_Loc.
        num_thresholds: as in :func:`localisation_curve`.

    Returns:
        (B,), in [0, 1], NaN where the mask is empty.

    Raises:
        ValueError: as :func:`localisation_curve`, and when ``max_share`` is outside (0, 1].

    Source:
        Charachon et al., ICPR 2020, arXiv 2012.07332.
    """
    return _area(localisation_curve(maps, masks, num_thresholds), max_share)


def pooled_auc_loc(precision: Tensor, recall: Tensor, kept_share: Tensor, max_share: float = 1.0) -> Tensor:
    """AUC_Loc of the mean curve of a set of images.

    At each threshold k the images' precisions, recalls and kept shares are averaged over the images, every image
    counting the same whatever the size of its mask; then one area is taken, sum_k P_k (R_k - R_(k-1)) over the means.
    The partial area uses the thresholds at which the images keep at most ``max_share`` of their pixels *on average*.
    Images with an empty mask (NaN recall) are left out of all three means.

    Args:
        precision: (B, K), from :func:`localisation_curve`; curves of several batches are concatenated along B.
        recall: (B, K).
        kept_share: (B, K).
        max_share: in (0, 1].

    Returns:
        Scalar tensor in [0, 1], NaN when no image has a mask.

    Raises:
        ValueError: when the shapes are not one (B, K), or ``max_share`` is outside (0, 1].

    Source:
        Charachon et al., ICPR 2020, arXiv 2012.07332, for the sum; the averaging is this package's.
    """
    if precision.ndim != 2 or not precision.shape == recall.shape == kept_share.shape:
        raise ValueError(
            "precision, recall and kept_share must have one shape (B, K), got "
            f"{tuple(precision.shape)}, {tuple(recall.shape)} and {tuple(kept_share.shape)}."
        )
    valid = ~recall.isnan().any(dim=1)
    return _area((values[valid].mean(dim=0) for values in (precision, recall, kept_share)), max_share)
