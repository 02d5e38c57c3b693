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

"""Gallery of the report: images by methods."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from monai_advexplain.benchmark.verdict import label
from monai_advexplain.transforms.drawing import bare, draw_grey, draw_outline, draw_overlay, grey_window, heat_window


def _picture(image: np.ndarray, mask: np.ndarray | None, explanation: np.ndarray | None) -> str:
    """One cell of the gallery as an encoded JPEG: grey image, heat on top where there is a map, outlined mask."""
    width, height = image.shape
    figure = Figure(figsize=(1.6, 1.6 * height / width), dpi=150)
    axes = figure.add_axes((0, 0, 1, 1))
    bare(axes)
    window = grey_window(image)
    if explanation is None:
        draw_grey(axes, image, window)
    else:
        draw_overlay(axes, image, explanation, window, heat_window(explanation))
    if mask is not None and mask.any():
        draw_outline(axes, mask > 0.5)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpg", pil_kwargs={"quality": 88})
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def gallery_section(results: Mapping[str, Any], folder: Path) -> str:
    """A row for each variant, a column for each image of the gallery.

    Args:
        results: as :func:`~monai_advexplain.benchmark.results.summarise` returns them.
        folder: of the gallery, see :func:`~monai_advexplain.benchmark.report.write_report`.

    Returns:
        HTML, empty without pictures.
    """
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
