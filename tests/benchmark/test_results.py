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

"""Tests of the summary of a comparison: numbers, table and words."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
from scipy import stats

from monai_advexplain.benchmark.records import Variant
from monai_advexplain.benchmark.results import summarise
from monai_advexplain.benchmark.results_files import write_results
from monai_advexplain.benchmark.verdict import verdict
from tests.benchmark.cases import ITEMS, SETTINGS, N, noise, rows_of


def summary_of(scores: dict[str, np.ndarray], **more) -> dict:
    variants = {Variant(name, False): values for name, values in scores.items()}
    return summarise(rows_of(variants, **more), list(variants), ITEMS, SETTINGS, {})


def test_the_numbers_are_means_medians_and_paired_ratios_of_the_rows():
    scores = {"proposed": 0.5 + noise(0), "slow": 0.4 + noise(1)}
    results = summary_of(scores, seconds={"slow": 3.0})
    proposed, slow = results["methods"]
    assert (results["n_images"], results["n_groups"], results["n_masked"]) == (N, N // 2, N)
    assert slow["auc_loc_total"] == pytest.approx(scores["slow"].mean())
    assert slow["auc_loc_total_low"] < slow["auc_loc_total"] < slow["auc_loc_total_high"]
    assert slow["auc_loc_total_decided_yes"] == pytest.approx(scores["slow"][::2].mean())
    assert slow["auc_loc_total_pooled"] == pytest.approx(scores["slow"].mean())
    assert slow["auc_loc_partial_pooled"] == pytest.approx(scores["slow"].mean() / 2)
    assert slow["flip_rate"] == 0.25
    assert slow["seconds"] == 3.0 * (1 + (N - 1) / 2)
    assert (proposed["time_ratio"], slow["time_ratio"]) == (1.0, 3.0)
    assert slow["difference"] == pytest.approx((scores["slow"] - scores["proposed"]).mean())
    assert proposed["note"] == ""


def test_a_regularised_row_is_compared_with_the_regularised_reference_and_timed_against_the_plain_one():
    scores = {
        Variant("proposed", False): np.full(N, 0.3),
        Variant("proposed", True): np.full(N, 0.6),
        Variant("other", False): np.full(N, 0.4),
        Variant("other", True): np.full(N, 0.5),
    }
    rows = rows_of(scores)
    for key, row in rows.items():
        row["seconds"] *= 10 if key.variant.regularised else 1
    by = {(s["method"], s["regularised"]): s for s in summarise(rows, list(scores), ITEMS, SETTINGS, {})["methods"]}
    assert by["other", False]["difference"] == pytest.approx(0.1)
    assert by["other", True]["difference"] == pytest.approx(-0.1)
    assert by["other", True]["time_ratio"] == by["proposed", True]["time_ratio"] == pytest.approx(10)


def test_p_values_are_corrected_for_all_comparisons_of_the_table_together():
    scores = {"proposed": 0.5 + noise(0)} | {f"m{i}": 0.49 + noise(i + 1) for i in range(4)}
    methods = summary_of(scores)["methods"]
    raw = [summary["p_value"] for summary in methods[1:]]
    expected = [min(1.0, max(p * (4 - sorted(raw).index(p)) for p in raw if p <= own)) for own in raw]
    assert [summary["p_value_holm"] for summary in methods[1:]] == pytest.approx(expected)
    assert math.isnan(methods[0]["p_value_holm"])
    groups = (scores["m0"] - scores["proposed"]).reshape(-1, 2).mean(axis=1)
    assert raw[0] == pytest.approx(stats.ttest_1samp(groups, 0).pvalue, abs=0.03)


def test_the_verdict_says_that_the_reference_leads_when_it_does():
    results = summary_of({"proposed": 0.5 + noise(0), "a": 0.3 + noise(1), "b": 0.2 + noise(2)})
    said = results["verdict"]
    assert "and leads the 2 other methods, all of them clearly." in said[1]
    assert said[2].startswith("Without regularisation, clearly below proposed: a -0.1")
    assert "highest mean of all rows is that of proposed, 0." in "".join(said)


def test_the_verdict_says_where_the_reference_does_not_lead():
    better, equal = 0.6 + noise(1), 0.5 + noise(0) + 0.001 * np.resize([1, 1, -1, -1], N)
    said = "\n".join(summary_of({"proposed": 0.5 + noise(0), "better": better, "equal": equal})["verdict"])
    assert "and does not lead: " in said
    assert "clearly above proposed: better +0." in said
    assert "not clearly different from proposed (p of 0.05 or more): equal" in said


def test_the_verdict_tells_faster_methods_from_slower_ones():
    scores = dict.fromkeys(("proposed", "quick", "alike", "slow"), 0.5 + noise(0))
    said = summary_of(scores, seconds={"quick": 0.5, "alike": 1.01, "slow": 20.0})["verdict"][-1]
    assert said.endswith("; faster: quick (x 0.5); about as fast: alike (x 1.01); slower: slow (x 20).")


def test_the_ceiling_is_no_competitor_and_the_references_share_of_it_is_told():
    names = {"proposed": 0.5 + noise(0), "a": 0.3 + noise(1), "b": 0.2 + noise(2)}
    scores = {Variant(name, False): values for name, values in names.items()}
    upper = {Variant("upper", r): 0.8 + noise(3) for r in (False, True)} | {Variant("proposed", True): 0.6 + noise(4)}
    variants = {**scores, **upper}
    settings = {**SETTINGS, "ceiling": "upper"}
    results = summarise(rows_of(variants, seconds={"upper": 0.1}), list(variants), ITEMS, settings, {})
    alone = summarise(rows_of(scores), list(scores), ITEMS, settings, {})
    by = {(row["method"], row["regularised"]): row for row in results["methods"]}
    assert by["upper", False]["auc_loc_total"] == pytest.approx(variants[Variant("upper", False)].mean())
    assert math.isnan(by["upper", False]["difference"])
    assert math.isnan(by["upper", False]["p_value_holm"])
    for name in ("a", "b"):  # corrected for the same number of comparisons as without a ceiling
        wanted = next(row for row in alone["methods"] if row["method"] == name)["p_value_holm"]
        assert by[name, False]["p_value_holm"] == wanted
    said = results["verdict"]
    assert "and leads the 2 other methods" in said[1]
    assert any(sentence.startswith("The highest mean of all rows is that of proposed + reg") for sentence in said)
    assert not any("faster: upper" in sentence for sentence in said)
    plain, regularised = results["ceiling"]["shares"]
    assert plain["share"] == pytest.approx(names["proposed"].mean() / variants[Variant("upper", False)].mean())
    assert plain["share_low"] < plain["share"] < plain["share_high"] < regularised["share_low"]
    assert plain["n_masked"] == N
    (sentence,) = (sentence for sentence in said if sentence.startswith("upper, trained on the ground truth itself"))
    assert "no explanation: proposed reaches 6" in sentence
    assert "of it with regularisation, where it is 0." in sentence
    assert alone["ceiling"] is None


def test_few_groups_are_pointed_out():
    assert summary_of({"proposed": 0.5 + noise(0)})["verdict"][0].startswith("Few groups have a ground truth (12)")


def test_what_does_not_exist_is_an_empty_cell_and_null(tmp_path):
    rows = rows_of({Variant("proposed", False): np.full(N, 0.5)})
    for row in rows.values():
        row["scores"] = {"auc_loc_total": None, "auc_loc_partial": None, "deletion": 0.25}
        row["curve"] = None
    variants = [Variant("proposed", False), Variant("none", False)]
    results = summarise(rows, variants, ITEMS, SETTINGS, {variants[1]: "no weights"})
    write_results(results, tmp_path)
    with (tmp_path / "table.csv").open() as file:
        proposed, none = csv.DictReader(file)
    assert (proposed["auc_loc_total"], proposed["deletion"], proposed["n_masked"]) == ("", "0.25", "0")
    assert (none["deletion"], none["n_images"], none["error"]) == ("", "0", "no weights")
    read = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    assert read["methods"][0]["auc_loc_total"] is None
    assert read["methods"][0]["curve"] is None
    assert "none did not run: no weights." in results["verdict"]


def test_a_reference_that_did_not_run_leaves_the_others_their_scores():
    scores = {Variant("other", False): 0.5 + noise(0)}
    variants = [Variant("proposed", False), Variant("other", False)]
    results = summarise(rows_of(scores), variants, ITEMS, SETTINGS, {variants[0]: "no weights"})
    other = results["methods"][1]
    assert other["auc_loc_total"] == pytest.approx(scores[variants[1]].mean())
    assert math.isnan(other["difference"])
    assert math.isnan(other["time_ratio"])
    assert results["verdict"][-1] == "proposed did not run: no weights."


def test_nothing_measured_is_said_in_words():
    variants = [Variant("proposed", False)]
    results = summarise({}, variants, ITEMS, SETTINGS, {variants[0]: "it broke"})
    assert verdict(results["methods"], "proposed") == ["proposed did not run: it broke."]
