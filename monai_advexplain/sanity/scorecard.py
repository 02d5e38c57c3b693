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

"""The scorecard: what the checks found as four scores, each with its parts, their limits and whether they hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from monai_advexplain.benchmark.statistics import Interval, bootstrap_interval

Checks = Mapping[str, Mapping[str, Mapping[str, Sequence[float | None]]]]
"""Name of a check -> row -> score -> a value for every image, None or NaN where there is none."""

MEANING = {
    "consistency": "the map stays when nothing that matters changes: a little noise, the seed of the training",
    "plausibility": "the map lies where the ground truth is",
    "fidelity": "the generated images do what they must to the decision, and the map goes when the classifier's "
    "knowledge goes",
    "usefulness": "the map tells a classifier that decides by a marker from one that does not",
}


@dataclass(frozen=True)
class Part:
    """One part of a score.

    Args:
        name: what it is.
        meaning: how it is measured.
        value: mean over images, NaN when it was not measured.
        low, high: 95 % interval, NaN with fewer than two groups.
        limit: what the value is held against.
        at_least: whether the value must be above the limit, else below.
        doubt: why the part says nothing, though it was measured; empty when it does.
        scored: whether the value, or 1 - the value where low is good, is how good it is: it counts in the score.
    """

    name: str
    meaning: str
    value: float
    low: float
    high: float
    limit: float
    at_least: bool
    doubt: str = ""
    scored: bool = True

    @property
    def passed(self) -> bool | None:
        """Whether the whole interval is on the right side of the limit; None when nothing can be said."""
        if math.isnan(self.value) or self.doubt:
            return None
        edge = self.low if self.at_least else self.high
        edge = self.value if math.isnan(edge) else edge
        return bool(edge >= self.limit if self.at_least else edge <= self.limit)

    @property
    def goodness(self) -> float:
        """The value, or 1 - the value where low is good, in [0, 1]."""
        value = min(max(self.value, 0.0), 1.0)  # NaN stays NaN
        return value if self.at_least else 1.0 - value


def check_interval(check: str, values: Sequence[float] | np.ndarray, groups: Sequence[str]) -> Interval:
    """Mean of a check's values with its interval over groups; images of the confounder's phantom are a group each."""
    return bootstrap_interval(values, range(len(values)) if check == "confounder" else groups)


def _values(checks: Checks, check: str, row: str, score: str) -> np.ndarray | None:
    found = checks.get(check, {}).get(row, {}).get(score)
    return None if found is None else np.asarray(found, dtype=float)


class _Reader:
    """Makes parts of what the checks found."""

    def __init__(self, checks: Checks, groups: Sequence[str], limits: Mapping[str, float]) -> None:
        self.checks, self.groups, self.limits = checks, groups, limits

    def mean(self, check: str, row: str, score: str) -> float:
        values = _values(self.checks, check, row, score)
        return math.nan if values is None or np.isnan(values).all() else float(np.nanmean(values))

    def part(
        self, name: str, meaning: str, where: tuple[str, str, str], limit: float, at_least: bool, **more: Any
    ) -> list[Part]:
        """The part, or none when its check was not run."""
        values = _values(self.checks, *where)
        if values is None:
            return []
        return [Part(name, meaning, *check_interval(where[0], values, self.groups), limit, at_least, **more)]

    def untrained(self, check: str, row: str) -> str:
        """A doubt when the generators of a row were trained too briefly to turn decisions."""
        rate, wanted = self.mean(check, row, "flipped"), self.limits["retrained_flip_rate"]
        if rate >= wanted:
            return ""
        return f"the brief training turns {rate:.0%} of the decisions only (wanted {wanted:.0%}): train longer"


def _consistency(read: _Reader) -> list[Part]:
    trained = [row for row in read.checks.get("seed_stability", {}) if row.startswith("seed ")]
    return [
        *read.part(
            "noise",
            "Spearman correlation of the maps of an image and of the same under noise",
            ("noise_stability", "proposed", "spearman"),
            read.limits["noise_spearman"],
            True,
        ),
        *read.part(
            "seeds",
            "Spearman correlation of the maps of generators trained with different seeds",
            ("seed_stability", "seeds", "spearman"),
            read.limits["seeds_spearman"],
            True,
            doubt=next(filter(None, (read.untrained("seed_stability", row) for row in trained)), ""),
        ),
    ]


def _plausibility(read: _Reader) -> list[Part]:
    chance = read.mean("localisation", "random", "auc_loc_total")
    return read.part(
        "localisation",
        "AUC_Loc of the map; the limit is that of a random map times the factor of the settings",
        ("localisation", "proposed", "auc_loc_total"),
        chance * read.limits["localisation_times_random"],
        True,
    )


def _fidelity(read: _Reader) -> list[Part]:
    parts = []
    for name, score, what in (
        ("flip", "flipped", "share of the adversarial images that are decided the opposite"),
        ("preservation", "preserved", "share of the similar images that are decided alike"),
    ):
        where = ("model_randomisation", "frozen", score)
        parts += read.part(name, what, where, read.limits[f"{name}_rate"], True)
    for check, what in (
        ("model_randomisation", "a classifier with random weights"),
        ("label_randomisation", "a classifier trained on random labels"),
    ):
        parts += read.part(
            check.replace("_", " "),
            f"Spearman correlation of the maps of generators trained against the classifier and against {what}",
            (check, "retrained", "spearman"),
            read.limits["randomised_spearman"],
            False,
            doubt=read.untrained(check, "reference") or read.untrained(check, "against_random"),
        )
    return parts


def _usefulness(read: _Reader) -> list[Part]:
    limits = read.limits
    chance = read.mean("confounder", "chance", "marker")
    accuracy = read.mean("confounder", "clean", "accuracy")
    agreement = read.mean("confounder", "confounded", "agreement")
    unlearned = f"of its decisions only (wanted {limits['accuracy']:.0%}): it did not learn, train longer"
    doubts = {name: read.untrained("confounder", name) for name in ("clean", "confounded")}
    if not agreement >= limits["accuracy"]:
        doubts["confounded"] = f"the confounded classifier follows the marker in {agreement:.0%} {unlearned}"
    if not accuracy >= limits["accuracy"]:
        doubts["clean"] = f"the clean classifier is right in {accuracy:.0%} {unlearned}"
    return [
        *read.part(
            "separation",
            "share of the images with a marker on which the map of the confounded classifier has more of its mass in "
            "the marker's box than that of the clean one",
            ("confounder", "separation", "marker"),
            limits["separation"],
            True,
            doubt=doubts["confounded"] or doubts["clean"],
        ),
        *read.part(
            "marker, confounded",
            "share of the map's mass in the box of an image's marker; the limit is the box's share of the image times "
            "the factor of the settings",
            ("confounder", "confounded proposed", "marker"),
            chance * limits["marker_times_area"],
            True,
            doubt=doubts["confounded"],
            scored=False,
        ),
        *read.part(
            "marker, clean",
            "the same for a classifier that was trained where the marker says nothing; the limit is the box's share",
            ("confounder", "clean proposed", "marker"),
            chance,
            False,
            doubt=doubts["clean"],
            scored=False,
        ),
    ]


def scorecard(checks: Checks, groups: Sequence[str], limits: Mapping[str, float]) -> list[dict[str, Any]]:
    """The four scores.

    Args:
        checks: what the checks found; one that was not run is missing.
        groups: the group (patient) of each image; intervals are over groups.
        limits: by name, see docs/check.md.

    Returns:
        For each score ``name``, ``meaning``, ``value`` (mean goodness of its scored parts that say something, in
        [0, 1], NaN without any), ``passed`` (whether all of these hold, None without any) and ``parts``.
    """
    read = _Reader(checks, groups, limits)
    makers = {
        "consistency": _consistency,
        "plausibility": _plausibility,
        "fidelity": _fidelity,
        "usefulness": _usefulness,
    }
    scores = []
    for name, make in makers.items():
        parts = make(read)
        heard = [part for part in parts if part.passed is not None]
        scored = [part.goodness for part in heard if part.scored]
        scores.append(
            {
                "name": name,
                "meaning": MEANING[name],
                "value": float(np.mean(scored)) if scored else math.nan,
                "passed": all(part.passed for part in heard) if heard else None,
                "parts": [{**asdict(part), "passed": part.passed} for part in parts],
            }
        )
    return scores


def verdict(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each score, and one for each part that does not hold or says nothing."""
    sentences = []
    for score in scores:
        word = {True: "holds", False: "does not hold", None: "was not measured"}[score["passed"]]
        value = "" if math.isnan(score["value"]) else f" ({score['value']:.2f})"
        sentences.append(f"{score['name'].capitalize()}{value} {word}: {score['meaning']}.")
        for part in score["parts"]:
            if part["passed"] is None:
                reason = part["doubt"] or "no image has a value"
                sentences.append(f"{score['name'].capitalize()}, {part['name']} says nothing: {reason}.")
            elif not part["passed"]:
                side = "above" if part["at_least"] else "below"
                sentences.append(
                    f"{score['name'].capitalize()}, {part['name']} is {part['value']:.3f} "
                    f"[{part['low']:.3f}, {part['high']:.3f}], which is not clearly {side} {part['limit']:.3f}."
                )
    return sentences
