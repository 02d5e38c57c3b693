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

"""Realism in the report: a table for each decision, and where adversaries lie among real images."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from monai_advexplain.benchmark.realism import REAL, TOWARDS
from monai_advexplain.benchmark.report_figures import plot
from monai_advexplain.benchmark.report_tables import Column, filled, legend, table
from monai_advexplain.transforms.drawing import blank_figure

COLUMNS = (
    Column(
        "fd",
        "Frechet distance",
        "of the codes to those of real images with the decision, low = near, [5th, 95th percentile over the draws]",
        None,
        interval=True,
    ),
    Column(
        "js",
        "Jensen-Shannon",
        "distance of the histograms in the plane below, 0 to 1, low = near, [as before]",
        None,
        interval=True,
    ),
    Column("flipped", "flip rate", "share of the images whose adversarial image has the decision", None),
    Column("ssim", "SSIM", "structural similarity of adversarial image and image", None),
    Column("l1", "L1", "mean absolute difference of adversarial image and image", None, 4),
    Column("mse", "MSE", "mean squared difference of adversarial image and image", None, 5),
)
PANELS = 6  # methods in the figure at the most


def _summary(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the tables of methods take it."""
    return {"error": "", **row, "method": row["row"], "regularised": False, "n_images": 0}


def plane_figure(realism: Mapping[str, Any], reference: str) -> Figure:
    """Codes in the plane of the real images: those with the decision, those without it, and what became of them.

    Args:
        realism: as :meth:`~monai_advexplain.benchmark.realism.Realism.measure` returns it.
        reference: name of the method that is drawn first.

    Returns:
        Figure: a row for each decision, a column for each method, at most six.
    """
    methods = [name for name in realism["points"] if name != REAL]
    methods = sorted(methods, key=lambda name: name != reference)[:PANELS]
    real, yes = np.array(realism["points"][REAL]), np.array(realism["yes"], dtype=bool)
    width = 11.4 / max(3, len(methods))
    figure = blank_figure(11.4, 2 * width)
    grid = figure.subplots(2, max(3, len(methods)), squeeze=False, sharex=True, sharey=True)
    handles: dict[str, Any] = {}
    for line, towards in zip(grid, TOWARDS, strict=True):
        target = yes == (towards == "yes")
        for axes in line[len(methods) :]:
            axes.set_axis_off()
        for axes, name in zip(line, methods, strict=False):
            moved = np.array(realism["points"][name])
            for what, points, colour, size in (
                ("real, without the decision", real[~target], "#c9d1da", 9),
                ("real, with the decision", real[target], "#1f5f99", 9),
                ("adversarial", moved[~target], "#d62728", 6),
            ):
                handles[what] = axes.scatter(*points.T, s=size, color=colour, alpha=0.65, linewidths=0)
            axes.set_title(f"{name}, towards “{towards}”", fontsize=9, fontweight="bold" if name == reference else None)
            axes.set(xticks=[], yticks=[])
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=8.5, frameon=False)
    return figure


def realism_section(realism: Mapping[str, Any], reference: str) -> str:
    """The section of the page.

    Args:
        realism: as :meth:`~monai_advexplain.benchmark.realism.Realism.measure` returns it.
        reference: name of the method whose rows are marked.

    Returns:
        HTML.
    """
    body = [
        "<h2>Realism</h2>",
        f"<p>{realism['n_images']} images of the split, with and without a ground truth; the classifier decides "
        f"“yes” on {realism['n_yes']}, “no” on {realism['n_no']}. An adversarial image should look like a real image "
        "with the decision that it was made for. Both are encoded by a small discriminative VAE, trained on images of "
        "the training split; from the code its head tells the classifier's decision on "
        f"{realism['agreement']:.0%} of the images. All sets compared are of one size, and no group is on both sides; "
        "the first two rows are controls: as near as real images are, and as far as unchanged ones.</p>",
    ]
    for towards in TOWARDS:
        rows = [_summary(row) for row in realism["rows"] if row["towards"] == towards]
        columns = filled(COLUMNS, rows)
        each = max(row.get("n_each", 0) for row in rows)
        changed = max(row.get("n_changed", 0) for row in rows)
        body.append(f"<h3>Towards “{towards}”: {changed} images, {each} in a set</h3>")
        if columns:
            body.append(table(rows, columns, reference))
        else:
            reasons = dict.fromkeys(row["error"] for row in rows if row["error"])
            body.append(f"<p>Not measured: {html.escape('; '.join(reasons))}.</p>")
    body.append(legend(COLUMNS))
    if len(realism["points"]) > 1:
        body.append(plot(plane_figure(realism, reference), "codes of real and adversarial images"))
        body.append(
            '<p class="quiet">The first two principal components of the codes of the real images; adversaries have no '
            "say in them.</p>"
        )
    return "\n".join(body)
