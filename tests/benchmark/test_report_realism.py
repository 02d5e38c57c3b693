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

"""Tests of the report's section on realism."""

from __future__ import annotations

import re

import numpy as np

from monai_advexplain.benchmark.report import write_report
from monai_advexplain.benchmark.report_realism import plane_figure, realism_section
from tests.benchmark.cases import realism_of, results_of

EVIL = "<script>alert('&')</script>"


def test_the_section_has_a_row_for_each_control_and_method_of_either_decision():
    text = realism_section(realism_of(), "proposed")
    for towards, values in (("no", ("1", "5", "2", "3")), ("yes", ("2", "10", "4", "6"))):
        part = text[text.index(f"Towards “{towards}”: 24 images, 10 in a set") :]
        names = ("real against real", "unchanged images", "proposed", "gradient")
        for name, value in zip(names, values, strict=True):
            low = f"{0.5 * float(value):.3g}"
            found = re.search(rf"<td>{name}</td><td>(\S+) <span class=\"interval\">\[(\S+), ", part)
            assert found.groups() == (value, low)
    assert text.count('<tr class="reference"><td>proposed</td>') == 2
    assert "its head tells the classifier's decision on 80% of the images" in text
    assert "Bold" not in text  # the nearest row is a control


def test_the_figure_draws_changed_images_where_they_went_and_real_ones_where_they_are():
    realism = realism_of()
    figure = plane_figure(realism, "gradient")
    titled = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in titled] == [
        f"{name}, towards “{towards}”" for towards in ("no", "yes") for name in ("gradient", "proposed")
    ]
    without, with_decision, adversarial = (np.asarray(one.get_offsets()) for one in titled[0].collections)
    yes, points = np.array(realism["yes"]), {name: np.array(one) for name, one in realism["points"].items()}
    np.testing.assert_allclose(without, points["real against real"][yes])
    np.testing.assert_allclose(with_decision, points["real against real"][~yes])
    np.testing.assert_allclose(adversarial, points["gradient"][yes])


def test_what_was_not_measured_says_why_and_no_text_is_run():
    realism = realism_of()
    for row in realism["rows"]:
        if row["towards"] == "no":
            for name in ("fd", "js", "flipped", "ssim", "l1", "mse"):
                row.pop(name, None)
            row["error"] = EVIL
        elif row["row"] == "gradient":
            row.clear()
            row |= {"row": "gradient", "towards": "yes", "error": EVIL}
    realism["points"].pop("gradient")
    text = realism_section(realism, "proposed")
    assert "Not measured: &lt;script&gt;" in text
    assert re.search(r'<td>gradient</td><td class="reason" colspan="\d">not run: &lt;script&gt;', text)
    assert "<script>" not in text
    assert realism_section({**realism, "points": {"real against real": []}}, "proposed").count("<img") == 0


def test_the_page_has_the_section_only_when_realism_was_measured(tmp_path):
    for realism, count in ((realism_of(), 1), (None, 0)):
        write_report(results_of(realism=realism), tmp_path / "none", tmp_path / "report.html")
        assert (tmp_path / "report.html").read_text().count("<h2>Realism</h2>") == count
