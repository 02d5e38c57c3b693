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

"""What the rows of a comparison say: a summary of each method."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from monai_advexplain.benchmark.realism_results import COLUMNS, columns_of, realism_verdict
from monai_advexplain.benchmark.records import KEY_SCORE, Key, Row, Variant
from monai_advexplain.benchmark.statistics import bootstrap_interval, holm, paired_difference, ratio_of_means
from monai_advexplain.benchmark.verdict import caution, verdict
from monai_advexplain.metrics.auc_loc import PARTIAL_MAX_SHARE, pooled_auc_loc

WITH_INTERVAL = ("auc_loc_total", "auc_loc_partial")
RENAMED = {"flipped": "flip_rate", "preserved": "preservation_rate"}

FIRST = ("method", "regularised", "n_images", "n_groups", "n_masked")
_SPEED = ("speed_ratio", "speed_ratio_low", "speed_ratio_high")
_DIFFERENCE = ("difference", "difference_low", "difference_high", "p_value", "p_value_holm")
LAST = (*COLUMNS, "seconds", "time_ratio", *_SPEED, *_DIFFERENCE)


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
            *caution(masked, groups),
            *verdict(methods, name_of_reference, ceiling),
            *([] if realism is None else realism_verdict(realism, realism["settings"]["latent_space"]["latent_size"])),
        ],
        "realism": None if realism is None else dict(realism),
        "images": [{k: v for k, v in rows[key].items() if k != "curve"} for key in sorted(rows)],
    }
