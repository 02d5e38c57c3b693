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

"""The report of a comparison: one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_advexplain.benchmark.records import write_atomically
from monai_advexplain.benchmark.results import KEY_SCORE, label, short
from monai_advexplain.metrics.auc_loc import PARTIAL_MAX_SHARE
from monai_advexplain.transforms.overlay import (
    _bare,
    _draw_grey,
    _draw_outline,
    _draw_overlay,
    _figure,
    _heat_scale,
    _window,
)

Summary = Mapping[str, Any]

_STYLE = """
body { font: 14px/1.45 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; color: #1d2733;
       background: #fff; max-width: 1160px; margin: 24px auto; padding: 0 20px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 34px 0 8px; }
p, li { max-width: 860px; } .quiet { color: #5b6877; font-size: 12.5px; }
code { font: 12px ui-monospace, Menlo, Consolas, monospace; background: #f2f4f7; padding: 1px 4px; border-radius: 3px;
       overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 10px 0; }
dt { color: #5b6877; } dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums; }
th { text-align: right; vertical-align: bottom; font-weight: 600; border-bottom: 1.5px solid #1d2733;
     padding: 3px 6px; }
td { text-align: right; padding: 3px 6px; border-bottom: 1px solid #e6e9ee; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.interval { color: #5b6877; font-size: 11px; }
tr.reference td { background: #eef4fb; } td.reason { text-align: left; white-space: normal; color: #8a4b00; }
img.plot { width: 100%; height: auto; display: block; }
table.gallery th, table.gallery td { border: 0; padding: 1px 2px; text-align: center; }
table.gallery th:first-child { text-align: right; white-space: nowrap; font-size: 11.5px; padding-right: 8px;
                               position: sticky; left: 0; background: #fff; vertical-align: middle; }
table.gallery img { width: 118px; height: auto; display: block; }
details summary { cursor: pointer; } pre { font-size: 11px; background: #f6f7f9; padding: 10px; overflow-x: auto; }
"""


class Column(NamedTuple):
    """A column of the table: what it shows of a summary, and which values are good."""

    key: str
    heading: str
    meaning: str
    better: Callable[[Sequence[float]], float] | None = max
    digits: int = 3
    interval: bool = False
    signed: bool = False


_SHARE = f"{PARTIAL_MAX_SHARE:.0%}"
LOCALISATION = (
    Column(
        KEY_SCORE, "AUC_Loc total", "area under precision over recall of the pixels, mean over images", interval=True
    ),
    Column("auc_loc_partial", "partial", f"its part up to {_SHARE} of the image", interval=True),
    Column(
        "difference",
        "to reference",
        "paired difference of AUC_Loc total to the reference with the same regularisation",
        None,
        interval=True,
        signed=True,
    ),
    Column(
        "p_value_holm",
        "p (Holm)",
        "two-sided p-value of that difference (signs of groups at random), Holm-corrected",
        None,
    ),
    Column(f"{KEY_SCORE}_pooled", "pooled", "AUC_Loc of the curve averaged over images"),
    Column(f"{KEY_SCORE}_decided_yes", "on “yes”", "mean AUC_Loc of the images that the classifier decides “yes”"),
    Column("seconds", "s / image", "median seconds for an image, one at a time, after a warm-up", min, 4),
    Column("time_ratio", "x reference", "median ratio to the reference's plain time on the same image", min, 2),
)
SPEED = (
    Column(
        "speed_ratio",
        "x reference",
        "median ratio to the reference of the same turn, [lowest, highest turn]; methods in turns, in random order",
        min,
        2,
        interval=True,
    ),
)
FURTHER = (
    Column("iou_at_mask_area", "IoU at area", "overlap of the mask and as many of the most important pixels"),
    Column("iou_best", "best IoU", "best overlap over all percentiles, chosen for each image"),
    Column("ncc", "NCC", "correlation of map and mask"),
    Column("pointing", "pointing", "share of images whose most important pixel lies in the mask"),
    Column("relevance_mass", "mass", "share of the map's mass in the mask"),
    Column(
        "deletion", "deletion", "area under the decision's probability as important pixels are blurred, low = good", min
    ),
    Column("insertion", "insertion", "area as important pixels are revealed, high = good"),
)
GENERATED = (
    Column("flip_rate", "flip rate", "share of the images whose adversarial image is decided the opposite"),
    Column("preservation_rate", "preservation", "share of the images whose similar image is decided alike"),
    Column("l1_similar", "L1 similar", "mean absolute change from the image to the similar image", min, 4),
    Column("ssim_similar", "SSIM similar", "structural similarity of image and similar image"),
    Column(
        "l1_adversarial", "L1 adversarial", "mean absolute change from the similar to the adversarial image", None, 4
    ),
    Column("ssim_adversarial", "SSIM adversarial", "structural similarity of the two generated images", None),
    Column("sparsity", "changed share", "share of the pixels that differ between the two generated images", None),
)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _text(value: float, column: Column) -> str:
    if column.key == "p_value_holm":
        return f"{value:.2g}"
    if column.key in ("seconds", "time_ratio", "speed_ratio"):
        return short(value)
    return f"{value:{'+' if column.signed else ''}.{column.digits}f}"


def _cell(summary: Summary, column: Column, best: float) -> str:
    value = _number(summary.get(column.key))
    if math.isnan(value):
        return "<td></td>"
    text = _text(value, column)
    if value == best:
        text = f"<b>{text}</b>"
    low, high = (_number(summary.get(f"{column.key}_{end}")) for end in ("low", "high"))
    if column.interval and not math.isnan(low):
        text += f' <span class="interval">[{_text(low, column)}, {_text(high, column)}]</span>'
    return f"<td>{text}</td>"


def _filled(columns: Sequence[Column], methods: Sequence[Summary]) -> list[Column]:
    """The columns that hold a number."""
    return [c for c in columns if any(not math.isnan(_number(summary.get(c.key))) for summary in methods)]


def _table(methods: Sequence[Summary], columns: Sequence[Column], reference: str) -> str:
    best = {}
    for column in columns:
        values = [_number(summary.get(column.key)) for summary in methods]
        values = [value for value in values if not math.isnan(value)]
        best[column.key] = column.better(values) if column.better and len(set(values)) > 1 else math.nan
    head = "".join(f'<th title="{html.escape(c.meaning)}">{html.escape(c.heading)}</th>' for c in columns)
    lines = [f"<tr><th>method</th>{head}</tr>"]
    for summary in methods:
        kind = ' class="reference"' if summary["method"] == reference else ""
        name = html.escape(label(summary))
        if summary["n_images"] or _filled(columns, [summary]):
            cells = "".join(_cell(summary, column, best[column.key]) for column in columns)
        else:
            cells = f'<td class="reason" colspan="{len(columns)}">not run: {html.escape(summary["error"])}</td>'
        lines.append(f"<tr{kind}><td>{name}</td>{cells}</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _legend(columns: Sequence[Column]) -> str:
    return (
        '<p class="quiet">'
        + "; ".join(f"<b>{html.escape(c.heading)}</b>: {html.escape(c.meaning)}" for c in columns)
        + ". Bold: best of the column.</p>"
    )


def _encoded(figure: Figure) -> str:
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "monai_advexplain"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def _plot(figure: Figure, description: str) -> str:
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


def _tidy(axes: Axes) -> None:
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
    figure = _figure(11.4, 4.6)
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
        _tidy(axes)
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
    drawn = [summary for summary in methods if not math.isnan(_number(summary[KEY_SCORE]))]
    top: dict[str, float] = {}
    for summary in drawn:
        top[summary["method"]] = max(summary[KEY_SCORE], top.get(summary["method"], -1.0))
    names = sorted(top, key=lambda name: -top[name])
    figure = _figure(11.4, 1.0 + 0.36 * len(names))
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
        ends = [(_number(s[f"{KEY_SCORE}_low"]), _number(s[f"{KEY_SCORE}_high"])) for s in rows]
        errors = [[max(0.0, m - low) for m, (low, _) in zip(means, ends, strict=True)]]
        errors += [[max(0.0, high - m) for m, (_, high) in zip(means, ends, strict=True)]]
        axes.errorbar(means, y, xerr=errors, fmt="none", ecolor="#1d2733", elinewidth=1, capsize=2.5)
    axes.set_yticks([i + (0.19 if both else 0.0) for i in range(len(names))], names)
    for text in axes.get_yticklabels():
        text.set_fontweight("bold" if text.get_text() == reference else "normal")
    axes.invert_yaxis()
    axes.set_xlabel("AUC_Loc total, mean over images, 95 % interval over groups")
    _tidy(axes)
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
    drawn = [s for s in methods if not math.isnan(_number(s[KEY_SCORE])) and _number(s["seconds"]) > 0]
    styles = _styles(methods, reference)
    figure = _figure(11.4, 5.2)
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
    _tidy(axes)
    _place_labels(axes, points, names, reference)
    return figure


def _picture(image: np.ndarray, mask: np.ndarray | None, explanation: np.ndarray | None) -> str:
    """One cell of the gallery as an encoded JPEG: grey image, heat on top where there is a map, outlined mask."""
    width, height = image.shape
    figure = Figure(figsize=(1.6, 1.6 * height / width), dpi=150)
    axes = figure.add_axes((0, 0, 1, 1))
    _bare(axes)
    window = _window(image)
    if explanation is None:
        _draw_grey(axes, image, window)
    else:
        _draw_overlay(axes, image, explanation, window, _heat_scale(explanation))
    if mask is not None and mask.any():
        _draw_outline(axes, mask > 0.5)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpg", pil_kwargs={"quality": 88})
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _gallery(results: Mapping[str, Any], folder: Path) -> str:
    """A row for each variant, a column for each image of the gallery."""
    about = {row["image"]: row for row in results["images"] if not row["error"]}
    indices = [index for index in results["settings"]["gallery"] if (folder / f"{index}" / "image.npy").is_file()]
    if not indices:
        return ""
    images = {i: np.load(folder / f"{i}" / "image.npy").astype(np.float32) for i in indices}
    masks = {i: np.load(folder / f"{i}" / "mask.npy") for i in indices}

    def cells(pictures: Sequence[str]) -> str:
        return "".join(f'<td><img alt="" src="{picture}"></td>' if picture else "<td></td>" for picture in pictures)

    heads = "".join(
        f'<th>{html.escape(about[i]["id"][:18])}<br><span class="quiet">p = {about[i]["probability"]:.2f}</span></th>'
        for i in indices
    )
    lines = [f"<tr><th></th>{heads}</tr>"]
    lines.append(f"<tr><th>ground truth</th>{cells([_picture(images[i], masks[i], None) for i in indices])}</tr>")
    for summary in results["methods"]:
        files = [folder / f"{i}" / f"map {label(summary)}.npy" for i in indices]
        if any(file.is_file() for file in files):
            pictures = [
                _picture(images[i], masks[i], np.load(file)) if file.is_file() else ""
                for i, file in zip(indices, files, strict=True)
            ]
            lines.append(f"<tr><th>{html.escape(label(summary))}</th>{cells(pictures)}</tr>")
    return (
        "<h2>Gallery</h2><p>Images evenly spread over the list, not chosen. Ground truth is outlined; p is the "
        "classifier's probability of “yes”. Every map has its own colour scale, from 0 to its 99.5th percentile.</p>"
        f'<div class="wide"><table class="gallery">{"".join(lines)}</table></div>'
    )


def _facts(results: Mapping[str, Any]) -> str:
    settings = results["settings"]
    versions = ", ".join(f"{name} {version}" for name, version in settings.get("versions", {}).items())
    shape, classifier = settings["image_shape"], settings["classifier"]
    facts = {
        "data": settings.get("data"),
        "images": f"{results['n_images']} from {results['n_groups']} groups (patients); {results['n_masked']} with a "
        f"ground truth, which count for localisation",
        "size": f"{' x '.join(map(str, shape[1:]))}, {shape[0]} channel(s)",
        "split": settings.get("split"),
        "classifier": f"{classifier['class']} (weights {classifier['weights']})",
        "reference": settings["reference"],
        "seed": settings["seed"],
        "intervals": f"95 %, {settings['n_resamples']} bootstrap resamples of whole groups",
        "measured on": f"{settings['device']}, {settings['threads']} thread(s); {versions}",
        "date": settings["date"],
    }
    lines = [
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(fact))}</dd>"
        for name, fact in facts.items()
        if fact is not None
    ]
    lines.append(f"<dt>command</dt><dd><code>{html.escape(settings['command'])}</code></dd>")
    return f"<dl>{''.join(lines)}</dl>"


def _warning(results: Mapping[str, Any]) -> str:
    count = results["settings"].get("n_training_images", 0)
    if not count:
        return ""
    return f"<p><b>{count} of these images belong to groups that were trained on: scores are too good.</b></p>"


def _speed_heading(rows: Sequence[Mapping[str, Any]] | None) -> str:
    size = " x ".join(map(str, rows[0]["size"])) if rows else ""
    return f"Time at {size}, ResNet-50 classifier, one image at a time on the CPU"


def write_report(results: Mapping[str, Any], gallery: Path, path: Path) -> None:
    """Write the page.

    Args:
        results: as :func:`~monai_advexplain.benchmark.results.summarise` returns them.
        gallery: folder with a folder for each image of the gallery, with ``image.npy``, ``mask.npy`` (*spatial, 2D) and
            a ``map <label>.npy`` for each row of the table; what is missing is left out.
        path: the file to write.
    """
    methods, settings = results["methods"], results["settings"]
    reference = settings["reference"]
    title = html.escape(settings["title"])
    body = [
        f"<h1>{title}</h1>",
        _facts(results),
        _warning(results),
        "<h2>What the numbers say</h2>",
        f"<ul>{''.join(f'<li>{html.escape(sentence)}</li>' for sentence in results['verdict'])}</ul>",
    ]
    if settings["notes"]:
        notes = [f"<b>{html.escape(name)}</b>: {html.escape(note)}" for name, note in settings["notes"].items()]
        body.append(f"<p>{'; '.join(notes)}.</p>")
    for heading, every in (
        ("Localisation and time", LOCALISATION),
        (_speed_heading(settings.get("speed")), SPEED),
        ("Further metrics of the maps", FURTHER),
        ("Generated images", GENERATED),
    ):
        columns = _filled(every, methods)
        if columns:  # what did not run is said in the first table
            rows = [summary for summary in methods if every is LOCALISATION or _filled(columns, [summary])]
            body += [f"<h2>{heading}</h2>", _table(rows, columns, reference), _legend(columns)]
    if any(summary["curve"] for summary in methods):
        body += [
            "<h2>AUC_Loc with 95 % intervals</h2>",
            _plot(bars_figure(methods, reference), "bars of AUC_Loc total"),
            "<h2>Precision and recall</h2>",
            _plot(curves_figure(methods, reference), "precision over recall"),
            "<h2>Time and AUC_Loc</h2>",
            _plot(time_figure(methods, reference), "AUC_Loc over time"),
            '<p class="quiet">Hollow: without regularisation; filled: with it.</p>',
        ]
    body.append(_gallery(results, gallery))
    parameters = html.escape(json.dumps({k: settings[k] for k in ("average", "methods")}, indent=1))
    body.append(f"<h2>Parameters</h2><details><summary>of every method</summary><pre>{parameters}</pre></details>")
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body>\n'
        + "\n".join(filter(None, body))
        + "\n</body></html>\n"
    )
    write_atomically(path, page)
