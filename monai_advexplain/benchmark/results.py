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

"""What the rows of a comparison say: a summary of each method, the table, the JSON file and the verdict in words."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_advexplain.benchmark.realism_results import COLUMNS, ROW, columns_of, realism_verdict
from monai_advexplain.benchmark.records import Key, Row, Variant, write_atomically
from monai_advexplain.benchmark.statistics import bootstrap_interval, holm, paired_difference, ratio_of_means
from monai_advexplain.metrics.auc_loc import PARTIAL_MAX_SHARE, pooled_auc_loc

KEY_SCORE = "auc_loc_total"
"""The score by which methods are compared with the reference."""
WITH_INTERVAL = ("auc_loc_total", "auc_loc_partial")
RENAMED = {"flipped": "flip_rate", "preserved": "preservation_rate"}
SIGNIFICANCE = 0.05
FEW_GROUPS = 20

_FIRST = ("method", "regularised", "n_images", "n_groups", "n_masked")
_SPEED = ("speed_ratio", "speed_ratio_low", "speed_ratio_high")
_DIFFERENCE = ("difference", "difference_low", "difference_high", "p_value", "p_value_holm")
_LAST = (*COLUMNS, "seconds", "time_ratio", *_SPEED, *_DIFFERENCE)


def _scores(rows: Mapping[int, Row], name: str, count: int) -> np.ndarray:
    """A score of every image (count,), NaN where there is none."""
    values = np.full(count, np.nan)
    for index, row in rows.items():
        value = row["scores"].get(name)
        values[index] = np.nan if value is None else value
    return values


def _seconds(rows: Mapping[int, Row], count: int) -> np.ndarray:
    values = np.full(count, np.nan)
    for index, row in rows.items():
        values[index] = row["seconds"]
    return values


def _median(values: np.ndarray) -> float:
    return float(np.nanmedian(values)) if not np.isnan(values).all() else math.nan


def _pooled(rows: Iterable[Row]) -> tuple[dict[str, float], list[list[float]] | None]:
    """Areas of the mean curve of the images that have one, and the curve (precision, recall, kept share)."""
    curves = [row["curve"] for row in rows if row["curve"]]
    if not curves:
        return {"auc_loc_total_pooled": math.nan, "auc_loc_partial_pooled": math.nan}, None
    stacked = torch.tensor(curves, dtype=torch.float64)  # (images, 3, thresholds)
    precision, recall, kept = stacked.unbind(dim=1)
    areas = {
        "auc_loc_total_pooled": float(pooled_auc_loc(precision, recall, kept)),
        "auc_loc_partial_pooled": float(pooled_auc_loc(precision, recall, kept, PARTIAL_MAX_SHARE)),
    }
    return areas, stacked.mean(dim=0).tolist()


def _summary(
    variant: Variant,
    rows: Mapping[int, Row],
    reference: Mapping[int, Row],
    plain_reference: Mapping[int, Row],
    groups: Sequence[str],
    names: Sequence[str],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """One row of the table; ``reference`` is the reference's of the same regularisation."""
    count, n, seed = len(groups), settings["n_resamples"], settings["seed"]
    summary: dict[str, Any] = {
        "method": variant.method,
        "regularised": variant.regularised,
        "n_images": len(rows),
        "n_groups": len({groups[index] for index in rows}),
        "n_masked": int((~np.isnan(_scores(rows, KEY_SCORE, count))).sum()),
    }
    for name in WITH_INTERVAL:
        interval = bootstrap_interval(_scores(rows, name, count), groups, n, seed)
        summary |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
    areas, summary["curve"] = _pooled(rows.values())
    summary |= areas
    yes = {index: row for index, row in rows.items() if row["decided"]}
    summary[f"{KEY_SCORE}_decided_yes"] = bootstrap_interval(_scores(yes, KEY_SCORE, count), groups, n, seed).mean
    for name in names:
        values = _scores(rows, name, count)
        summary[RENAMED.get(name, name)] = math.nan if np.isnan(values).all() else float(np.nanmean(values))
    seconds = _seconds(rows, count)
    summary["seconds"] = _median(seconds)
    summary["time_ratio"] = _median(seconds / _seconds(plain_reference, count))
    summary |= dict.fromkeys(_SPEED, math.nan)
    if not variant.regularised:
        timed = {row["method"]: (row["ratio"], row["low"], row["high"]) for row in settings.get("speed", ())}
        summary |= zip(_SPEED, timed.get(variant.method, ()), strict=False)
    if variant.method in (settings["reference"], settings.get("ceiling")):
        return summary | dict.fromkeys(("difference", "difference_low", "difference_high", "p_value"), math.nan)
    difference = paired_difference(
        _scores(rows, KEY_SCORE, count), _scores(reference, KEY_SCORE, count), groups, n, seed
    )
    return summary | {
        "difference": difference.mean,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "p_value": difference.p_value,
    }


