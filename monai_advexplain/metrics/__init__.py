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

"""Metrics of explanations, 2D and 3D: localisation, faithfulness, and validity of the generated images."""

from __future__ import annotations

from monai_advexplain.metrics.auc_loc import PARTIAL_MAX_SHARE, auc_loc, localisation_curve, pooled_auc_loc
from monai_advexplain.metrics.counterfactual import counterfactual_scores
from monai_advexplain.metrics.cumulative import AgreementRate, AUCLocMetric
from monai_advexplain.metrics.decision_rates import flip_rate, flipped, preservation_rate, preserved
from monai_advexplain.metrics.distributions import RealPlane, frechet_distance
from monai_advexplain.metrics.faithfulness import FaithfulnessCurves, faithfulness_curves, faithfulness_scores
from monai_advexplain.metrics.localisation import localisation_scores
from monai_advexplain.metrics.overlap import PERCENTILE_SHARES, iou_at_mask_area, iou_at_share, ncc
from monai_advexplain.metrics.pointing import pointing_game, relevance_mass
from monai_advexplain.metrics.proximity import CHANGE_THRESHOLD, l1_change, mse_change, sparsity_of_change, ssim

__all__ = [
    "CHANGE_THRESHOLD",
    "PARTIAL_MAX_SHARE",
    "PERCENTILE_SHARES",
    "AUCLocMetric",
    "AgreementRate",
    "FaithfulnessCurves",
    "RealPlane",
    "auc_loc",
    "counterfactual_scores",
    "faithfulness_curves",
    "faithfulness_scores",
    "flip_rate",
    "flipped",
    "frechet_distance",
    "iou_at_mask_area",
    "iou_at_share",
    "l1_change",
    "localisation_curve",
    "localisation_scores",
    "mse_change",
    "ncc",
    "pointing_game",
    "pooled_auc_loc",
    "preservation_rate",
    "preserved",
    "relevance_mass",
    "sparsity_of_change",
    "ssim",
]
