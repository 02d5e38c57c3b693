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

"""Localisation: whether the bundle's map lies where the ground truth is."""

from __future__ import annotations

from typing import Any

from monai_advexplain.metrics.localisation import localisation_scores
from monai_advexplain.sanity.subject import PROPOSED
from monai_advexplain.sanity.workbench import Workbench


def localisation(bench: Workbench) -> dict[str, Any]:
    """The localisation scores of the bundle's map, and what a random map has.

    Returns:
        The row ``proposed``; ``random`` with the masks' share of each image, NaN (as all scores) where there is none.
    """
    images, masks = bench.images.images, bench.images.masks
    scores = localisation_scores(bench.bundle.maps(PROPOSED, images), masks)
    share = masks.double().flatten(1).mean(dim=1)
    return {
        "proposed": {name: scores[name].cpu().numpy() for name in ("auc_loc_total", "relevance_mass", "pointing")},
        "random": {"auc_loc_total": share.masked_fill(share == 0, float("nan")).cpu().numpy()},
    }
