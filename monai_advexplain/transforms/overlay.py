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

"""Pictures of images, generated images and explanation maps, drawn with matplotlib off screen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from monai.data import MetaTensor
from torch import Tensor

from monai_advexplain.transforms.drawing import (
    HEAT,
    bare,
    blank_figure,
    draw_grey,
    draw_outline,
    draw_overlay,
    grey_window,
    heat_window,
)

UNITS = r"intensity change $|g_s(x) - g_a(x)|$"
_FONT_SIZE = 8
_PANEL_INCHES = 1.6
_PLANES_INCHES = 9.0


def _pixels(name: str, image: Tensor) -> np.ndarray:
    """The channel mean of ``image`` (C, *spatial) as float array (*spatial)."""
    if image.ndim not in (3, 4):
        raise ValueError(f"{name} must have shape (C, *spatial), 2D or 3D, got {tuple(image.shape)}.")
    return image.detach().as_subclass(Tensor).float().mean(dim=0).cpu().numpy()


def slice_index(volume: np.ndarray, weighted: bool) -> int:
    """Index along the last axis of the slice of highest mass, or of the middle one where the mass says nothing."""
    mass = np.nan_to_num(volume).sum(axis=(0, 1))
    return int(mass.argmax()) if weighted and mass.max() > mass.min() else volume.shape[-1] // 2


def _draw_colour_bar(figure: Figure, scale: Normalize, highest: float, units: str, **place: Any) -> None:
    """Draw it at ``cax``, or beside ``ax``."""
    if "ax" in place:
        place |= {"fraction": 0.05, "pad": 0.02, "aspect": 25}
    extend = "max" if highest > (scale.vmax or 0.0) else "neither"
    bar = figure.colorbar(ScalarMappable(scale, HEAT), extend=extend, **place)
    bar.set_label(units, fontsize=_FONT_SIZE)
    bar.ax.tick_params(labelsize=_FONT_SIZE - 1)
    bar.ax.locator_params(nbins=5)


class _Upright:
    """A volume's axes turned and flipped so that they run to the patient's left, back and top, as doctors look at them.

    Args:
        image: (C, x, y, z); without an affine its axes are taken as left, back and top.
    """

    def __init__(self, image: Tensor) -> None:
        affine = image.affine.cpu().numpy() if isinstance(image, MetaTensor) else np.diag([-1.0, -1.0, 1.0, 1.0])
        self.shape = tuple(image.shape[1:])
        stored = nibabel.orientations.io_orientation(affine)
        wanted = nibabel.orientations.axcodes2ornt("LPS")
        self.turn = nibabel.orientations.ornt_transform(stored, wanted)
        self.axes = [int(axis) for axis in np.argsort(self.turn[:, 0])]  # of the image, in the order left, back, top
        spacing = nibabel.affines.voxel_sizes(affine)
        self.spacing = [float(spacing[axis]) for axis in self.axes]

    def volume(self, volume: np.ndarray) -> np.ndarray:
        return nibabel.orientations.apply_orientation(volume, self.turn)

    def voxel(self, voxel: Sequence[int]) -> list[int]:
        flips = self.turn[:, 1] < 0
        return [self.shape[a] - 1 - voxel[a] if flips[a] else voxel[a] for a in self.axes]


# Name, and the upright axes drawn to the right and downwards; the last axis, to the top, is drawn upwards.
_PLANES = (("axial", 0, 1), ("coronal", 0, 2), ("sagittal", 1, 2))


def _planes_figure(extent: Sequence[float], title: str | None) -> tuple[Figure, list[Axes], Axes]:
    """A figure with axes for the three planes, in one scale of mm, and for the colour bar.

    matplotlib's own layouts give every panel of a row the same height, which would draw planes in different scales.
    """
    gap, bar, head = 0.15, 1.0, 0.3 + 0.3 * bool(title)
    across, down = 2 * extent[0] + extent[1], max(extent[1:])
    inches = min((_PLANES_INCHES - 3 * gap - bar) / across, _PLANES_INCHES / down)
    width, height = across * inches + 3 * gap + bar, down * inches + head + gap
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    panels, left = [], gap
    for _, x, y in _PLANES:
        w, h = extent[x] * inches, extent[y] * inches
        panels.append(figure.add_axes((left / width, (gap + (down * inches - h) / 2) / height, w / width, h / height)))
        left += w + gap
    cax = figure.add_axes((left / width, gap / height, 0.12 / width, down * inches / height))
    return figure, panels, cax


def _draw_planes(
    panels: Sequence[Axes],
    upright: _Upright,
    grey: np.ndarray,
    heat: np.ndarray,
    outline: np.ndarray | None,
    voxel: Sequence[int],
    window: Normalize,
    scale: Normalize,
) -> None:
    """Three planes through a voxel of the stored volume."""
    grey, heat = upright.volume(grey), upright.volume(heat)
    outline = None if outline is None else upright.volume(outline)
    place = upright.voxel(voxel)
    for axes, (name, across, down) in zip(panels, _PLANES, strict=True):
        through = 3 - across - down
        picture, hot = (np.take(volume, place[through], axis=through) for volume in (grey, heat))
        bare(axes)
        draw_overlay(axes, picture, hot, window, scale)
        if outline is not None:
            draw_outline(axes, np.take(outline, place[through], axis=through))
        axes.set_aspect(upright.spacing[down] / upright.spacing[across])
        if down == 2:
            axes.invert_yaxis()
        stored = upright.axes[through]
        axes.set_title(f"{name}, {'xyz'[stored]} = {voxel[stored]}", fontsize=_FONT_SIZE)


def overlay_figure(
    image: Tensor,
    explanation: Tensor,
    mask: Tensor | None = None,
    title: str | None = None,
    units: str = UNITS,
    voxel: Sequence[int] | None = None,
) -> Figure:
    """Draws one image in grey under its explanation as transparent heat, with a colour bar.

    A 2D picture stands upright: the first spatial axis is drawn to the right, the second downwards. Of a volume three
    orthogonal planes are drawn, axial, coronal and sagittal as nearly as its axes allow, turned as doctors look at them
    (the patient's left and back to the right, front and top upwards) and in one scale of millimetres. Grey runs from
    the image's 0.5th to its 99.5th percentile, heat from 0 to the explanation's 99.5th (of a volume: of all of it). The
    opacity grows with the explanation, so that the image shows where it is low.

    Args:
        image: (C, W, H) or (C, x, y, z); of several channels the mean is drawn. The affine of a MetaTensor tells how a
            volume lies in the patient, in RAS; without one its axes are taken as left, back and top, of one spacing.
        explanation: (1, W, H) or (1, x, y, z), non-negative, in the image's grid.
        mask: ground truth to outline, shape of the explanation, 0 or 1.
        title: above the picture.
        units: label of the colour bar.
        voxel: indices in a volume as given that all planes go through; default the explanation's maximum.

    Returns:
        Figure, not known to pyplot; :func:`save_figure` writes it.

    Raises:
        ValueError: when the shapes do not fit, or the voxel lies outside the volume.
    """
    grey, heat = _pixels("image", image), _pixels("explanation", explanation)
    outline = None if mask is None else _pixels("mask", mask) > 0.5
    for name, pixels in (("explanation", heat), ("mask", outline)):
        if pixels is not None and pixels.shape != grey.shape:
            raise ValueError(f"{name} must have the image's spatial shape {grey.shape}, got {pixels.shape}.")
    window, scale, highest = grey_window(grey), heat_window(heat), float(heat.max())
    if grey.ndim == 3:
        place = np.unravel_index(np.nan_to_num(heat).argmax(), heat.shape) if voxel is None else tuple(voxel)
        if len(place) != 3 or not all(0 <= at < size for at, size in zip(place, grey.shape, strict=True)):
            raise ValueError(f"voxel must be three indices in a volume of {grey.shape}, got {place}.")
        upright = _Upright(image)
        extent = [grey.shape[axis] * step for axis, step in zip(upright.axes, upright.spacing, strict=True)]
        figure, panels, cax = _planes_figure(extent, title)
        _draw_planes(panels, upright, grey, heat, outline, [int(at) for at in place], window, scale)
        if title:
            figure.suptitle(title, fontsize=_FONT_SIZE + 1)
        _draw_colour_bar(figure, scale, highest, units, cax=cax)
        return figure

    width, height = grey.shape
    figure = blank_figure(4.0, max(1.5, 3.2 * height / width))
    axes = figure.add_subplot()
    bare(axes)
    draw_overlay(axes, grey, heat, window, scale)
    if outline is not None:
        draw_outline(axes, outline)
    if title:
        axes.set_title(title, fontsize=_FONT_SIZE + 1)
    _draw_colour_bar(figure, scale, highest, units, ax=axes)
    return figure


def picture_grid(columns: Mapping[str, Tensor], row_titles: Sequence[str] | None = None, units: str = UNITS) -> Figure:
    """Draws a grid of pictures, a row for each image and a column for each name, in the order given.

    Three names are drawn in their own way: ``"explanation"`` as heat; ``"overlay"``, an explanation too, as transparent
    heat on the column ``"image"``; ``"ground truth"``, 0 or 1, as an outline on the column ``"image"``. Any other is
    drawn in grey. All grey pictures of a row share one window, that of ``"image"`` or else of its first grey column,
    so that their differences are seen; all heat shares one colour scale and one colour bar. Pictures stand upright as
    in :func:`overlay_figure`; of volumes each row shows the slice with the highest explanation mass, or the middle
    one without explanations.

    Args:
        columns: name to batch, (N, C, W, H) or (N, C, W, H, D), all of one N and one spatial shape.
        row_titles: N texts, left of the rows.
        units: label of the colour bar.

    Returns:
        Figure, not known to pyplot; :func:`save_figure` writes it.

    Raises:
        ValueError: when there are no columns or no images, a column to draw on is missing, or the shapes or the number
            of titles do not fit.

    Example::

        picture_grid({"image": x, "similar": g_s, "adversarial": g_a, "explanation": e, "overlay": e})
    """
    shapes = {name: (batch.shape[0], *batch.shape[2:]) for name, batch in columns.items()}
    if len(set(shapes.values())) != 1:
        raise ValueError(f"columns must be batches of one length and spatial shape, got {shapes}.")
    count, *size = next(iter(shapes.values()))
    if count == 0:
        raise ValueError("columns must hold at least one image, got none.")
    if row_titles is not None and len(row_titles) != count:
        raise ValueError(f"row_titles must be {count} texts, one an image, got {len(row_titles)}.")
    if "image" not in columns and not {"overlay", "ground truth"}.isdisjoint(columns):
        raise ValueError(
            f'columns must hold "image" for "overlay" and "ground truth" to be drawn on, got {[*columns]}.'
        )

    rows = [{name: _pixels(name, batch[i]) for name, batch in columns.items()} for i in range(count)]
    heat_names = [name for name in ("explanation", "overlay") if name in columns]
    grey_names = [name for name in ("image", *columns) if name in columns and name not in (*heat_names, "ground truth")]
    heat = np.array([row[name] for row in rows for name in heat_names])
    scale = heat_window(heat) if heat_names else Normalize()
    titles = list(row_titles or [""] * count)

    panel_height = _PANEL_INCHES * size[1] / size[0]
    figure = blank_figure(_PANEL_INCHES * len(columns) + 0.7 * bool(heat_names), panel_height * count + 0.3)
    grid = figure.subplots(count, len(columns), squeeze=False)
    for i, row in enumerate(rows):
        window = grey_window(row[grey_names[0]]) if grey_names else Normalize()
        if len(size) == 3:
            index = slice_index(row[(heat_names or grey_names)[0]], weighted=bool(heat_names))
            row = {name: pixels[..., index] for name, pixels in row.items()}
            titles[i] = f"{titles[i]}\nslice {index}".lstrip()
        for axes, (name, pixels) in zip(grid[i], row.items(), strict=True):
            bare(axes)
            if name == "explanation":
                axes.imshow(pixels.T, cmap=HEAT, norm=scale, interpolation="nearest")
            elif name == "overlay":
                draw_overlay(axes, row["image"], pixels, window, scale)
            elif name == "ground truth":
                draw_grey(axes, row["image"], window)
                draw_outline(axes, pixels > 0.5)
            else:
                draw_grey(axes, pixels, window)
            if i == 0:
                axes.set_title(name, fontsize=_FONT_SIZE)
        grid[i, 0].set_ylabel(titles[i], fontsize=_FONT_SIZE)
    if heat_names:
        _draw_colour_bar(figure, scale, float(heat.max()), units, ax=list(grid.flat))
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = 200) -> None:
    """Writes a figure atomically: a file of that name is either whole or what it was before.

    Args:
        figure: what to write.
        path: where to; its suffix (.png, .pdf, .svg, ...) says the format. Missing folders are made.
        dpi: pixels per inch.

    Raises:
        ValueError: when matplotlib cannot write the format.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        figure.savefig(temporary, dpi=dpi, bbox_inches="tight", pad_inches=0.05)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
