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

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_advexplain.benchmark.records import write_atomically
from monai_advexplain.benchmark.report_figures import bars_figure, curves_figure, plot, time_figure
from monai_advexplain.benchmark.report_gallery import gallery_section
from monai_advexplain.benchmark.report_realism import realism_section
from monai_advexplain.benchmark.report_tables import (
    FURTHER,
    GENERATED,
    LOCALISATION,
    SPEED,
    filled,
    legend,
    table,
)

STYLE = """
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
tr.reference td { background: #eef4fb; } tr.ceiling td { color: #5b6877; font-style: italic; }
td.reason { text-align: left; white-space: normal; color: #8a4b00; }
img.plot { width: 100%; height: auto; display: block; }
table.gallery th, table.gallery td { border: 0; padding: 1px 2px; text-align: center; }
table.gallery th:first-child { text-align: right; white-space: nowrap; font-size: 11.5px; padding-right: 8px;
                               position: sticky; left: 0; background: #fff; vertical-align: middle; }
table.gallery img { width: 118px; height: auto; display: block; }
details summary { cursor: pointer; } pre { font-size: 11px; background: #f6f7f9; padding: 10px; overflow-x: auto; }
"""


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
        columns = filled(every, methods)
        if columns:  # what did not run is said in the first table
            rows = [summary for summary in methods if every is LOCALISATION or filled(columns, [summary])]
            body += [f"<h2>{heading}</h2>", table(rows, columns, reference, settings.get("ceiling")), legend(columns)]
    if results.get("realism"):
        body.append(realism_section(results["realism"], reference))
    if any(summary["curve"] for summary in methods):
        body += [
            "<h2>AUC_Loc with 95 % intervals</h2>",
            plot(bars_figure(methods, reference), "bars of AUC_Loc total"),
            "<h2>Precision and recall</h2>",
            plot(curves_figure(methods, reference), "precision over recall"),
            "<h2>Time and AUC_Loc</h2>",
            plot(time_figure(methods, reference), "AUC_Loc over time"),
            '<p class="quiet">Hollow: without regularisation; filled: with it.</p>',
        ]
    body.append(gallery_section(results, gallery))
    parameters = html.escape(json.dumps({k: settings[k] for k in ("average", "methods")}, indent=1))
    body.append(f"<h2>Parameters</h2><details><summary>of every method</summary><pre>{parameters}</pre></details>")
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(filter(None, body))
        + "\n</body></html>\n"
    )
    write_atomically(path, page)
