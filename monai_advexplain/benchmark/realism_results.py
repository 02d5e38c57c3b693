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

"""What the measurement of realism says: columns of the methods' table, a table of its own, and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from monai_advexplain.benchmark.realism import REAL, TOWARDS, UNCHANGED

COLUMNS = tuple(f"{score}_to_{towards}" for towards in TOWARDS for score in ("fd", "js"))
"""Of the methods' table: both distances of the adversaries made for a decision from real images of it."""
ROW = (
    *("towards", "row", "n_changed", "n_each", "fd", "fd_low", "fd_high", "js", "js_low", "js_high"),
    *("flipped", "ssim", "l1", "mse", "error"),
)
"""Of the table of its own, ``realism.csv``."""


def columns_of(realism: Mapping[str, Any] | None, method: str) -> dict[str, float]:
    """The columns of a method in the methods' table, NaN where nothing was measured."""
    rows = {row["towards"]: row for row in (realism or {"rows": ()})["rows"] if row["row"] == method}
    return {
        f"{score}_to_{towards}": rows.get(towards, {}).get(score, math.nan)
        for towards in TOWARDS
        for score in ("fd", "js")
    }


def realism_verdict(realism: Mapping[str, Any], latent_size: int) -> list[str]:
    """Sentences that say how near each method comes to real images of either decision, next to the controls.

    Args:
        realism: as :meth:`~monai_advexplain.benchmark.realism.Realism.measure` returns it.
        latent_size: numbers of a code.

    Returns:
        A sentence for each decision, the nearest method first; a caution where images are few.
    """
    sentences = []
    for towards in TOWARDS:
        rows = [row for row in realism["rows"] if row["towards"] == towards]
        measured = {row["row"]: row for row in rows if "fd" in row}
        failed = {row["row"]: row["error"] for row in rows if row.get("error")}
        if REAL not in measured:
            sentences.append(f"Realism towards “{towards}” is not measured: {failed.get(REAL, 'no images')}.")
            continue
        controls = [f"{name} {measured.pop(name)['fd']:.3g}" for name in (REAL, UNCHANGED)]
        ranked = [f"{row['row']} {row['fd']:.3g}" for row in sorted(measured.values(), key=lambda row: row["fd"])]
        each = next(row["n_each"] for row in rows if row["row"] == REAL)
        few = f", {each} images only for {latent_size} numbers of a code" if each < 2 * latent_size else ""
        sentences.append(
            f"Realism of adversaries towards “{towards}”, Frechet distance in the latent space (low = near){few}: "
            f"{', '.join(ranked) or 'no method'}; controls: {', '.join(controls)}."
        )
    return sentences
