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

"""Batched random geometric transformations of tensors, in three steps: sample, apply, invert."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

# Matrices are multiplied and grids are built by broadcasting, not by matmul: autocast and TF32 would round the latter
# to some tenths of a pixel.


def _matrix_product(a: Tensor, b: Tensor) -> Tensor:
    return (a.unsqueeze(-1) * b.unsqueeze(-3)).sum(dim=-2)


def _rotation(angles: Tensor, spatial_dims: int) -> Tensor:
    """Rotations (B, d, d) by ``angles`` in radians, (B, d (d-1) / 2), one for each pair of axes, after each other."""
    identity = torch.eye(spatial_dims, device=angles.device).expand(len(angles), -1, -1)
    rotation = identity
    for angle, (i, j) in zip(angles.unbind(dim=1), combinations(range(spatial_dims), 2), strict=True):
        plane = identity.clone()
        plane[:, i, i] = plane[:, j, j] = torch.cos(angle)
        plane[:, i, j], plane[:, j, i] = -torch.sin(angle), torch.sin(angle)
        rotation = _matrix_product(rotation, plane)
    return rotation


@dataclass(frozen=True)
class AffineRange:
    """What random geometric transformations are drawn from, each parameter independently and uniformly.

    The image is flipped, rotated and zoomed about its centre, and then shifted. Rotations are rigid in pixels (voxels)
    whatever the image's shape; the default ranges give the exact identity.

    Args:
        rotation: largest angle in degrees, in [0, 180], both ways; in 3D about each of the three axes.
        translation: largest shift along each axis, both ways, as share of the image's size along it, at least 0.
        scale: lowest and highest zoom factor, above 0; 2 draws everything twice as large. One factor for all axes.
        flip_axes: spatial axes that may be flipped, 0 being the first after the channels.
        flip_probability: of flipping each of them, in [0, 1].

    Raises:
        ValueError: when an argument is outside its range.

    Example::

        theta = AffineRange(rotation=10, flip_axes=(0,)).sample(len(images), images.shape[2:], device=images.device)
        maps = warp(explainer(warp(images, theta)), invert(theta))
    """

    rotation: float = 0.0
    translation: float = 0.0
    scale: Sequence[float] = (1.0, 1.0)
    flip_axes: Sequence[int] = ()
    flip_probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.rotation <= 180.0:
            raise ValueError(f"rotation must lie in [0, 180] degrees, got {self.rotation}.")
        if not self.translation >= 0.0:
            raise ValueError(f"translation must be at least 0, got {self.translation}.")
        if len(self.scale) != 2 or not 0.0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must be (low, high) with 0 < low <= high, got {self.scale}.")
        if not set(self.flip_axes) <= {0, 1, 2}:
            raise ValueError(f"flip_axes must be among 0, 1 and 2, got {self.flip_axes}.")
        if not 0.0 <= self.flip_probability <= 1.0:
            raise ValueError(f"flip_probability must lie in [0, 1], got {self.flip_probability}.")

    def sample(
        self,
        batch: int,
        spatial_size: Sequence[int],
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Draws one transformation for each image.

        The numbers are drawn where the generator lives, then moved to ``device``. As many are drawn for every image
        whatever the ranges are, image after image: with a generator on the CPU the first images of a large batch get
        the same transformations as a small batch with the same seed.

        Args:
            batch: number of images B.
            spatial_size: their size in pixels, 2 or 3 numbers, as in ``images.shape[2:]``.
            generator: source of random numbers; torch's global one by default.
            device: where to return the matrices; by default the generator's device, or the CPU without a generator.

        Returns:
            (B, d, d+1), float32, from output to input coordinates in the convention of
            :func:`torch.nn.functional.affine_grid` with ``align_corners=False``: normalised to [-1, 1] from edge to
            edge, last spatial axis first.

        Raises:
            ValueError: when ``spatial_size`` has not 2 or 3 axes, or ``flip_axes`` names one that is not there.
        """
        dims = len(spatial_size)
        if dims not in (2, 3):
            raise ValueError(f"spatial_size must have 2 or 3 axes, got {tuple(spatial_size)}.")
        if any(axis >= dims for axis in self.flip_axes):
            raise ValueError(f"flip_axes={self.flip_axes} names an axis that spatial_size={tuple(spatial_size)} lacks.")
        source = device if generator is None else generator.device
        counts = (dims * (dims - 1) // 2, dims, 1, dims)
        draws = torch.rand(batch, sum(counts), generator=generator, device=source).to(device or source)
        turn, shift, zoom, flip = draws.split(counts, dim=1)

        low, high = self.scale
        linear = _rotation((2 * turn - 1) * math.radians(self.rotation), dims) / (low + (high - low) * zoom)[..., None]
        may_flip = torch.tensor([axis in self.flip_axes for axis in range(dims)], device=draws.device)
        signs = torch.where(may_flip & (flip < self.flip_probability), -1.0, 1.0).flip(1)  # last spatial axis first
        size = torch.tensor(list(reversed(spatial_size)), dtype=torch.float32, device=draws.device)
        linear = linear * signs[..., None] * (size / size[:, None])  # from pixels to normalised coordinates
        offset = -_matrix_product(linear, ((2 * shift - 1) * 2 * self.translation)[..., None])
        return torch.cat([linear, offset], dim=2)


def warp(images: Tensor, theta: Tensor, mode: str = "bilinear", padding_mode: str = "zeros") -> Tensor:
    """Applies one transformation to each image, differentiably with respect to the images.

    Images under a flip or the identity alone are moved pixel for pixel, bit-equal; all others are interpolated.

    Args:
        images: (B, C, *spatial), 2D or 3D, floating.
        theta: (B, d, d+1), as :meth:`AffineRange.sample` returns them, for images of this size.
        mode: ``"bilinear"`` (linear along all three axes in 3D), ``"nearest"`` or, in 2D, ``"bicubic"``.
        padding_mode: what lies outside the image: ``"zeros"``, ``"border"`` or ``"reflection"``.

    Returns:
        Tensor of the images' shape and dtype. Coordinates and half precision images are computed in float32.

    Raises:
        ValueError: when the shapes do not fit.
    """
    dims = images.ndim - 2
    if dims not in (2, 3):
        raise ValueError(
            f"images must have shape (B, C, *spatial) with 2 or 3 spatial axes, got {tuple(images.shape)}."
        )
    if theta.shape != (images.shape[0], dims, dims + 1):
        raise ValueError(
            f"theta must have shape {(images.shape[0], dims, dims + 1)} for images {tuple(images.shape)}, "
            f"got {tuple(theta.shape)}."
        )
    pixels = images.to(torch.promote_types(images.dtype, torch.float32))
    theta = theta.to(pixels)
    axes = [(2 * torch.arange(size).to(pixels) + 1) / size - 1 for size in images.shape[2:]]
    coordinates = torch.meshgrid(*axes, indexing="ij")[::-1]
    rows = theta.reshape(*theta.shape, *[1] * dims).unbind(dim=1)
    grid = torch.stack(
        [sum((row[:, j] * coordinates[j] for j in range(dims)), start=row[:, dims]) for row in rows], dim=-1
    )
    moved = F.grid_sample(pixels, grid, mode=mode, padding_mode=padding_mode, align_corners=False)
    flips = (theta.abs() == torch.eye(dims, dims + 1).to(theta)).flatten(1).all(dim=1)
    if mode != "nearest" and flips.any():
        exact = F.grid_sample(pixels, grid, mode="nearest", padding_mode=padding_mode, align_corners=False)
        moved = torch.where(flips.reshape(-1, *[1] * (dims + 1)), exact, moved)
    return moved.to(images.dtype)


def invert(theta: Tensor) -> Tensor:
    """The inverse transformations: ``warp(warp(x, theta), invert(theta))`` is x up to interpolation and borders.

    Args:
        theta: (B, d, d+1).

    Returns:
        (B, d, d+1).

    Raises:
        ValueError: when ``theta`` has another shape.
    """
    if theta.ndim != 3 or theta.shape[2] != theta.shape[1] + 1:
        raise ValueError(f"theta must have shape (B, d, d+1), got {tuple(theta.shape)}.")
    last_row = torch.zeros_like(theta[:, :1])
    last_row[..., -1] = 1
    return torch.linalg.inv(torch.cat([theta, last_row], dim=1))[:, :-1]
