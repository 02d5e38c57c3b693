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

"""Tests of the report: it stands alone, shows the numbers, and takes any text for what it is."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from monai_advexplain.benchmark.records import Variant
from monai_advexplain.benchmark.report import write_report
from monai_advexplain.benchmark.results import summarise
from tests.benchmark.cases import ITEMS, results_of

EVIL = "<script>alert('&')</script>"


class Page(HTMLParser):
    """Tags and addresses of a page; every tag is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self._open = [], [], []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag not in ("meta", "img", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag


@pytest.fixture
def gallery(tmp_path):
    """Pictures of two images with maps of one method."""
    for index in (0, 5):
        folder = tmp_path / "gallery" / str(index)
        folder.mkdir(parents=True)
        image = np.random.default_rng(index).random((16, 12))
        mask = np.zeros((16, 12))
        mask[2:6, 2:6] = 1
        for name, array in (("image", image), ("mask", mask), ("map proposed", mask), ("map proposed + reg", image)):
            np.save(folder / f"{name}.npy", array.astype(np.float32))
    return tmp_path / "gallery"


def page_of(results, gallery, tmp_path) -> str:
    write_report(results, gallery, tmp_path / "report.html")
    return (tmp_path / "report.html").read_text()


def test_the_ceiling_is_marked_and_is_never_the_best_of_a_column(tmp_path):
    write_report(results_of(ceiling="proposed", reference="gradient"), tmp_path / "none", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    rows = re.findall(r'<tr class="ceiling"><td>(.*?)</tr>', page)
    assert rows[0].startswith("proposed (ceiling)</td>")
    assert not any("<b>" in row for row in rows)
    assert re.search(r'<tr class="reference"><td>gradient \+ reg</td><td><b>0\.40', page)  # the best of the others


def test_the_page_is_whole_and_needs_nothing_beside_it(gallery, tmp_path):
    text = page_of(results_of(), gallery, tmp_path)
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert not re.search(r"https?:|<script|<link|@import|url\(", text)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["report.html"]


def test_the_page_states_data_groups_seed_command_and_date(gallery, tmp_path):
    text = page_of(results_of(data="chest set", split="test"), gallery, tmp_path)
    for fact in ("chest set", "24 from 12 groups", "<dt>seed</dt><dd>0</dd>", "monai_advexplain compare", "2020-01-01"):
        assert fact in text
    assert "its own network" in text


def test_the_table_shows_every_row_with_its_interval_and_the_best_in_bold(gallery, tmp_path):
    results = results_of()
    text = page_of(results, gallery, tmp_path)
    for summary in results["methods"]:
        low, high = summary["auc_loc_total_low"], summary["auc_loc_total_high"]
        assert f'<span class="interval">[{low:.3f}, {high:.3f}]</span>' in text
    best = next(s for s in results["methods"] if s["method"] == "proposed" and s["regularised"])
    assert f"<b>{best['auc_loc_total']:.3f}</b>" in text
    assert text.count(f"<b>{best['auc_loc_total']:.3f}</b>") == 2  # the mean, and as high the pooled area
    assert all(f"<li>{sentence}</li>" in text for sentence in results["verdict"] if "<" not in sentence)


def test_any_text_is_shown_and_never_run(gallery, tmp_path):
    results = results_of(
        {"broken": f"ValueError: {EVIL}"}, title=EVIL, data=EVIL, command=EVIL, notes={"proposed": EVIL}
    )
    results["images"][0]["id"] = EVIL
    text = page_of(results, gallery, tmp_path)
    assert "script" not in Page(text).tags
    assert EVIL not in text
    assert text.count("&lt;script&gt;alert") >= 5


def test_what_did_not_run_is_a_row_with_its_reason(gallery, tmp_path):
    text = page_of(results_of({"bbmp": "needs weights"}), gallery, tmp_path)
    assert re.search(r'<td>bbmp</td><td class="reason" colspan="\d+">not run: needs weights</td>', text)


def test_the_gallery_shows_images_by_methods_with_the_ground_truth_outlined(gallery, tmp_path):
    text = page_of(results_of(), gallery, tmp_path)
    encoded = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    assert len(encoded) == 2 * 3  # ground truth, proposed, proposed + reg
    truth = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded[0]))).convert("RGB")).astype(int)
    assert truth.shape[0] / truth.shape[1] == pytest.approx(12 / 16, rel=0.01)  # axis 0 is drawn to the right
    cyan = (truth[..., 2] - truth[..., 0]) > 120
    rows, columns = np.nonzero(cyan)
    ends = np.array([columns.min(), columns.max()]) / truth.shape[1] * 16
    assert ends == pytest.approx([2, 6], abs=0.3)
    assert np.array([rows.min(), rows.max()]) / truth.shape[0] * 12 == pytest.approx([2, 6], abs=0.3)


def test_a_page_without_any_measurement_is_still_a_page(tmp_path):
    settings = results_of()["settings"]
    variants = [Variant("proposed", False)]
    results = summarise({}, variants, ITEMS, settings, {variants[0]: "it broke"})
    assert "proposed did not run: it broke." in page_of(results, tmp_path / "none", tmp_path)
