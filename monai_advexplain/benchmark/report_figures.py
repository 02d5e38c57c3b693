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

"""Figures of the report: curves, bars and times of the methods."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_advexplain.benchmark.records import KEY_SCORE
from monai_advexplain.benchmark.report_tables import Summary, number
from monai_advexplain.transforms.drawing import blank_figure


def _encoded(figure: Figure) -> str:
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "monai_advexplain"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def plot(figure: Figure, description: str) -> str:
    """A figure as an image inside the page."""
    return f'<img class="plot" alt="{html.escape(description)}" src="{_encoded(figure)}">'


def _styles(methods: Sequence[Summary], reference: str) -> dict[str, dict[str, Any]]:
    """Colour and line of each method; the reference stands out."""
    palette = colormaps["tab10"].colors  # type: ignore[attr-defined]
    others = [name for name in dict.fromkeys(summary["method"] for summary in methods) if name != reference]
    styles: dict[str, dict[str, Any]] = {
        name: {"color": palette[i % 10], "linestyle": ("-", "--", ":")[i // 10 % 3], "linewidth": 1.2}
        for i, name in enumerate(others)
    }
    return styles | {reference: {"color": "black", "linestyle": "-", "linewidth": 2.6}}


def tidy(axes: Axes) -> None:
    """No frame at the top and right, a light grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.tick_params(labelsize=9)


def curves_figure(methods: Sequence[Summary], reference: str) -> Figure:
    """Precision over recall, mean over images at each threshold, plain beside regularised.

    Args:
        methods: summaries with ``curve``.
        reference: name of the method to draw strongly.

    Returns:
        Figure.
    """
    drawn = [summary for summary in methods if summary["curve"]]
    panels = sorted({summary["regularised"] for summary in drawn})
    styles = _styles(methods, reference)
    figure = blank_figure(11.4, 4.6)
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    top = min(1.0, 1.1 * max(max(summary["curve"][0]) for summary in drawn))
    handles: dict[str, Any] = {}
    for axes, regularised in zip(grid, panels, strict=True):
        for summary in drawn:
            if summary["regularised"] == regularised:
                precision, recall, _ = summary["curve"]
                name = summary["method"]
                (handles[name],) = axes.plot(recall, precision, zorder=3 if name == reference else 2, **styles[name])
        axes.set_title("with regularisation" if regularised else "without regularisation", fontsize=10)
        axes.set(xlim=(0, 1), ylim=(0, top), xlabel="recall")
        tidy(axes)
    grid[0].set_ylabel("precision")
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", fontsize=8.5, frameon=False)
    return figure


def bars_figure(methods: Sequence[Summary], reference: str) -> Figure:
    """AUC_Loc total of each method with its 95 % interval, plain and regularised side by side, best first.

    Args:
        methods: summaries.
        reference: name of the method to mark.

    Returns:
        Figure.
    """
    drawn = [summary for summary in methods if not math.isnan(number(summary[KEY_SCORE]))]
    top: dict[str, float] = {}
    for summary in drawn:
        top[summary["method"]] = max(summary[KEY_SCORE], top.get(summary["method"], -1.0))
    names = sorted(top, key=lambda name: -top[name])
    figure = blank_figure(11.4, 1.0 + 0.36 * len(names))
    axes = figure.subplots()
    both = len({summary["regularised"] for summary in drawn}) == 2
    for regularised, colour, shift in ((False, "#9fc1e0", 0.0), (True, "#1f5f99", 0.38 if both else 0.0)):
        rows = [summary for summary in drawn if summary["regularised"] == regularised]
        if not rows:
            continue
        y = [names.index(summary["method"]) + shift for summary in rows]
        means = [summary[KEY_SCORE] for summary in rows]
        what = "with regularisation" if regularised else "without regularisation"
        axes.barh(y, means, height=0.36 if both else 0.7, color=colour, label=what)
        ends = [(number(s[f"{KEY_SCORE}_low"]), number(s[f"{KEY_SCORE}_high"])) for s in rows]
        errors = [[max(0.0, m - low) for m, (low, _) in zip(means, ends, strict=True)]]
        errors += [[max(0.0, high - m) for m, (_, high) in zip(means, ends, strict=True)]]
        axes.errorbar(means, y, xerr=errors, fmt="none", ecolor="#1d2733", elinewidth=1, capsize=2.5)
    axes.set_yticks([i + (0.19 if both else 0.0) for i in range(len(names))], names)
    for text in axes.get_yticklabels():
        text.set_fontweight("bold" if text.get_text() == reference else "normal")
    axes.invert_yaxis()
    axes.set_xlabel("AUC_Loc total, mean over images, 95 % interval over groups")
    tidy(axes)
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower right", fontsize=9, frameon=False)
    return figure


