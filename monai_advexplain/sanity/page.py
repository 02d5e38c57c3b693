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

"""The page of the checks: the scorecard, what each check measured and its pictures, in one HTML file."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_advexplain.benchmark.records import write_atomically
from monai_advexplain.benchmark.report import STYLE
from monai_advexplain.sanity.pictures import picture_path

_WORD = {True: "holds", False: "does not hold", None: "says nothing"}
_COLOUR = {True: "#1d7a3a", False: "#b3261e", None: "#5b6877"}
_PICTURED = {
    "model_randomisation": "Maps of generators trained against the classifier and against its randomised copy.",
    "label_randomisation": "Maps of generators trained against the classifier and against one of random labels.",
    "seed_stability": "Maps of generators trained with different seeds.",
    "confounder": "Maps of generators trained against the clean and the confounded classifier; the marker's box is "
    "outlined.",
}


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.3f}"


def _interval(mean: float, low: float, high: float) -> str:
    ends = "" if math.isnan(low) else f' <span class="interval">[{low:.3f}, {high:.3f}]</span>'
    return f"{_number(mean)}{ends}"


def _passed(passed: bool | None) -> str:
    return f'<b style="color:{_COLOUR[passed]}">{_WORD[passed]}</b>'


def _scores(scores: Sequence[Mapping[str, Any]]) -> str:
    lines = ["<tr><th>score</th><th>value</th><th>limit</th><th></th><th></th></tr>"]
    for score in scores:
        lines.append(
            f'<tr class="reference"><td><b>{html.escape(score["name"])}</b></td><td><b>{_number(score["value"])}</b>'
            f"</td><td></td><td>{_passed(score['passed'])}</td>"
            f'<td class="reason">{html.escape(score["meaning"])}</td></tr>'
        )
        for part in score["parts"]:
            limit = f"{'≥' if part['at_least'] else '≤'} {_number(part['limit'])}"
            meaning = part["meaning"] + (f". {part['doubt']}" if part["doubt"] else "")
            lines.append(
                f"<tr><td>&emsp;{html.escape(part['name'])}</td>"
                f"<td>{_interval(part['value'], part['low'], part['high'])}</td><td>{limit}</td>"
                f'<td>{_passed(part["passed"])}</td><td class="reason">{html.escape(meaning)}</td></tr>'
            )
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _check(rows: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    lines = [f"<tr><th></th>{head}</tr>"]
    for label, row in rows.items():
        cells = "".join(f"<td>{_interval(*row[name]) if name in row else ''}</td>" for name in names)
        lines.append(f"<tr><td>{html.escape(label)}</td>{cells}</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _picture(path: Path, caption: str) -> str:
    if not path.is_file():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<p class="quiet">{caption}</p><img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">'


def write_page(card: Mapping[str, Any], folder: Path) -> Path:
    """Write ``scorecard.html``.

    Args:
        card: as :func:`~monai_advexplain.sanity.command.run_check` returns it.
        folder: of the checks, with their pictures; the page goes there.

    Returns:
        The page.
    """
    title = html.escape(card["settings"]["title"])
    sentences = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in card["verdict"])
    body = [
        f"<h1>{title}</h1>",
        f"<p>{card['n_images']} images of {card['n_groups']} groups (patients); 95 % intervals over groups. A part "
        "holds when its whole interval is on the right side of the limit.</p>",
        f"<ul>{sentences}</ul><h2>Scorecard</h2>",
        _scores(card["scores"]),
    ]
    for name, rows in card["checks"].items():
        body += [f"<h2>{html.escape(name.replace('_', ' ').capitalize())}</h2>", _check(rows)]
        body.append(_picture(picture_path(folder, name), _PICTURED.get(name, "")))
    settings = html.escape(json.dumps(card["settings"], indent=1))
    body.append(f"<h2>Settings</h2><details><summary>of every check</summary><pre>{settings}</pre></details>")
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE} img {{ max-width: 640px; }} td.reason {{ max-width: 460px; }}</style></head>\n<body>\n"
        + "\n".join(filter(None, body))
        + "\n</body></html>\n"
    )
    path = folder / "scorecard.html"
    write_atomically(path, page)
    return path
