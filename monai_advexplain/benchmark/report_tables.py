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

"""Tables of the report: their columns, what each means, and the best value of each."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from monai_advexplain.benchmark.records import KEY_SCORE
from monai_advexplain.benchmark.verdict import label, short
from monai_advexplain.metrics.auc_loc import PARTIAL_MAX_SHARE

Summary: TypeAlias = Mapping[str, Any]


class Column(NamedTuple):
    """A column of the table: what it shows of a summary, and which values are good."""

    key: str
    heading: str
    meaning: str
    better: Callable[[Sequence[float]], float] | None = max
    digits: int = 3
    interval: bool = False
    signed: bool = False


_SHARE = f"{PARTIAL_MAX_SHARE:.0%}"
LOCALISATION = (
    Column(
        KEY_SCORE, "AUC_Loc total", "area under precision over recall of the pixels, mean over images", interval=True
    ),
    Column("auc_loc_partial", "partial", f"its part up to {_SHARE} of the image", interval=True),
    Column(
        "difference",
        "to reference",
        "paired difference of AUC_Loc total to the reference with the same regularisation",
        None,
        interval=True,
        signed=True,
    ),
    Column(
        "p_value_holm",
        "p (Holm)",
        "two-sided p-value of that difference (signs of groups at random), Holm-corrected",
        None,
    ),
    Column(f"{KEY_SCORE}_pooled", "pooled", "AUC_Loc of the curve averaged over images"),
    Column(f"{KEY_SCORE}_decided_yes", "on “yes”", "mean AUC_Loc of the images that the classifier decides “yes”"),
    Column("seconds", "s / image", "median seconds for an image, one at a time, after a warm-up", min, 4),
    Column("time_ratio", "x reference", "median ratio to the reference's plain time on the same image", min, 2),
)
SPEED = (
    Column(
        "speed_ratio",
        "x reference",
        "median ratio to the reference of the same turn, [lowest, highest turn]; methods in turns, in random order",
        min,
        2,
        interval=True,
    ),
)
FURTHER = (
    Column("iou_at_mask_area", "IoU at area", "overlap of the mask and as many of the most important pixels"),
    Column("iou_best", "best IoU", "best overlap over all percentiles, chosen for each image"),
    Column("ncc", "NCC", "correlation of map and mask"),
    Column("pointing", "pointing", "share of images whose most important pixel lies in the mask"),
    Column("relevance_mass", "mass", "share of the map's mass in the mask"),
    Column(
        "deletion", "deletion", "area under the decision's probability as important pixels are blurred, low = good", min
    ),
    Column("insertion", "insertion", "area as important pixels are revealed, high = good"),
)
GENERATED = (
    Column("flip_rate", "flip rate", "share of the images whose adversarial image is decided the opposite"),
    Column("preservation_rate", "preservation", "share of the images whose similar image is decided alike"),
    Column("l1_similar", "L1 similar", "mean absolute change from the image to the similar image", min, 4),
    Column("ssim_similar", "SSIM similar", "structural similarity of image and similar image"),
    Column(
        "l1_adversarial", "L1 adversarial", "mean absolute change from the similar to the adversarial image", None, 4
    ),
    Column("ssim_adversarial", "SSIM adversarial", "structural similarity of the two generated images", None),
    Column("sparsity", "changed share", "share of the pixels that differ between the two generated images", None),
)


def number(value: Any) -> float:
    """The value, NaN for None."""
    return math.nan if value is None else float(value)


def _text(value: float, column: Column) -> str:
    if column.key == "p_value_holm":
        return f"{value:.2g}"
    if column.key in ("seconds", "time_ratio", "speed_ratio", "fd"):
        return short(value)
    return f"{value:{'+' if column.signed else ''}.{column.digits}f}"


def _cell(summary: Summary, column: Column, best: float) -> str:
    value = number(summary.get(column.key))
    if math.isnan(value):
        return "<td></td>"
    text = _text(value, column)
    if value == best:
        text = f"<b>{text}</b>"
    low, high = (number(summary.get(f"{column.key}_{end}")) for end in ("low", "high"))
    if column.interval and not math.isnan(low):
        text += f' <span class="interval">[{_text(low, column)}, {_text(high, column)}]</span>'
    return f"<td>{text}</td>"


def filled(columns: Sequence[Column], methods: Sequence[Summary]) -> list[Column]:
    """The columns that hold a number."""
    return [c for c in columns if any(not math.isnan(number(summary.get(c.key))) for summary in methods)]


def table(methods: Sequence[Summary], columns: Sequence[Column], reference: str, ceiling: str | None = None) -> str:
    """A row for each summary: reference and ceiling marked, the best of each column bold, the ceiling left out."""
    best = {}
    for column in columns:
        values = [number(summary.get(column.key)) for summary in methods if summary["method"] != ceiling]
        values = [value for value in values if not math.isnan(value)]
        best[column.key] = column.better(values) if column.better and len(set(values)) > 1 else math.nan
    head = "".join(f'<th title="{html.escape(c.meaning)}">{html.escape(c.heading)}</th>' for c in columns)
    lines = [f"<tr><th>method</th>{head}</tr>"]
    for summary in methods:
        kind = {reference: ' class="reference"', ceiling: ' class="ceiling"'}.get(summary["method"], "")
        name = html.escape(label(summary) + (" (ceiling)" if summary["method"] == ceiling else ""))
        if summary["n_images"] or filled(columns, [summary]):
            worth = {} if summary["method"] == ceiling else best
            cells = "".join(_cell(summary, column, worth.get(column.key, math.nan)) for column in columns)
        else:
            cells = f'<td class="reason" colspan="{len(columns)}">not run: {html.escape(summary["error"])}</td>'
        lines.append(f"<tr{kind}><td>{name}</td>{cells}</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def legend(columns: Sequence[Column]) -> str:
    """What the columns mean, in one paragraph."""
    return (
        '<p class="quiet">'
        + "; ".join(f"<b>{html.escape(c.heading)}</b>: {html.escape(c.meaning)}" for c in columns)
        + (". Bold: best of the column.</p>" if any(c.better for c in columns) else ".</p>")
    )