def _place_labels(axes: Axes, points: Sequence[tuple[float, float]], names: Sequence[str], bold: str) -> None:
    """Write names beside their points, each in the first place around its point that no name or point takes."""
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    pixels = axes.transData.transform(points)
    unit = axes.figure.dpi / 72.0
    taken = [(x - 4 * unit, y - 4 * unit, x + 4 * unit, y + 4 * unit) for x, y in pixels]
    frame = axes.bbox
    for (x, y), point, name in zip(pixels, points, names, strict=True):
        width, height = 5.3 * unit * len(name), 10 * unit
        places = [
            (dx, dy)
            for reach in (1, 2, 3, 4)
            for dx, dy in (
                (7 * unit, -height / 2),
                (-width - 7 * unit, -height / 2),
                (-width / 2, (2 + 6 * reach) * unit),
                (-width / 2, -height - (2 + 6 * reach) * unit),
                (7 * unit, 9 * reach * unit),
                (7 * unit, -9 * reach * unit - height / 2),
                (-width - 7 * unit, 9 * reach * unit),
                (-width - 7 * unit, -9 * reach * unit - height / 2),
            )
        ]
        boxes = [(x + dx, y + dy, x + dx + width, y + dy + height) for dx, dy in places]
        free = [
            box
            for box in boxes
            if box[0] >= frame.x0
            and box[2] <= frame.x1
            and box[1] >= frame.y0
            and box[3] <= frame.y1
            and not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken)
        ]
        box = (free or boxes)[0]
        taken.append(box)
        axes.annotate(
            name,
            point,
            ((box[0] - x) / unit, (box[1] - y) / unit),
            textcoords="offset points",
            fontsize=8.5,
            fontweight="bold" if name == bold else "normal",
            va="bottom",
            annotation_clip=False,
        )


def time_figure(methods: Sequence[Summary], reference: str) -> Figure:
    """AUC_Loc total over the seconds for an image, on a logarithmic axis; a line joins plain and regularised.

    Args:
        methods: summaries.
        reference: name of the method to draw strongly.

    Returns:
        Figure.
    """
    drawn = [s for s in methods if not math.isnan(number(s[KEY_SCORE])) and number(s["seconds"]) > 0]
    styles = _styles(methods, reference)
    figure = blank_figure(11.4, 5.2)
    axes = figure.subplots()
    points: list[tuple[float, float]] = []
    names: list[str] = []
    for name in dict.fromkeys(summary["method"] for summary in drawn):
        rows = [summary for summary in drawn if summary["method"] == name]
        colour = styles[name]["color"]
        axes.plot([s["seconds"] for s in rows], [s[KEY_SCORE] for s in rows], color=colour, linewidth=0.9, alpha=0.6)
        for summary in rows:
            fill = colour if summary["regularised"] else "white"
            axes.plot(summary["seconds"], summary[KEY_SCORE], "o", color=colour, markerfacecolor=fill, markersize=6.5)
            points.append((summary["seconds"], summary[KEY_SCORE]))
            names.append(name)
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.12)
    axes.set(xlabel="seconds for an image (median, batch size 1)", ylabel="AUC_Loc total")
    tidy(axes)
    _place_labels(axes, points, names, reference)
    return figure