def _ceiling(
    good: Mapping[Variant, Mapping[int, Row]], groups: Sequence[str], settings: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What share of the ceiling's mean the reference reaches, on the images that both have; None without a ceiling."""
    method = settings.get("ceiling")
    shares = []
    for variant, rows in good.items():
        if variant.method != method or not rows:
            continue
        reference = _scores(good[variant._replace(method=settings["reference"])], KEY_SCORE, len(groups))
        upper = _scores(rows, KEY_SCORE, len(groups))
        share = ratio_of_means(reference, upper, groups, settings["n_resamples"], settings["seed"])
        shares.append(
            {
                "regularised": variant.regularised,
                "n_masked": int((~np.isnan(reference + upper)).sum()),
                "share": share.mean,
                "share_low": share.low,
                "share_high": share.high,
            }
        )
    return {"method": method, "reference": settings["reference"], "shares": shares} if shares else None


def summarise(
    rows: Mapping[Key, Row],
    variants: Sequence[Variant],
    items: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    reasons: Mapping[Variant, str],
    realism: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that a comparison found.

    Every score is the mean over the images that have it (localisation: those with a mask), ``seconds`` the median;
    ``time_ratio`` is the median over images of the time divided by that of the reference's plain row on the same
    image. ``speed_ratio``, with its lowest and highest turn, comes from ``settings["speed"]``, a measurement that is
    the same for all data; ``fd_to_*`` and ``js_to_*`` of plain rows come from ``realism``. ``difference`` is the paired
    difference of ``auc_loc_total`` to the reference with the same regularisation; ``p_value_holm`` is corrected for all
    these differences of the table together. The method that is ``settings["ceiling"]`` is no competitor: it has
    neither, and ``ceiling`` holds the reference's share of it.

    Args:
        rows: what was measured.
        variants: in the order of the table; the reference's are among them.
        items: for each image ``id`` and ``group``.
        settings: with ``reference``, ``n_resamples`` and ``seed``, perhaps ``ceiling`` and ``speed`` (see
            :class:`Comparison`).
        reasons: why a variant could not run.
        realism: as :meth:`~monai_advexplain.benchmark.realism.Realism.measure` returns it.

    Returns:
        ``settings``; ``n_images``, ``n_groups``, ``n_masked``; ``methods``, a summary of each variant, with its mean
        curve; ``ceiling``, None or, for each regularisation, the ratio ``share`` of the mean ``auc_loc_total`` of
        reference and ceiling with its interval; ``verdict``, sentences; ``realism``; ``images``, all rows without their
        curves. Numbers that do not exist are NaN.
    """
    groups = [str(item["group"]) for item in items]
    good: dict[Variant, dict[int, Row]] = {variant: {} for variant in variants}
    errors: dict[Variant, list[Row]] = {variant: [] for variant in variants}
    for key in sorted(rows):
        if rows[key].get("error"):
            errors[key.variant].append(rows[key])
        else:
            good[key.variant][key.image] = rows[key]
    names = list(dict.fromkeys(n for by in good.values() for row in by.values() for n in row["scores"]))
    names = [name for name in names if name not in WITH_INTERVAL]
    name_of_reference = settings["reference"]
    methods = []
    for variant, by_image in good.items():
        reference = good[variant._replace(method=name_of_reference)]
        plain = good[Variant(name_of_reference, False)]
        summary = _summary(variant, by_image, reference, plain, groups, names, settings)
        summary |= columns_of(None if variant.regularised else realism, variant.method)
        summary["n_errors"] = len(errors[variant])
        summary["error"] = reasons.get(variant) or (errors[variant][0]["error"] if errors[variant] else "")
        summary["note"] = settings.get("notes", {}).get(variant.method, "")
        methods.append(summary)
    for summary, corrected in zip(methods, holm([summary["p_value"] for summary in methods]), strict=True):
        summary["p_value_holm"] = corrected
    ceiling = _ceiling(good, groups, settings)
    masked = {index for by in good.values() for index, row in by.items() if row["mask_share"] > 0}
    return {
        "settings": dict(settings),
        "n_images": len(items),
        "n_groups": len(set(groups)),
        "n_masked": len(masked),
        "methods": methods,
        "ceiling": ceiling,
        "verdict": [
            *_caution(masked, groups),
            *verdict(methods, name_of_reference, ceiling),
            *([] if realism is None else realism_verdict(realism, realism["settings"]["latent_space"]["latent_size"])),
        ],
        "realism": None if realism is None else dict(realism),
        "images": [{k: v for k, v in rows[key].items() if k != "curve"} for key in sorted(rows)],
    }


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
        methods: summaries as :func:`summarise` makes them.
        reference: name of the reference.
        ceiling: what :func:`summarise` found of it, if there is one.

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


def _caution(masked: Iterable[int], groups: Sequence[str]) -> list[str]:
    count = len({groups[index] for index in masked})
    if count >= FEW_GROUPS:
        return []
    return [f"Few groups have a ground truth ({count}): with fewer than {FEW_GROUPS} the intervals are too narrow."]


def _columns(methods: Sequence[Mapping[str, Any]]) -> list[str]:
    middle = [name for name in methods[0] if name not in (*_FIRST, *_LAST, "curve", "n_errors", "error", "note")]
    return [*_FIRST, *middle, *_LAST, "n_errors", "error", "note"]


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
        results: as :func:`summarise` returns them; NaN becomes an empty cell and null.
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
