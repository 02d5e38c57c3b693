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

"""The evaluation's metrics as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def metrics_table(metrics: Mapping[str, Any]) -> str:
    """Markdown of what an evaluation measured.

    Args:
        metrics: content of ``eval/metrics.json``, see :class:`~monai_advexplain.handlers.MetricsJson`.

    Returns:
        A line about the classifier and the generated images, and a table with a row for each method.
    """
    lines = [
        f"{metrics['n_images']} test images. Classifier AUC {_number(metrics['classifier_auc'])}, flip rate "
        f"{_number(metrics['flip_rate'])}, preservation rate {_number(metrics['preservation_rate'])}.",
        "",
        "| method | AUC_Loc total | AUC_Loc partial | ms / image |",
        "|---|---|---|---|",
    ]
    times = metrics.get("ms_per_image", {})
    for method, area in metrics["auc_loc"].items():
        cells = (_number(area["total"]), _number(area["partial"]), _number(times.get(method), 1))
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float | None, digits: int = 3) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"
