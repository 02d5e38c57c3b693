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

"""How alike two explanation maps of one image are."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from monai_advexplain.metrics.proximity import ssim


def foreground(images: Tensor, share: float) -> Tensor:
    """Where images are brighter than their background, (B, 1, *spatial), bool.

    Args:
        images: (B, C, *spatial); channels are averaged.
        share: of an image's range above its lowest value that still is background; 0 for no background at all.
    """
    grey = images.mean(dim=1, keepdim=True)
    low, high = (bound(grey, dim=tuple(range(1, grey.ndim)), keepdim=True) for bound in (torch.amin, torch.amax))
    return grey >= low + share * (high - low)


def map_similarity(maps: Tensor, others: Tensor, where: Tensor | None = None) -> dict[str, np.ndarray]:
    """SSIM and Spearman's rank correlation of each map with another one of the same image.

    Neither depends on a map's scale: for SSIM both are divided by their highest value, ranks have none. Every map
    leaves an empty background alone, so that over whole images the ranks of any two are alike: correlate them ``where``
    there is something.

    Args:
        maps: explanation maps, (B, 1, *spatial), 2D or 3D, finite, non negative.
        others: same shape.
        where: of the pixels whose ranks are correlated, (B, 1, *spatial), bool; None for all.

    Returns:
        ``ssim`` and ``spearman``, each (B,), in [-1, 1], 1 for equal maps, nothing averaged over images. A constant
        map has no ranks: its ``spearman`` is 0, or 1 with another constant map.

    Raises:
        ValueError: when shapes differ or do not fit, or values are not finite.

    Source:
        Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, arXiv 1810.03292, who compare maps by both.
    """
    first, second = (values.detach().cpu().double() for values in (maps, others))
    scaled = [values / values.flatten(1).amax(1).clamp(min=1e-30).reshape(-1, *[1] * (values.ndim - 1))
              for values in (first, second)]  # fmt: skip
    alike = ssim(scaled[0], scaled[1])  # checks shapes and values
    kept = torch.ones_like(first, dtype=torch.bool) if where is None else where.cpu()
    ranks = [_rank_correlation(a[k].numpy(), b[k].numpy()) for a, b, k in zip(first, second, kept, strict=True)]
    return {"ssim": alike.numpy(), "spearman": np.array(ranks)}


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    constant = [bool((values == values[0]).all()) for values in (a, b)]
    return float(all(constant)) if any(constant) else float(spearmanr(a, b).statistic)
