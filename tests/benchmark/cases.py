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
from monai_advexplain.benchmark.results import summarise

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


def results_of(reasons=(), realism=None, **settings) -> dict:
    """What a comparison of three methods found, and why others are missing from it."""
    scores = {
        Variant(name, regularised): level + 0.1 * regularised + noise(seed)
        for seed, (name, level) in enumerate({"proposed": 0.5, "gradient": 0.3, "random": 0.1}.items())
        for regularised in (False, True)
    }
    rows = rows_of(scores)
    for key, row in rows.items():
        row |= {"id": ITEMS[key.image]["id"], "probability": 0.9}
    everything = {
        **SETTINGS,
        "title": "A comparison",
        "image_shape": [1, 16, 12],
        "classifier": {"class": "ResNet", "weights": "0123"},
        "device": "cpu",
        "threads": 1,
        "command": "python -m monai_advexplain compare",
        "date": "2020-01-01",
        "gallery": [0, 5],
        "average": None,
        "methods": {"proposed": {"class": "ProposedExplainer"}},
        **settings,
    }
    variants = [*scores, *(Variant(name, False) for name in dict(reasons))]
    missing = {Variant(name, False): why for name, why in dict(reasons).items()}
    return summarise(rows, variants, ITEMS, everything, missing, realism)


def realism_of() -> dict:
    """Realism of two methods whose distances are known, those towards "yes" twice those towards "no"."""
    rows = []
    for factor, towards in ((1, "no"), (2, "yes")):
        for name, fd in (("real against real", 1.0), ("unchanged images", 5.0), ("proposed", 2.0), ("gradient", 3.0)):
            row = {
                "row": name,
                "towards": towards,
                "n_changed": 24,
                "n_each": 10,
                "fd": factor * fd,
                "js": factor * fd / 10,
            }
            row |= {
                f"{score}_{end}": row[score] * by for score in ("fd", "js") for end, by in (("low", 0.5), ("high", 2))
            }
            measured = {"flipped": 0.75, "ssim": 0.9, "l1": 0.01, "mse": 0.001}
            rows.append(row | (measured if fd in (2.0, 3.0) else {}))
    points = np.random.default_rng(0).random((3, 48, 2))
    return {
        "settings": {"latent_space": {"latent_size": 4}},
        "n_images": 48,
        "n_yes": 24,
        "n_no": 24,
        "agreement": 0.8,
        "bins": 5,
        "yes": [i % 2 == 0 for i in range(48)],
        "rows": rows,
        "points": dict(zip(("real against real", "proposed", "gradient"), points.tolist(), strict=True)),
    }
