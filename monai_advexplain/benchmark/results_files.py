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

"""A comparison's results as files: ``table.csv``, ``realism.csv`` and ``results.json``."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_advexplain.benchmark.realism_results import ROW
from monai_advexplain.benchmark.records import write_atomically
from monai_advexplain.benchmark.results import FIRST, LAST


def _columns(methods: Sequence[Mapping[str, Any]]) -> list[str]:
    middle = [name for name in methods[0] if name not in (*FIRST, *LAST, "curve", "n_errors", "error", "note")]
    return [*FIRST, *middle, *LAST, "n_errors", "error", "note"]


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def strict(value: Any) -> Any:
    """The value with None where JSON has no number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: strict(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(one) for one in value]
    return value


def _table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column, "")) for column in columns] for row in rows)
    return text.getvalue()


def write_results(results: Mapping[str, Any], folder: Path) -> None:
    """Write ``table.csv`` (a row for each method and regularisation) and ``results.json`` (everything).

    Where realism was measured there is ``realism.csv`` too, with a row for each control and method and decision.

    Args:
        results: as :func:`~monai_advexplain.benchmark.results.summarise` returns them; NaN becomes an empty cell
            and null.
        folder: where to, an existing folder.
    """
    methods, realism = results["methods"], results.get("realism")
    write_atomically(folder / "table.csv", _table(_columns(methods), methods))
    if realism is None:
        (folder / "realism.csv").unlink(missing_ok=True)  # of a run that measured it
    else:
        write_atomically(folder / "realism.csv", _table(ROW, realism["rows"]))
    text = json.dumps(strict(results), indent=1, allow_nan=False)
    write_atomically(folder / "results.json", text + "\n")
