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

"""Metrics of explanations: localisation and validity of the generated images, 2D and 3D."""

from __future__ import annotations

from monai_advexplain.metrics.auc_loc import PARTIAL_MAX_SHARE, auc_loc, localisation_curve, pooled_auc_loc
from monai_advexplain.metrics.cumulative import AgreementRate, AUCLocMetric
from monai_advexplain.metrics.decision_rates import flip_rate, preservation_rate

__all__ = [
    "PARTIAL_MAX_SHARE",
    "AUCLocMetric",
    "AgreementRate",
    "auc_loc",
    "flip_rate",
    "localisation_curve",
    "pooled_auc_loc",
    "preservation_rate",
]
