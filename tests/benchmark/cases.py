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

"""Rows of comparisons whose scores are known."""

from __future__ import annotations

import numpy as np

from monai_advexplain.benchmark.records import Key, Variant

N = 24
ITEMS = [{"id": f"i{i}", "group": f"g{i // 2}"} for i in range(N)]
SETTINGS = {"reference": "proposed", "n_resamples": 2000, "seed": 0, "notes": {"naive": "its own network"}}


def noise(seed: int) -> np.ndarray:
    return 0.02 * np.random.default_rng(seed).normal(size=N)


def rows_of(scores: dict[Variant, np.ndarray], seconds: dict[str, float] | None = None) -> dict:
    """Rows with a given AUC_Loc of every image; every image is a little slower than the one before."""
    return {
        Key(i, variant): {
            "image": i,
            "method": variant.method,
            "regularised": variant.regularised,
            "seconds": (seconds or {}).get(variant.method, 1.0) * (1 + i),
            "scores": {"auc_loc_total": values[i], "auc_loc_partial": values[i] / 2, "flipped": float(i % 4 == 0)},
            "curve": [[values[i]] * 2, [0.5, 1.0], [0.1, 1.0]],
            "mask_share": 0.1,
            "decided": i % 2 == 0,
            "error": None,
        }
        for variant, values in scores.items()
        for i in range(N)
    }
