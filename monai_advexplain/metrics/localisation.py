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

"""All localisation metrics of a batch of maps, per image."""

from __future__ import annotations

from torch import Tensor

from monai_advexplain.metrics.auc_loc import PARTIAL_MAX_SHARE, _area, localisation_curve
from monai_advexplain.metrics.overlap import iou_at_mask_area, iou_at_share, ncc
from monai_advexplain.metrics.pointing import pointing_game, relevance_mass


def localisation_scores(maps: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """How well each map localises its mask, by every metric of the package with its default parameters.

    Args:
        maps: explanation maps, (B, 1, *spatial), 2D or 3D, finite, non negative, high = important.
        masks: ground truth, same shape, 0 or 1.

    Returns:
        Name -> (B,), nothing averaged over images, high = good, NaN where the mask is empty:

        * ``auc_loc_total``, ``auc_loc_partial``: :func:`~monai_advexplain.metrics.auc_loc.auc_loc` of all pixels and
          of a share :data:`~monai_advexplain.metrics.auc_loc.PARTIAL_MAX_SHARE` of them;
        * ``iou_at_mask_area``: :func:`~monai_advexplain.metrics.overlap.iou_at_mask_area`;
        * ``iou_best``: the best :func:`~monai_advexplain.metrics.overlap.iou_at_share` of the shares 0.01, ..., 1,
          chosen for each image with its mask at hand, so at least the mask's share of the image for any map;
        * ``ncc``: :func:`~monai_advexplain.metrics.overlap.ncc`, in [-1, 1], the others in [0, 1];
        * ``pointing``: :func:`~monai_advexplain.metrics.pointing.pointing_game` without tolerance;
        * ``relevance_mass``: :func:`~monai_advexplain.metrics.pointing.relevance_mass`.

    Raises:
        ValueError: when shapes differ or hold no pixels, maps are negative or not finite, or masks hold more than 0
            and 1.
    """
    curve = localisation_curve(maps, masks)
    return {
        "auc_loc_total": _area(curve, 1.0),
        "auc_loc_partial": _area(curve, PARTIAL_MAX_SHARE),
        "iou_at_mask_area": iou_at_mask_area(maps, masks),
        "iou_best": iou_at_share(maps, masks).amax(dim=1),
        "ncc": ncc(maps, masks),
        "pointing": pointing_game(maps, masks),
        "relevance_mass": relevance_mass(maps, masks),
    }
