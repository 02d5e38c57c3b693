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

"""Distances between two sets of points, such as the latent codes of generated and of real images."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.distance import jensenshannon
from sklearn.decomposition import PCA
from torch import Tensor

from monai_advexplain.metrics._pixels import score_dtype

BINS = 10
"""Bins along each principal component of :class:`RealPlane`."""


def _checked(name: str, points: Tensor, features: int | None = None, at_least: int = 1) -> Tensor:
    """Points (N, D) as a plain tensor in double precision (single on MPS)."""
    wanted = "D" if features is None else str(features)
    if points.ndim != 2 or (features is not None and points.shape[1] != features):
        raise ValueError(f"{name} must have shape (N, {wanted}), got {tuple(points.shape)}.")
    if len(points) < at_least:
        raise ValueError(f"{name} must be at least {at_least} points, got {len(points)}.")
    if not points.isfinite().all():
        raise ValueError(f"{name} must be finite, got {int((~points.isfinite()).sum())} NaN or infinite values.")
    return points.detach().as_subclass(Tensor).to(score_dtype(points.device))


def frechet_distance(points: Tensor, others: Tensor) -> Tensor:
    """Frechet distance of the normal distributions with the means and covariances of two sets of points.

    ``|m - m'|^2 + tr(S + S' - 2 (S S')^(1/2))``: the square of the Wasserstein-2 distance, as FID is. Covariances are
    divided by N - 1. It is biased upwards for few points, the more so the fewer: compare only distances of sets of the
    same sizes.

    Args:
        points: (N, D), N at least 2, finite.
        others: (M, D), M at least 2, finite.

    Returns:
        Scalar in the squared units of the points, at least 0 (to rounding), low = alike; symmetric.

    Raises:
        ValueError: when shapes do not fit, there are fewer than 2 points, or values are not finite.

    Source:
        Dowson and Landau, "The Frechet distance between multivariate normal distributions", J. Multivariate Anal. 12
        (1982). ``monai.metrics.FIDMetric`` is the same by a square root of the product of both covariances, which is
        imprecise where that is singular (fewer points than dimensions) and leaves the device; here the trace of the
        root is a sum of singular values.
    """
    x = _checked("points", points, at_least=2)
    y = _checked("others", others, x.shape[1], at_least=2)
    means = x.mean(dim=0), y.mean(dim=0)
    # S = X'X of the centred points, so that tr (S S')^(1/2) is the sum of the singular values of X X''; the triangular
    # factors of X and X' have the same ones, and are small.
    x, y = ((z - mean) / (len(z) - 1) ** 0.5 for z, mean in zip((x, y), means, strict=True))
    triangles = [torch.linalg.qr(z, mode="r").R for z in (x, y)]
    root = torch.linalg.svdvals(triangles[0] @ triangles[1].T).sum()
    return (means[0] - means[1]).square().sum() + x.square().sum() + y.square().sum() - 2 * root


class RealPlane:
    """The plane of the first two principal components of **real** points, with a grid over it.

    Generated points have no say in the plane, nor in the grid: it spans the range of the real points, and what lies
    outside counts in the outermost bins.

    Args:
        real: (N, D), N at least 2 and D at least 2, finite.
        bins: along each component.

    Raises:
        ValueError: when the shape does not fit, values are not finite, or there are no bins.

    Example::

        plane = RealPlane(torch.cat([codes_no, codes_yes]))
        plane.jensen_shannon(codes_adversarial, codes_no)
    """

    def __init__(self, real: Tensor, bins: int = BINS) -> None:
        if bins < 1:
            raise ValueError(f"bins must be at least 1, got {bins}.")
        points = _checked("real", real, at_least=2)
        if points.shape[1] < 2:
            raise ValueError(f"real must have at least 2 dimensions, got {tuple(points.shape)}.")
        self.bins = bins
        self._pca = PCA(n_components=2, svd_solver="full").fit(points.cpu().numpy())
        self._features = points.shape[1]
        projected = self.project(real).numpy()
        self._low, self._high = projected.min(axis=0), projected.max(axis=0)

    def project(self, points: Tensor) -> Tensor:
        """The two components (N, 2) of points (N, D), on the CPU."""
        checked = _checked("points", points, self._features)
        return torch.from_numpy(self._pca.transform(checked.cpu().numpy()))

    def histogram(self, points: Tensor) -> np.ndarray:
        """The share of points (N, D) in each bin, (bins, bins)."""
        span = np.where(self._high > self._low, self._high - self._low, 1.0)
        places = np.floor((self.project(points).numpy() - self._low) / span * self.bins).astype(int)
        first, second = places.clip(0, self.bins - 1).T
        counts = np.bincount(first * self.bins + second, minlength=self.bins**2)
        return counts.reshape(self.bins, self.bins) / len(points)

    def jensen_shannon(self, points: Tensor, others: Tensor) -> float:
        """Jensen-Shannon distance of the histograms of two sets of points.

        The square root of the divergence, with logarithms of base 2. It is biased upwards for few points, as
        :func:`frechet_distance`.

        Args:
            points: (N, D), finite.
            others: (M, D), finite.

        Returns:
            In [0, 1], 0 for equal histograms, 1 for histograms without a common bin; symmetric.

        Raises:
            ValueError: when shapes do not fit or values are not finite.

        Source:
            Endres and Schindelin, "A new metric for probability distributions", IEEE Trans. Inf. Theory 49 (2003);
            as a measure of the realism of adversaries Charachon et al., arXiv 2106.10947.
        """
        return float(jensenshannon(self.histogram(points).ravel(), self.histogram(others).ravel(), base=2))
