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

"""What all pictures share: windows of grey and heat, the colours of heat, outlines of masks."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

HEAT = colormaps["inferno"]
OUTLINE = "#00e5ff"
"""Colour of ground truth outlines: not in the heat colour map, nor grey."""

_ROBUST_PERCENTILE = 99.5
_MAX_OPACITY = 0.9  # of heat over an image, where the heat is highest


def grey_window(pixels: np.ndarray) -> Normalize:
    """Grey window from the 0.5th to the 99.5th percentile; the full range, or a unit one, where these are equal."""
    low, high = np.percentile(pixels, [100 - _ROBUST_PERCENTILE, _ROBUST_PERCENTILE])
    if high <= low:
        low, high = pixels.min(), pixels.max()
    return Normalize(low, high if high > low else low + 1.0, clip=True)


def heat_window(maps: np.ndarray) -> Normalize:
    """Colour scale from 0 to the 99.5th percentile; to the maximum, or to 1, where that is 0."""
    high = float(np.percentile(maps, _ROBUST_PERCENTILE)) or float(maps.max()) or 1.0
    return Normalize(0.0, high, clip=True)


def blank_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, not known to pyplot."""
    figure = Figure(figsize=(width, height), layout="compressed")
    FigureCanvasAgg(figure)
    return figure


def bare(axes: Axes) -> None:
    """Take ticks and frame away."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_grey(axes: Axes, image: np.ndarray, window: Normalize) -> None:
    """Grey image (W, H), the first axis to the right, the second downwards."""
    axes.imshow(window(image).T, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def heat_colours(heat: np.ndarray) -> np.ndarray:
    """Colours (..., 4), red, green, blue and opacity, of heat (...) in [0, 1]: as opaque as it is high."""
    colours = HEAT(heat)
    colours[..., 3] = _MAX_OPACITY * np.sqrt(heat)
    return colours


def draw_overlay(axes: Axes, image: np.ndarray, explanation: np.ndarray, window: Normalize, scale: Normalize) -> None:
    """Grey image under heat that is as opaque as it is high."""
    draw_grey(axes, image, window)
    axes.imshow(heat_colours(np.asarray(scale(explanation)).T), interpolation="nearest")


def draw_outline(axes: Axes, mask: np.ndarray) -> None:
    """Lines along the pixels' edges between mask and background, the image's border included."""
    padded = np.pad(mask, 1)
    ends: list[np.ndarray] = []
    for axis, along in ((0, (0, 1)), (1, (1, 0))):
        starts = np.argwhere(np.diff(padded.astype(int), axis=axis)) - 0.5
        starts[:, 1 - axis] -= 1.0
        ends.append(np.stack([starts, starts + along], axis=1))
    lines = LineCollection(list(np.concatenate(ends)), colors=OUTLINE, linewidths=1.0, capstyle="projecting")
    axes.add_collection(lines, autolim=False)
