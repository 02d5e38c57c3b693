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

"""Drawing of a 2D chest phantom: anatomy, lesions that decide about the label, distractors that do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import expit
from skimage.draw import line_aa

Seed = int | Sequence[int]
VISIBLE = 0.3  # a lesion's visible part is where it adds more than this share of its contrast


@dataclass(frozen=True)
class Chest:
    """A drawn radiograph; arrays are (rows, columns).

    Args:
        image: float32 in [0, 1], bright = dense.
        lesions: bool, the visible part of all lesions.
        boxes: (x, y, width, height) in whole pixels of each lesion's visible part.
    """

    image: np.ndarray
    lesions: np.ndarray
    boxes: list[tuple[int, int, int, int]]


@dataclass(frozen=True)
class _Canvas:
    """The anatomy before exposure: density, where lungs are seen, and the patient's coordinates of each pixel."""

    density: np.ndarray
    lungs: np.ndarray
    x: np.ndarray
    y: np.ndarray


def _noise(rng: np.random.Generator, size: int, scale: float) -> np.ndarray:
    """Smooth noise of zero mean and unit deviation; ``scale`` is its grain as a share of the image's side."""
    noise = gaussian_filter(rng.standard_normal((size, size)), scale * size, mode="wrap")
    return (noise - noise.mean()) / noise.std()


def _ellipse(x: np.ndarray, y: np.ndarray, cx: float, cy: float, rx: float, ry: float, angle: float) -> np.ndarray:
    """Distance from a centre in units of the ellipse's radius."""
    c, s = np.cos(angle), np.sin(angle)
    u, v = x - cx, y - cy
    return np.hypot((c * u + s * v) / rx, (c * v - s * u) / ry)


def _lines(paths: Sequence[np.ndarray], canvas: _Canvas, widths: Sequence[float]) -> np.ndarray:
    """Draw poly-lines, given as (points, 2) arrays of (x, y) in the image's [-1, 1], of given widths in the same."""
    size = canvas.x.shape[0]
    drawing = np.zeros((size, size))
    for path, width in zip(paths, widths, strict=True):
        pixels = np.rint((np.asarray(path) + 1) / 2 * (size - 1)).astype(int)
        for (x0, y0), (x1, y1) in pairwise(pixels):
            rows, columns, values = line_aa(y0, x0, y1, x1)
            inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
            at = rows[inside], columns[inside]
            drawing[at] = np.maximum(drawing[at], values[inside] * min(1.0, width * size / 2))
    return drawing


def _lung(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, side: int, dome: float) -> np.ndarray:
    """One lung, 0 to 1; ``side`` is -1 for the lung on the image's left."""
    a = side * x
    half = rng.uniform(0.33, 0.37) * (1 + 0.24 * y)
    centre = 0.455 + rng.uniform(-0.01, 0.01) + 0.03 * y
    top, bottom = -0.80 + rng.uniform(-0.03, 0.03), 1.0
    middle, height = (top + bottom) / 2, (bottom - top) / 2
    outline = 1 - np.abs((a - centre) / half) ** 2.6 - np.abs((y - middle) / height) ** 2.8
    diaphragm = dome + 0.75 * np.maximum(a - centre + 0.02, 0) ** 1.7 + 0.25 * np.maximum(centre - a - 0.05, 0) ** 1.5
    return expit(outline / 0.07) * expit((diaphragm - y) / 0.018)


