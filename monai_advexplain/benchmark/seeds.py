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

"""Comparisons of one data set by networks that were trained with several seeds, taken together."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_advexplain.benchmark.records import KEY_SCORE, Variant
from monai_advexplain.benchmark.statistics import (
    Difference,
    bootstrap_interval,
    holm,
    paired_difference,
    ratio_of_means,
)

_SAME = ("classifier", "reference", "ceiling", "average", "n_resamples", "seed")


def _read(path: Path) -> dict[str, Any]:
    try:
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        results["settings"]["reference"], results["methods"], results["images"][0]["scores"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{path} is no results.json of a comparison ({error!r}).") from error
    return results


def _scores(results: Mapping[str, Any]) -> dict[Variant, dict[tuple[str, str], float]]:
    """The key score by variant and (image, group)."""
    found: dict[Variant, dict[tuple[str, str], float]] = {}
    for row in results["images"]:
        value = row["scores"].get(KEY_SCORE)
        if value is not None:
            by_image = found.setdefault(Variant(row["method"], row["regularised"]), {})
            by_image[str(row["id"]), str(row["group"])] = value
    return found


def over_seeds(paths: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The rows of several comparisons, every image's AUC_Loc averaged over those that have the row.

    Made for comparisons that differ in nothing but the training seed of the reference's network: a row that only the
    first one has (methods without training) is compared with the reference's mean over all.

    Args:
        paths: ``results.json`` of each comparison.

    Returns:
        For each row, in the order of the first comparison: ``method``, ``regularised``, ``seeds`` (the mean AUC_Loc in
        every comparison that has it), ``mean`` with ``low`` and ``high`` (95 % bootstrap interval over groups), the
        paired ``difference`` to the reference of the same regularisation with ``difference_low``, ``difference_high``,
        ``p_value`` and ``p_value_holm``; NaN for the reference and the ceiling. The ceiling's row has ``share``,
        ``share_low`` and ``share_high``: the reference's mean over its own.

    Raises:
        FileNotFoundError: when a file is missing.
        ValueError: when one is no comparison's, or they differ in images, classifier, reference or regularisation.
    """
    all_results = [_read(Path(path)) for path in paths]
    scores = [_scores(results) for results in all_results]
    settings = all_results[0]["settings"]
    reference = Variant(settings["reference"], False)
    for path, found in zip(paths, scores, strict=True):
        if reference not in found:
            raise ValueError(f"{path} has no AUC_Loc of {reference.method}: no image has a ground truth, or it failed.")
    images = list(scores[0][reference])
    for path, results, found in zip(paths, all_results, scores, strict=True):
        different = [name for name in _SAME if results["settings"].get(name) != settings.get(name)]
        if different or list(found[reference]) != images:
            raise ValueError(
                f"{path} is another comparison than {paths[0]}: different {', '.join(different) or 'images'}."
            )
    groups, n, seed = [group for _, group in images], settings["n_resamples"], settings["seed"]

    def values(variant: Variant) -> np.ndarray:
        return np.array([[by[variant].get(image, np.nan) for image in images] for by in scores if variant in by])

    rows: list[dict[str, Any]] = []
    listed = (Variant(row["method"], row["regularised"]) for results in all_results for row in results["methods"])
    for variant in dict.fromkeys(variant for variant in listed if any(variant in by for by in scores)):
        each = values(variant)
        own, of_reference = each.mean(axis=0), values(variant._replace(method=reference.method)).mean(axis=0)
        row: dict[str, Any] = {**variant._asdict(), "seeds": np.nanmean(each, axis=1).tolist()}
        row |= bootstrap_interval(own, groups, n, seed)._asdict()
        row |= dict.fromkeys(("share", "share_low", "share_high"), math.nan)
        difference = Difference(math.nan, math.nan, math.nan, math.nan)
        if variant.method == settings.get("ceiling"):
            row |= zip(
                ("share", "share_low", "share_high"), ratio_of_means(of_reference, own, groups, n, seed), strict=True
            )
        elif variant.method != reference.method:
            difference = paired_difference(own, of_reference, groups, n, seed)
        names = ("difference", "difference_low", "difference_high", "p_value")
        rows.append(row | dict(zip(names, difference, strict=True)))
    for row, corrected in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_value_holm"] = corrected
    return rows


def _with_interval(row: Mapping[str, Any], name: str, low: str, high: str, form: str = ".3f") -> str:
    if math.isnan(row[name]):
        return ""
    return f"{row[name]:{form}} [{row[low]:{form}}, {row[high]:{form}}]"


def seeds_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows of :func:`over_seeds` in Markdown."""
    lines = [
        "| method | AUC_Loc | each seed | difference to the reference | p, Holm | share of it |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (
            row["method"] + (" + reg" if row["regularised"] else ""),
            _with_interval(row, "mean", "low", "high"),
            ", ".join(f"{mean:.3f}" for mean in row["seeds"]),
            _with_interval(row, "difference", "difference_low", "difference_high", "+.3f"),
            "" if math.isnan(row["p_value_holm"]) else f"{row['p_value_holm']:.2g}",
            _with_interval(row, "share", "share_low", "share_high", ".0%"),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
