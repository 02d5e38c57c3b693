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

"""Tests of what the measurement of realism says."""

from __future__ import annotations

import csv
import math

import pytest

from monai_advexplain.benchmark.realism_results import columns_of, realism_verdict
from monai_advexplain.benchmark.results_files import write_results
from tests.benchmark.cases import realism_of, results_of


def test_the_columns_of_a_method_are_its_distances_to_either_decision():
    found = columns_of(realism_of(), "gradient")
    assert found == {"fd_to_no": 3.0, "js_to_no": 0.3, "fd_to_yes": 6.0, "js_to_yes": 0.6}
    assert all(math.isnan(value) for value in columns_of(realism_of(), "random").values())
    assert all(math.isnan(value) for value in columns_of(None, "gradient").values())


def test_the_verdict_ranks_the_methods_next_to_the_controls():
    no, yes = realism_verdict(realism_of(), latent_size=4)
    assert no.endswith("proposed 2, gradient 3; controls: real against real 1, unchanged images 5.")
    assert "towards “no”" in no
    assert yes.endswith("proposed 4, gradient 6; controls: real against real 2, unchanged images 10.")
    assert "images only for" not in no


def test_the_verdict_says_that_images_are_few_or_missing():
    assert ", 10 images only for 32 numbers of a code" in realism_verdict(realism_of(), latent_size=32)[0]
    realism = realism_of()
    realism["rows"] = [{"row": "real against real", "towards": "no", "error": "too few groups"}]
    assert realism_verdict(realism, 4) == [
        "Realism towards “no” is not measured: too few groups.",
        "Realism towards “yes” is not measured: no images.",
    ]


def test_the_tables_hold_every_row_and_the_plain_methods_columns(tmp_path):
    results = results_of(realism=realism_of())
    write_results(results, tmp_path)
    with (tmp_path / "realism.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["towards"], row["row"]) for row in rows] == [
        (towards, row)
        for towards in ("no", "yes")
        for row in ("real against real", "unchanged images", "proposed", "gradient")
    ]
    assert [row["fd"] for row in rows] == ["1", "5", "2", "3", "2", "10", "4", "6"]
    assert [row["flipped"] for row in rows][:3] == ["", "", "0.75"]
    with (tmp_path / "table.csv").open() as file:
        table = {(row["method"], row["regularised"]): row for row in csv.DictReader(file)}
    assert table["proposed", "false"]["fd_to_yes"] == "4"
    assert table["proposed", "true"]["fd_to_yes"] == table["random", "false"]["fd_to_yes"] == ""
    assert sum("Realism of adversaries" in sentence for sentence in results["verdict"]) == 2


def test_a_table_of_a_run_that_measured_realism_does_not_outlive_it(tmp_path):
    write_results(results_of(realism=realism_of()), tmp_path)
    results = results_of()
    write_results(results, tmp_path)
    assert not (tmp_path / "realism.csv").exists()
    assert results["realism"] is None
    assert not any("Realism" in sentence for sentence in results["verdict"])


def test_both_distances_are_columns_even_without_a_measurement(tmp_path):
    write_results(results_of(), tmp_path)
    with (tmp_path / "table.csv").open() as file:
        row = next(csv.DictReader(file))
    assert (row["fd_to_no"], row["js_to_yes"]) == ("", "")
    assert float(row["auc_loc_total"]) == pytest.approx(0.5, abs=0.05)
