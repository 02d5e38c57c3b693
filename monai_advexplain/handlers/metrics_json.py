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

"""MetricsJson: the metrics of a run as one JSON file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Workflow


class MetricsJson:
    """Writes ``engine.state.metrics`` when a run completes, nested at the slashes of their names.

    ``auc_loc/proposed/total`` becomes ``{"auc_loc": {"proposed": {"total": ...}}}``; what is not finite becomes null.
    ``n_images`` is added, and ``ms_per_image`` (median over batches) of the explainers that the evaluator timed.

    Args:
        path: file to write; folders are made.
        extra: entries to add, for instance the seed.
    """

    def __init__(self, path: str | Path, extra: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.extra = dict(extra or {})
        self._n_images = 0

    def attach(self, engine: Workflow) -> None:
        """Attach to ``engine``, an evaluator."""
        engine.add_event_handler(Events.STARTED, self._reset)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._count)
        engine.add_event_handler(Events.COMPLETED, self)

    def _reset(self) -> None:
        self._n_images = 0

    def _count(self, engine: Workflow) -> None:
        output = engine.state.output
        self._n_images += len(output) if isinstance(output, list) else len(output["image"])

    def __call__(self, engine: Workflow) -> None:
        """Write the file."""
        result: dict[str, Any] = {"n_images": self._n_images, **self.extra}
        for name, value in engine.state.metrics.items():
            *folders, leaf = name.split("/")
            target = result
            for folder in folders:
                target = target.setdefault(folder, {})
            target[leaf] = _plain(value)
        seconds = getattr(engine.state, "seconds", {})
        if seconds:
            result["ms_per_image"] = {n: round(1000 * median(s), 3) for n, s in seconds.items() if s}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(result, indent=2) + "\n")
        os.replace(temporary, self.path)


def _plain(value: Any) -> Any:
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)):  # scikit-learn's metrics are NumPy scalars
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
