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

"""The verdict of a comparison in words: where the reference leads, where it does not, and what did not run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monai_advexplain.benchmark.records import KEY_SCORE, Variant

SIGNIFICANCE = 0.05
FEW_GROUPS = 20


def short(value: float) -> str:
    """Three digits, and no power of ten where a whole number will do."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def label(summary: Mapping[str, Any]) -> str:
    """The name of a row of the table."""
    return str(Variant(summary["method"], summary["regularised"]))


def _exists(value: Any) -> bool:
    return value is not None and not math.isnan(value)


def _area(summary: Mapping[str, Any]) -> str:
    text = f"{summary[KEY_SCORE]:.3f}"
    low, high = summary[f"{KEY_SCORE}_low"], summary[f"{KEY_SCORE}_high"]
    return f"{text} [{low:.3f}, {high:.3f}]" if _exists(low) else text


def _against(summary: Mapping[str, Any]) -> str:
    text = f"{summary['method']} {summary['difference']:+.3f}"
    if _exists(summary["difference_low"]):
        text += f" [{summary['difference_low']:+.3f}, {summary['difference_high']:+.3f}]"
    return text


def _place(summary: Mapping[str, Any], others: Sequence[Mapping[str, Any]], family: str) -> list[str]:
    """Where the reference stands among the rows of the same regularisation."""
    name, better = summary["method"], sum(other["difference"] > 0 for other in others)
    start = f"{family}, {name} has AUC_Loc {_area(summary)}"
    kinds: dict[str, list[str]] = {"above": [], "open": [], "below": []}
    for other in sorted(others, key=lambda other: -other["difference"]):
        clear = _exists(other["p_value_holm"]) and other["p_value_holm"] < SIGNIFICANCE
        kinds["open" if not clear else "above" if other["difference"] > 0 else "below"].append(_against(other))
    if better == 0:
        clearly = "" if kinds["open"] else ", all of them clearly"
        sentences = [f"{start} and leads the {len(others)} other methods{clearly}."]
    else:
        sentences = [f"{start} and does not lead: {better} of the {len(others)} other methods have a higher mean."]
    for kind, what in (
        ("above", f"clearly above {name}"),
        ("open", f"not clearly different from {name} (p of {SIGNIFICANCE} or more)"),
        ("below", f"clearly below {name}"),
    ):
        if kinds[kind]:
            sentences.append(f"{family}, {what}: {', '.join(kinds[kind])}.")
    return sentences


def _speed(start: str, others: Sequence[Mapping[str, Any]], key: str) -> str:
    """How the plain rows compare in time with the reference's, by one of the ratios."""
    clauses = [start]
    for what, low, high in (("faster", 0.0, 0.95), ("about as fast", 0.95, 1.05), ("slower", 1.05, math.inf)):
        rows = sorted((other for other in others if low <= other[key] < high), key=lambda other: other[key])
        if rows:
            clauses.append(f"{what}: " + ", ".join(f"{row['method']} (x {short(row[key])})" for row in rows))
    return "; ".join(clauses) + "."


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _shares(ceiling: Mapping[str, Any], methods: Sequence[Mapping[str, Any]]) -> list[str]:
    """How far below the ceiling the reference stays."""
    areas = {row["regularised"]: _area(row) for row in methods if row["method"] == ceiling["method"]}
    clauses = []
    for one in ceiling["shares"]:
        if _exists(one["share"]):
            text = f"{one['share']:.0%}"
            if _exists(one["share_low"]):
                text += f" [{one['share_low']:.0%}, {one['share_high']:.0%}]"
            how = "with regularisation" if one["regularised"] else "without regularisation"
            clauses.append(f"{text} of it {how}, where it is {areas[one['regularised']]}")
    if not clauses:
        return []
    return [
        f"{ceiling['method']}, trained on the ground truth itself, is the ceiling and no explanation: "
        f"{ceiling['reference']} reaches {'; '.join(clauses)}."
    ]


def verdict(
    methods: Sequence[Mapping[str, Any]], reference: str, ceiling: Mapping[str, Any] | None = None
) -> list[str]:
    """Sentences that say where the reference leads and where it does not.

    A difference counts as clear when its Holm-corrected p-value is below :data:`SIGNIFICANCE`.

    Args:
        methods: summaries as :func:`~monai_advexplain.benchmark.results.summarise` makes them.
        reference: name of the reference.
        ceiling: what ``summarise`` found of it, if there is one.

    Returns:
        Sentences on localisation without and with regularisation, on the best row, on the ceiling, on time, and on what
        did not run.
    """
    upper = ceiling["method"] if ceiling else None
    explained = [summary for summary in methods if summary["method"] != upper]
    measured = [summary for summary in explained if _exists(summary[KEY_SCORE])]
    sentences = []
    for regularised, family in ((False, "Without regularisation"), (True, "With regularisation")):
        rows = [summary for summary in measured if summary["regularised"] == regularised]
        own = [summary for summary in rows if summary["method"] == reference]
        others = [row for row in rows if row["method"] != reference and _exists(row["difference"])]
        if own and others:
            sentences += _place(own[0], others, family)
    if measured:
        best = max(measured, key=lambda summary: summary[KEY_SCORE])
        sentences.append(f"The highest mean of all rows is that of {label(best)}, {_area(best)}.")
    if ceiling:
        sentences += _shares(ceiling, methods)
    plain = [
        row for row in methods if row["method"] == reference and not row["regularised"] and _exists(row["seconds"])
    ]
    if plain:
        others = [row for row in explained if row is not plain[0] and not row["regularised"]]
        start = f"{reference} takes {_time(plain[0]['seconds'])} for an image (median)"
        sentences.append(_speed(start, others, "time_ratio"))
        if any(_exists(row["speed_ratio"]) for row in others):
            sentences.append(
                _speed(f"On the classifier that is the same for all data, next to {reference}", others, "speed_ratio")
            )
    failed = [summary for summary in methods if summary["error"]]
    for error in dict.fromkeys(summary["error"] for summary in failed):
        named = [label(summary) for summary in failed if summary["error"] == error]
        few = [summary["n_errors"] for summary in failed if summary["error"] == error and summary["n_images"]]
        what = f"failed on {max(few)} image(s)" if few else "did not run"
        sentences.append(f"{', '.join(named)} {what}: {error.rstrip('.')}.")
    return sentences


def caution(masked: Iterable[int], groups: Sequence[str]) -> list[str]:
    """A sentence when so few groups have a mask that intervals mislead.

    Args:
        masked: indices of the images with a mask.
        groups: the group of every image.
    """
    count = len({groups[index] for index in masked})
    if count >= FEW_GROUPS:
        return []
    return [f"Few groups have a ground truth ({count}): with fewer than {FEW_GROUPS} the intervals are too narrow."]