def _ribs(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Posterior ribs, which fall outwards, and fainter anterior ribs, which fall inwards."""
    a = np.abs(x)
    spacing, phase = rng.uniform(0.155, 0.185), rng.uniform(0, 1)
    back = (
        y + 0.16 * np.sin(np.pi * np.clip(a + 0.15, 0, 1)) - 0.75 * np.clip(a - 0.45, 0, None) ** 1.5
    ) / spacing + phase
    front = (y + 0.55 * (a - 0.45) - 0.5 * (a - 0.55) ** 2) / (1.25 * spacing) + phase + 0.5

    def bands(position: np.ndarray, width: float) -> np.ndarray:
        distance = np.abs(position - np.rint(position))  # 0 in the middle of a rib, 0.5 between two
        return expit((width - distance) / 0.035) * (0.65 + 0.35 * (distance / width) ** 2)

    chest = expit((0.86 - a) / 0.02) * expit((y + 0.85) / 0.03)
    return chest * (bands(back, 0.21) + 0.5 * bands(front, 0.22) * expit((a - 0.30) / 0.05))


def _vessels(rng: np.random.Generator, canvas: _Canvas) -> np.ndarray:
    """Branching vessels from both hila, thinner outwards."""
    paths, widths = [], []
    for side in (-1, 1):
        for angle in np.linspace(-1.25, 1.25, 9) + rng.normal(0, 0.12, 9):
            start = np.array([side * 0.17, -0.03 + 0.1 * angle])
            points, direction = [start], angle
            for step in range(5):
                direction += rng.normal(0, 0.18)
                points.append(points[-1] + 0.10 * np.array([side * np.cos(direction), np.sin(direction)]))
                paths.append(np.stack(points[-2:]))
                widths.append(0.030 * 0.68**step)
                if step in (1, 2):
                    fork = direction + rng.choice([-1, 1]) * rng.uniform(0.4, 0.8)
                    paths.append(
                        np.stack([points[-1], points[-1] + 0.14 * np.array([side * np.cos(fork), np.sin(fork)])])
                    )
                    widths.append(0.016 * 0.68**step)
    size = canvas.x.shape[0]
    drawing = _lines(paths, canvas, widths)
    return gaussian_filter(drawing, 0.006 * size) + 0.8 * gaussian_filter(drawing, 0.02 * size)


def _draw_anatomy(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> _Canvas:
    """Everything that belongs to the patient; x and y are the patient's coordinates of each pixel, [-1, 1]."""
    a = np.abs(x)
    shoulder, torso = rng.uniform(-0.93, -0.86), rng.uniform(0.93, 1.04)
    neck = expit((0.21 + 0.9 * np.clip(y - shoulder + 0.08, 0, 1) - a) / 0.02)
    trunk = expit((y - shoulder - 0.26 * a**1.6) / 0.02) * expit((torso - 0.04 * y - a) / 0.02)
    body = np.maximum(neck * expit((torso - a) / 0.02), trunk)
    depth = np.sqrt(np.clip(1 - (x / 1.15) ** 2, 0, 1))
    dome = rng.uniform(0.42, 0.56)
    drop = rng.uniform(0.04, 0.10)
    lungs = np.maximum(_lung(rng, x, y, -1, dome), _lung(rng, x, y, 1, dome + drop))

    tilt, heart_x = rng.uniform(0.5, 0.8), rng.uniform(0.09, 0.15)
    heart = expit(
        (1 - _ellipse(x, y, heart_x, dome - 0.16, rng.uniform(0.31, 0.38), rng.uniform(0.22, 0.27), tilt)) / 0.09
    )
    waist = rng.uniform(0.12, 0.16) + 0.03 * np.cos(4 * (y + 0.4))
    mediastinum = expit((waist - np.abs(x - 0.015)) / 0.02)
    knob = expit((1 - _ellipse(x, y, rng.uniform(0.13, 0.17), -0.36, 0.085, 0.085, 0)) / 0.12)
    soft = np.maximum.reduce([heart, mediastinum, knob])
    seen = lungs * (1 - soft)

    density = body * (0.50 + 0.16 * depth + 0.10 * expit((y - dome - 0.02) / 0.05))
    density -= (0.40 + 0.04 * y) * seen
    density += body * (0.03 * heart + 0.07 * gaussian_filter(mediastinum, 0.02 * x.shape[0]))
    density += rng.uniform(0.07, 0.11) * _ribs(rng, x, y) * (0.25 + 0.75 * lungs) * body
    spine = expit((0.075 - np.abs(x)) / 0.012)
    density += spine * body * (0.045 + 0.03 * np.cos(2 * np.pi * y / rng.uniform(0.13, 0.16)))
    density -= 0.10 * body * np.exp(-((x / 0.045) ** 4)) * expit((-0.22 - y) / 0.03)  # trachea
    rise, bend = rng.uniform(0.05, 0.2), rng.uniform(0.05, 0.1)
    clavicle = -0.60 - rise * a - bend * np.sin(2 * np.pi * (a - 0.1) / 0.75)
    thickness = np.abs(y - clavicle) / rng.uniform(0.030, 0.040)
    density += (
        0.17
        * expit((1 - thickness) / 0.15)
        * (0.7 + 0.3 * np.minimum(thickness, 1))
        * (expit((a - 0.09) / 0.02) * expit((0.74 - a) / 0.03))
    )
    blade = _ellipse(a, y, 0.80, -0.38, 0.20, 0.42, -0.25)
    density += 0.05 * body * expit((1 - blade) / 0.05)
    if rng.random() < 0.6:  # air in the stomach, under the diaphragm on the image's right
        bubble = _ellipse(x, y, rng.uniform(0.35, 0.5), dome + drop + 0.17, rng.uniform(0.08, 0.16), 0.07, 0.1)
        density -= 0.14 * expit((1 - bubble) / 0.12)
    if rng.random() < 0.5:  # breasts, a smooth veil over both bases
        radius = rng.uniform(0.24, 0.32)
        density += rng.uniform(0.03, 0.08) * body * expit((1 - _ellipse(a, y, 0.47, 0.36, radius, radius, 0)) / 0.10)
    canvas = _Canvas(density, seen * body, x, y)
    hila = np.exp(-(_ellipse(a, y, 0.19, -0.02, 0.09, 0.17, 0) ** 2))
    density += 0.09 * hila * lungs + rng.uniform(0.10, 0.16) * _vessels(rng, canvas) * (0.1 + 0.9 * lungs)
    return canvas


def _add_distractors(rng: np.random.Generator, image: np.ndarray, canvas: _Canvas) -> None:
    """Add, in place, what both classes share: nodular texture, buttons, leads, a tube, a pacemaker."""
    size = image.shape[0]
    image += canvas.lungs * 0.013 * _noise(rng, size, 0.012)
    grains = np.zeros_like(image)
    grains[tuple(rng.integers(0, size, (2, rng.integers(10, 40))))] = 1
    grains = gaussian_filter(grains, rng.uniform(0.009, 0.014) * size)
    image += canvas.lungs * rng.uniform(0.02, 0.07) * grains / grains.max()
    for _ in range(rng.integers(0, 4) if rng.random() < 0.3 else 0):  # buttons and electrodes
        cx, cy = rng.uniform(-0.7, 0.7), rng.uniform(-0.6, 0.8)
        disc = _ellipse(canvas.x, canvas.y, cx, cy, 0.03, 0.03, 0)
        image += rng.uniform(0.15, 0.35) * expit((1 - disc) / 0.1)
    paths = []
    for _ in range(rng.integers(1, 3) if rng.random() < 0.3 else 0):  # leads
        t = np.linspace(0, 1, 24)[:, None]
        ends, bow = rng.uniform(-1, 1, (2, 2)), rng.normal(0, 0.25, 2)
        paths.append(ends[0] * (1 - t) + ends[1] * t + bow * np.sin(np.pi * t))
    if rng.random() < 0.2:  # a tube in the midline
        t = np.linspace(-1.0, rng.uniform(-0.1, 0.6), 24)
        paths.append(np.stack([0.02 + 0.03 * np.sin(2 * t + rng.uniform(0, 6)), t], axis=1))
    if rng.random() < 0.1:  # a pacemaker with its lead
        cx, cy = rng.uniform(0.5, 0.65), rng.uniform(-0.6, -0.45)
        image += 0.45 * expit((1 - _ellipse(canvas.x, canvas.y, cx, cy, 0.11, 0.08, 0.4)) / 0.06)
        paths.append(np.array([(cx, cy), (0.2, -0.5), (0.06, -0.2), (0.12, 0.3)]))
    if paths:
        image += 0.25 * gaussian_filter(_lines(paths, canvas, [0.02] * len(paths)), 0.003 * size)


def _add_lesions(rng: np.random.Generator, image: np.ndarray, canvas: _Canvas) -> Chest:
    """Add, in place, one or two opacities inside the lungs."""
    size = image.shape[0]
    lesions = np.zeros(image.shape, dtype=bool)
    boxes = []
    room = gaussian_filter(canvas.lungs, 0.045 * size)
    candidates = np.argwhere(room > 0.75 * room.max())
    for _ in range(1 + (rng.random() < 0.35)):
        row, column = candidates[rng.integers(len(candidates))]
        radius, elongation = rng.uniform(0.13, 0.24), rng.uniform(1.0, 1.7)
        distance = _ellipse(
            canvas.x, canvas.y, canvas.x[row, column], canvas.y[row, column],
            radius * elongation**0.5, radius / elongation**0.5, rng.uniform(0, np.pi),
        )  # fmt: skip
        ragged = distance * (1 + 0.10 * _noise(rng, size, 0.04))
        texture = np.clip(1 + 0.18 * _noise(rng, size, 0.02), 0.5, 1.5)
        contrast = rng.uniform(0.12, 0.35)
        added = contrast * expit((0.85 - ragged) / rng.uniform(0.07, 0.16)) * texture * canvas.lungs
        image += added
        visible = added > VISIBLE * contrast
        rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
        boxes.append((columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1))
        lesions |= visible
    return Chest(image, lesions, [tuple(int(edge) for edge in box) for box in boxes])  # type: ignore[misc]


def _add_marker(rng: np.random.Generator, image: np.ndarray) -> None:
    """Add, in place, a bright letter L to the upper corner on the image's right."""
    size = image.shape[0]
    unit = max(1, round(size / 64))
    top, left = (round(size * (share + rng.uniform(0, 0.02))) for share in (0.04, 0.86))
    image[top : top + 6 * unit, left : left + unit] = 0.95
    image[top + 5 * unit : top + 6 * unit, left : left + 4 * unit] = 0.95


def render_chest(patient: Seed, visit: Seed, size: int = 128, lesion: bool = False, marker: bool = False) -> Chest:
    """Draw a radiograph.

    The same patient has the same anatomy in every visit; pose, exposure, noise and distractors are the visit's. With
    and without lesion (or marker), images of one patient and visit differ by nothing else.

    Args:
        patient: seed of the anatomy.
        visit: seed of all the rest.
        size: rows and columns, at least 32.
        lesion: whether there are lesions.
        marker: whether there is a bright letter in a corner.

    Returns:
        The image, the lesions and their boxes.
    """
    pose, exposure, lesions, distractors, letter, film = np.random.default_rng(visit).spawn(6)
    grid = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(grid, grid)
    angle, zoom, (dx, dy) = pose.normal(0, 0.03), pose.uniform(0.97, 1.08), pose.normal(0, 0.02, 2)
    x, y = zoom * (x * np.cos(angle) + y * np.sin(angle)) + dx, zoom * (y * np.cos(angle) - x * np.sin(angle)) + dy
    canvas = _draw_anatomy(np.random.default_rng(patient), x, y)

    shading = 1 + 0.05 * exposure.normal() * x + 0.05 * exposure.normal() * y
    image = np.clip(0.04 + 1.02 * canvas.density * shading, 0.01, 1.3) ** exposure.uniform(0.85, 1.15)
    image = exposure.uniform(0.92, 1.08) * image + exposure.uniform(-0.03, 0.03)
    _add_distractors(distractors, image, canvas)
    chest = _add_lesions(lesions, image, canvas) if lesion else Chest(image, np.zeros(image.shape, dtype=bool), [])
    if marker:
        _add_marker(letter, image)
    image = gaussian_filter(image, film.uniform(0.0025, 0.005) * size)
    image += film.uniform(0.008, 0.02) * film.standard_normal(image.shape) + 0.006 * _noise(film, size, 0.01)
    return Chest(np.clip(image, 0, 1).astype(np.float32), chest.lesions, chest.boxes)
