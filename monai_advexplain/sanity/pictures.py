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

"""A picture for each check: the same images under the maps that the check compares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from monai_advexplain.transforms.drawing import (
    bare,
    blank_figure,
    draw_grey,
    draw_outline,
    draw_overlay,
    grey_window,
    heat_window,
)
from monai_advexplain.transforms.overlay import slice_index

COUNT = 4


def map_grid(images: Tensor, maps: Mapping[str, Tensor], outline: Tensor | None = None) -> Figure:
    """A row for each image: in grey, then under each of its maps; every map has its own colour scale.

    Args:
        images: (N, C, *spatial), 2D or 3D; of volumes the slice of the first map's highest mass is drawn.
        maps: title -> (N, 1, *spatial).
        outline: mask (N, 1, *spatial) to outline, or None.

    Returns:
        Figure, not known to pyplot.
    """
    figure = blank_figure(1.6 * (1 + len(maps)), 1.6 * len(images) + 0.3)
    grid = figure.subplots(len(images), 1 + len(maps), squeeze=False)
    for index, row in enumerate(grid):
        layers = [images[index].float().mean(dim=0), *(one[index, 0] for one in maps.values())]
        layers += [] if outline is None else [outline[index, 0]]
        arrays = [layer.detach().cpu().numpy() for layer in layers]
        if arrays[0].ndim == 3:
            position = slice_index(arrays[1], weighted=True)
            arrays = [array[..., position] for array in arrays]
        marked = np.zeros(arrays[0].shape, bool) if outline is None else arrays.pop() > 0.5
        window = grey_window(arrays[0])
        for axes, array, title in zip(row, arrays, ("image", *maps), strict=True):
            bare(axes)
            if axes is row[0]:
                draw_grey(axes, array, window)
            else:
                draw_overlay(axes, arrays[0], array, window, heat_window(array))
            if marked.any():
                draw_outline(axes, marked)
            if index == 0:
                axes.set_title(title, fontsize=8)
    return figure


def picture_path(folder: Path, check: str) -> Path:
    """Where the picture of a check lies in the checks' output folder."""
    return folder / "checks" / f"{check}.png"
