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

"""Speed: every method in turns with the reference, on a classifier of another size than the bundle's."""

from __future__ import annotations

import pytest
import torch

from monai_advexplain.__main__ import main
from monai_advexplain.benchmark.speed import PAPER, bundle_methods, measure_backends, measure_speed, speed_table
from tests.bundles.bundle_runs import BUNDLE
from tests.small import classifier

FAST = ("proposed", "naive", "gradient", "gradcam", "mask_generator")


def test_the_methods_of_the_bundle_explain_another_classifier_without_weights():
    methods = bundle_methods(BUNDLE, classifier(), PAPER[:4])
    for explainer in methods.values():
        assert explainer(torch.rand(1, 1, 64, 64)).shape == (1, 1, 64, 64)


def test_each_method_is_compared_with_the_reference_of_its_turn():
    rows = {row["method"]: row for row in measure_speed(BUNDLE, size=64, methods=FAST, repeats=3)}
    assert list(rows) == list(FAST)
    assert rows["proposed"]["ratio"] == rows["proposed"]["low"] == rows["proposed"]["high"] == 1.0
    assert all(0 < row["low"] <= row["ratio"] <= row["high"] and row["turns"] == 3 for row in rows.values())
    # Forward and backward of a ResNet-50 against one small trunk; the proposed network's gate is a ResNet-50 too.
    assert rows["gradient"]["ratio"] > rows["mask_generator"]["ratio"]


def test_a_slow_method_drops_out_after_its_time_but_has_one_turn():
    rows = measure_speed(BUNDLE, size=64, methods=FAST[:2], repeats=3, seconds_each=0.0)
    assert [row["turns"] for row in rows] == [1, 1]


def test_the_table_has_a_row_for_each_method():
    row = {"method": "proposed", "ms": 5.0, "ratio": 1.0, "low": 1.0, "high": 1.0, "turns": 2}
    table = speed_table([row, {**row, "method": "gradient", "ms": 50.0, "ratio": 10.0, "low": 9.0, "high": 11.0}])
    assert table.splitlines()[0].startswith("| method | ms | ratio to proposed |")
    assert table.splitlines()[-1] == "| gradient | 50.0 | 10.00 | 9.00 - 11.00 | 2 |"


def test_a_bundle_that_is_none_and_an_unknown_method_are_named(tmp_path, capsys):
    assert main(["speed", "--bundle", str(tmp_path)]) == 2
    assert f"{tmp_path} is not a bundle that can be compared" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"unknown method\(s\) lime; known: proposed"):
        measure_speed(BUNDLE, methods=("proposed", "lime"))


def test_backends_are_timed_on_the_bundles_network_without_weights():
    rows = measure_backends(BUNDLE, size=64, backends=("torch", "torchscript"), repeats=2)
    assert [(row["method"], row["turns"]) for row in rows] == [("torch", 2), ("torchscript", 2)]
    assert rows[0]["ratio"] == 1.0
