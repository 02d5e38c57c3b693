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

"""The metrics of an explainer's evaluation, by the names under which ``MetricsJson`` nests them."""

from __future__ import annotations

from collections.abc import Iterable

from ignite.metrics import Metric
from monai.handlers import ROCAUC, from_engine

from monai_advexplain.handlers.metrics import AUCLoc, FlipRate, PreservationRate
from monai_advexplain.metrics.auc_loc import PARTIAL_MAX_SHARE


def decision_metrics() -> dict[str, Metric]:
    """``flip_rate`` and ``preservation_rate`` of an ExplainerEvaluator's images."""
    return {
        "flip_rate": FlipRate(output_transform=from_engine(["decision_adversarial", "decision"])),
        "preservation_rate": PreservationRate(output_transform=from_engine(["decision_similar", "decision"])),
    }


def explainer_metrics(methods: Iterable[str] = ("explanation",)) -> dict[str, Metric]:
    """All metrics of an ExplainerEvaluator whose batches have labels and masks.

    Args:
        methods: keys of the maps in the evaluator's output; the names of its explainers.

    Returns:
        ``flip_rate``, ``preservation_rate``, ``classifier_auc``, and for every method ``auc_loc/<method>/total`` and
        ``/partial`` (pooled curves), ``/per_image`` (mean of the images' totals).
    """
    metrics = decision_metrics() | {"classifier_auc": ROCAUC(output_transform=from_engine(["probability", "label"]))}
    for method in methods:
        maps = from_engine([method, "mask"])
        metrics[f"auc_loc/{method}/total"] = AUCLoc(output_transform=maps)
        metrics[f"auc_loc/{method}/partial"] = AUCLoc(max_share=PARTIAL_MAX_SHARE, output_transform=maps)
        metrics[f"auc_loc/{method}/per_image"] = AUCLoc(pooling="per_image", output_transform=maps)
    return metrics
