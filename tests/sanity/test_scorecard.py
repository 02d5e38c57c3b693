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

"""Tests of the scorecard: each part holds on the right side of its limit only, and doubts silence it."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest

from monai_advexplain.sanity.scorecard import check_interval, scorecard, verdict

LIMITS = json.loads(
    (Path(__file__).parents[2] / "bundles" / "chest_xray_advexplain" / "configs" / "check.json").read_text()
)["limits"]
GROUPS = [str(index) for index in range(30)]


def values(mean: float, count: int = 30) -> list[float]:
    return (mean + 0.01 * np.sin(np.arange(count))).tolist()


GOOD = {
    "localisation": {"proposed": {"auc_loc_total": values(0.5)}, "random": {"auc_loc_total": values(0.05)}},
    "noise_stability": {"proposed": {"spearman": values(0.95)}},
    "seed_stability": {"seeds": {"spearman": values(0.8)}, "seed 0": {"flipped": values(0.9)}},
    "model_randomisation": {
        "retrained": {"spearman": values(0.2)},
        "reference": {"flipped": values(0.9)},
        "against_random": {"flipped": values(0.9)},
        "frozen": {"flipped": values(0.95), "preserved": values(0.98)},
    },
    "label_randomisation": {
        "retrained": {"spearman": values(0.1)},
        "reference": {"flipped": values(0.9)},
        "against_random": {"flipped": values(0.9)},
    },
    "confounder": {
        "clean": {"accuracy": values(0.9, 20), "flipped": values(0.9, 20)},
        "confounded": {"agreement": values(0.98, 20), "flipped": values(0.9, 20)},
        "clean proposed": {"marker": values(0.01, 20)},
        "confounded proposed": {"marker": values(0.4, 20)},
        "chance": {"marker": [0.03] * 20},
        "separation": {"marker": [1.0] * 20},
    },
}


def parts(checks: dict) -> dict[str, dict]:
    return {part["name"]: part for score in scorecard(checks, GROUPS, LIMITS) for part in score["parts"]}


def changed(*where: str, to: float) -> dict:
    checks = copy.deepcopy(GOOD)
    row = checks[where[0]][where[1]]
    row[where[2]] = values(to, len(row[where[2]]))
    return checks


def test_everything_holds_where_everything_is_good_and_each_score_is_the_mean_of_its_parts():
    scores = {score["name"]: score for score in scorecard(GOOD, GROUPS, LIMITS)}
    assert list(scores) == ["consistency", "plausibility", "fidelity", "usefulness"]
    assert all(score["passed"] for score in scores.values())
    assert scores["consistency"]["value"] == pytest.approx((0.95 + 0.8) / 2, abs=0.01)
    assert scores["fidelity"]["value"] == pytest.approx((0.95 + 0.98 + 0.8 + 0.9) / 4, abs=0.01)
    assert scores["usefulness"]["value"] == 1.0  # the markers' shares have limits but are no scores


@pytest.mark.parametrize(
    ("where", "bad", "part"),
    [
        (("noise_stability", "proposed", "spearman"), 0.5, "noise"),
        (("seed_stability", "seeds", "spearman"), 0.2, "seeds"),
        (("localisation", "proposed", "auc_loc_total"), 0.05, "localisation"),
        (("model_randomisation", "frozen", "flipped"), 0.3, "flip"),
        (("model_randomisation", "frozen", "preserved"), 0.3, "preservation"),
        (("model_randomisation", "retrained", "spearman"), 0.9, "model randomisation"),
        (("label_randomisation", "retrained", "spearman"), 0.9, "label randomisation"),
        (("confounder", "separation", "marker"), 0.5, "separation"),
        (("confounder", "confounded proposed", "marker"), 0.03, "marker, confounded"),
        (("confounder", "clean proposed", "marker"), 0.2, "marker, clean"),
    ],
)
def test_one_bad_measurement_fails_its_part_and_score_and_nothing_else(where, bad, part):
    checks = changed(*where, to=bad)
    assert [name for name, one in parts(checks).items() if not one["passed"]] == [part]
    scores = scorecard(checks, GROUPS, LIMITS)
    assert [score["passed"] for score in scores].count(False) == 1
    assert any(f"{part} is " in sentence and "not clearly" in sentence for sentence in verdict(scores))


@pytest.mark.parametrize(
    ("where", "bad", "silent"),
    [
        (("seed_stability", "seed 0", "flipped"), 0.1, {"seeds"}),
        (("model_randomisation", "reference", "flipped"), 0.1, {"model randomisation"}),
        (("model_randomisation", "against_random", "flipped"), 0.0, {"model randomisation"}),
        (("label_randomisation", "against_random", "flipped"), 0.1, {"label randomisation"}),
        (("confounder", "clean", "accuracy"), 0.58, {"separation", "marker, clean"}),
        (("confounder", "confounded", "agreement"), 0.5, {"separation", "marker, confounded"}),
        (("confounder", "confounded", "flipped"), 0.1, {"separation", "marker, confounded"}),
    ],
)
def test_what_did_not_learn_says_nothing_and_the_verdict_says_why(where, bad, silent):
    checks = changed(*where, to=bad)
    found = parts(checks)
    assert {name for name, part in found.items() if part["passed"] is None} == silent
    said = verdict(scorecard(checks, GROUPS, LIMITS))
    assert sum("says nothing" in sentence and "train longer" in sentence for sentence in said) == len(silent)


def test_an_interval_that_reaches_over_the_limit_does_not_hold():
    checks = copy.deepcopy(GOOD)
    checks["noise_stability"]["proposed"]["spearman"] = [1.0, 0.68] * 15  # mean 0.84, limit 0.8
    part = parts(checks)["noise"]
    assert part["value"] > part["limit"] > part["low"]
    assert part["passed"] is False


def test_checks_that_were_not_run_leave_their_parts_out_and_a_score_without_parts_is_not_measured():
    scores = {score["name"]: score for score in scorecard({"noise_stability": GOOD["noise_stability"]}, GROUPS, LIMITS)}
    assert [part["name"] for part in scores["consistency"]["parts"]] == ["noise"]
    assert scores["consistency"]["passed"] is True
    assert scores["usefulness"]["passed"] is None
    assert math.isnan(scores["usefulness"]["value"])
    assert "Usefulness was not measured" in "\n".join(verdict(list(scores.values())))


def test_images_without_a_value_do_not_count():
    checks = copy.deepcopy(GOOD)
    checks["noise_stability"]["proposed"]["spearman"][:10] = [None] * 10
    assert parts(checks)["noise"]["passed"] is True


def test_images_of_the_phantom_are_a_group_each_even_when_there_are_as_many_as_the_bundles():
    scores, groups = [0.0] * 15 + [1.0] * 15, ["a"] * 15 + ["b"] * 15
    assert check_interval("localisation", scores, groups).low == 0
    assert check_interval("confounder", scores, groups).low > 0.2
