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

"""Tests of the report's figures."""

from __future__ import annotations

from monai_advexplain.benchmark.report_figures import bars_figure, curves_figure, time_figure
from tests.benchmark.cases import results_of


def test_the_figures_draw_every_row_and_mark_the_reference():
    methods = results_of()["methods"]
    plain, regularised = curves_figure(methods, "proposed").axes
    assert len(plain.lines) == len(regularised.lines) == 3
    widths = {line.get_linewidth() for line in plain.lines}
    assert max(widths) == plain.lines[0].get_linewidth() > 2 * min(widths)

    (bars,) = bars_figure(methods, "proposed").axes
    assert sorted(patch.get_width() for patch in bars.patches) == sorted(s["auc_loc_total"] for s in methods)
    assert [text.get_text() for text in bars.get_yticklabels()] == ["proposed", "gradient", "random"]
    assert bars.get_yticklabels()[0].get_fontweight() == "bold"

    (scatter,) = time_figure(methods, "proposed").axes
    assert scatter.get_xscale() == "log"
    assert [text.get_text() for text in scatter.texts].count("gradient") == 2
