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

"""How far a generated image is from the image that it was made from: L1, SSIM and the extent of the change."""

from __future__ import annotations

from torch import Tensor

from monai_advexplain.metrics._gaussian import gaussian_taps, smooth
from monai_advexplain.metrics._pixels import score_dtype

CHANGE_THRESHOLD = 0.05
"""Change of intensity above which a pixel counts as changed, for intensities in [0, 1]."""


def _checked_pair(images: Tensor, changed: Tensor) -> tuple[Tensor, Tensor]:
    """Both as plain tensors in double precision (single on MPS)."""
    if images.shape != changed.shape:
        raise ValueError(f"images and changed must have one shape, got {tuple(images.shape)}, {tuple(changed.shape)}.")
    if images.ndim not in (4, 5) or 0 in images.shape[1:]:
        raise ValueError(f"images must be (B, C, W, H) or (B, C, W, H, D), got shape {tuple(images.shape)}.")
    pair = []
    for name, values in (("images", images), ("changed", changed)):
        if not values.isfinite().all():
            raise ValueError(f"{name} must be finite, got {int((~values.isfinite()).sum())} NaN or infinite values.")
        pair.append(values.detach().as_subclass(Tensor).to(score_dtype(values.device)))
    return pair[0], pair[1]


def l1_change(images: Tensor, changed: Tensor) -> Tensor:
    """Mean over channels and pixels of |changed - images|, of each image; symmetric.

    Args:
        images: (B, C, *spatial), 2D or 3D, finite.
        changed: same shape.

    Returns:
        (B,), in units of intensity, at least 0, low = close.

    Raises:
        ValueError: when shapes differ or do not fit, or values are not finite.
    """
    images, changed = _checked_pair(images, changed)
    return (changed - images).abs().flatten(1).mean(dim=1)


def mse_change(images: Tensor, changed: Tensor) -> Tensor:
    """Mean over channels and pixels of (changed - images)^2, of each image; symmetric.

    Args:
        images: (B, C, *spatial), 2D or 3D, finite.
        changed: same shape.

    Returns:
        (B,), in squared units of intensity, at least 0, low = close.

    Raises:
        ValueError: when shapes differ or do not fit, or values are not finite.
    """
    images, changed = _checked_pair(images, changed)
    return (changed - images).square().flatten(1).mean(dim=1)


def ssim(images: Tensor, changed: Tensor, data_range: float = 1.0) -> Tensor:
    """Structural similarity of each pair of images; symmetric.

    Gaussian windows of 11 pixels and standard deviation 1.5, population variances, K1 = 0.01, K2 = 0.03; the mean over
    channels and over the windows that lie within the image. Along an axis of fewer than 11 pixels the window is cut to
    the largest odd number that fits.

    Args:
        images: (B, C, *spatial), 2D or 3D, finite.
        changed: same shape.
        data_range: highest minus lowest possible intensity, above 0; 1 for images in [0, 1].

    Returns:
        (B,), in [-1, 1], 1 for equal images, high = close.

    Raises:
        ValueError: when shapes differ or do not fit, values are not finite, or ``data_range`` is not positive.

    Source:
        Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural Similarity",
        IEEE Transactions on Image Processing 13(4), 2004.
    """
    if not data_range > 0:
        raise ValueError(f"data_range must be above 0, got {data_range}.")
    x, y = _checked_pair(images, changed)
    radii = [min(5, (size - 1) // 2) for size in x.shape[2:]]
    taps = [gaussian_taps(1.5, radius) for radius in radii]
    means = [smooth(values, taps) for values in (x, y, x * x, y * y, x * y)]
    for axis, radius in enumerate(radii, start=2):  # windows that lie within the image
        means = [mean.narrow(axis, radius, mean.shape[axis] - 2 * radius) for mean in means]
    mean_x, mean_y, xx, yy, xy = means
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    variances = xx - mean_x**2 + yy - mean_y**2
    structure = (2 * (xy - mean_x * mean_y) + c2) / (variances + c2)
    return (luminance * structure).flatten(1).mean(dim=1)


def sparsity_of_change(images: Tensor, changed: Tensor, threshold: float = CHANGE_THRESHOLD) -> Tensor:
    """Share of each image's pixels that change by more than ``threshold`` in any channel; symmetric.

    Args:
        images: (B, C, *spatial), 2D or 3D, finite.
        changed: same shape.
        threshold: in units of intensity, at least 0.

    Returns:
        (B,), in [0, 1], **low = sparse**, 0 for equal images.

    Raises:
        ValueError: when shapes differ or do not fit, values are not finite, or the threshold is negative.
    """
    if not threshold >= 0:
        raise ValueError(f"threshold must be at least 0, got {threshold}.")
    images, changed = _checked_pair(images, changed)
    difference = (changed - images).abs().amax(dim=1).flatten(1)
    return (difference > threshold).to(difference.dtype).mean(dim=1)
