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

"""Tests of the metrics table."""

from __future__ import annotations

from monai_advexplain.benchmark import metrics_table

METRICS = {
    "n_images": 7,
    "classifier_auc": 0.91234,
    "flip_rate": 1.0,
    "preservation_rate": None,
    "auc_loc": {"proposed": {"total": 0.5, "partial": 0.25}, "random": {"total": None, "partial": None}},
    "ms_per_image": {"proposed": 3.14159},
}


def test_every_method_is_a_row_with_its_areas_and_its_time():
    rows = [line for line in metrics_table(METRICS).splitlines() if line.startswith("|")]
    assert rows[2] == "| proposed | 0.500 | 0.250 | 3.1 |"


def test_what_was_not_measured_is_shown_as_not_available():
    table = metrics_table(METRICS)
    assert "| random | n/a | n/a | n/a |" in table
    assert "preservation rate n/a" in table


def test_the_first_line_tells_about_the_classifier_and_the_generated_images():
    assert metrics_table(METRICS).startswith("7 test images. Classifier AUC 0.912, flip rate 1.000")
