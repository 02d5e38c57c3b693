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

"""Paired statistics of scores that come in groups (patients): intervals, differences, and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

Scores: TypeAlias = Sequence[float] | np.ndarray

_ROWS_AT_ONCE = 1000  # resamples held in memory at a time


class Interval(NamedTuple):
    """A mean over images and its bootstrap interval; all NaN without values, the ends NaN with fewer than 2 groups."""

    mean: float
    low: float
    high: float


class Difference(NamedTuple):
    """A mean paired difference over images, its bootstrap interval and its two-sided p-value, NaN as in Interval."""

    mean: float
    low: float
    high: float
    p_value: float


def _by_group(values: np.ndarray, groups: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values of each group, in the order in which the groups come."""
    codes: dict[Hashable, int] = {}
    index = np.array([codes.setdefault(group, len(codes)) for group in groups], dtype=int)
    return np.bincount(index, weights=values), np.bincount(index)


def _in_parts(n: int) -> list[int]:
    return [min(_ROWS_AT_ONCE, n - start) for start in range(0, n, _ROWS_AT_ONCE)]


def _bootstrap_means(sums: np.ndarray, sizes: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Sums over sizes (n,), means over images, of as many groups as there are, drawn with replacement."""
    generator, count = np.random.default_rng(seed), len(sums)
    drawn = (generator.multinomial(count, np.full(count, 1 / count), size=part) for part in _in_parts(n))
    return np.concatenate([times @ sums / (times @ sizes) for times in drawn])


def _sign_flip_p_value(sums: np.ndarray, n: int, seed: int) -> float:
    """Share of the random signs of the groups that make the sum as far from 0 as it is, the signs found among them."""
    generator = np.random.default_rng(seed)
    signs = (2 * generator.integers(0, 2, size=(part, len(sums)), dtype=np.int8) - 1 for part in _in_parts(n))
    beyond = sum(int((np.abs(sign @ sums) >= abs(sums.sum()) * (1 - 1e-12)).sum()) for sign in signs)
    return (beyond + 1) / (n + 1)


def _valid(values: np.ndarray, groups: Sequence[Hashable], n: int, confidence: float) -> tuple[np.ndarray, list]:
    """The values that are not NaN and their groups."""
    if values.ndim != 1 or len(values) != len(groups):
        raise ValueError(f"values and groups must have one length, got {values.shape} and {len(groups)}.")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}.")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}.")
    kept = ~np.isnan(values)
    return values[kept], [group for group, keep in zip(groups, kept, strict=True) if keep]


def _pair(values_a: Scores, values_b: Scores) -> tuple[np.ndarray, np.ndarray]:
    """Two methods' scores for the same images."""
    a, b = np.asarray(values_a, dtype=float), np.asarray(values_b, dtype=float)
    if a.shape != b.shape:
        raise ValueError(f"values_a and values_b must have one length, got {a.shape} and {b.shape}.")
    return a, b


def _interval(values: np.ndarray, groups: Sequence[Hashable], n: int, seed: int, confidence: float) -> Interval:
    if not len(values):
        return Interval(math.nan, math.nan, math.nan)
    sums, sizes = _by_group(values, groups)
    if len(sums) < 2:
        return Interval(float(values.mean()), math.nan, math.nan)
    low, high = np.quantile(_bootstrap_means(sums, sizes, n, seed), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def bootstrap_interval(
    values: Scores, groups: Sequence[Hashable], n: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Mean over images and its percentile interval from a cluster bootstrap over groups.

    A resample draws as many groups as there are, with replacement and with all their images; its statistic is the mean
    over its images. The images of one patient are no independent evidence: intervals over images would be too narrow.
    With few groups (less than about 20) percentile intervals are too narrow themselves.

    Args:
        values: a score for each image; NaN leaves the image out.
        groups: the group of each image.
        n: number of resamples.
        seed: the same seed, groups and images with values draw the same resamples.
        confidence: of the interval, in (0, 1).

    Returns:
        Mean, low and high end.

    Raises:
        ValueError: when lengths differ or an argument is outside its range.

    Source:
        Field and Welsh, "Bootstrapping clustered data", J. R. Stat. Soc. B 69 (2007): the cluster bootstrap.
    """
    kept, kept_groups = _valid(np.asarray(values, dtype=float), groups, n, confidence)
    return _interval(kept, kept_groups, n, seed, confidence)


def ratio_of_means(
    values_a: Scores,
    values_b: Scores,
    groups: Sequence[Hashable],
    n: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Mean of a over mean of b, both over the images that have both scores, with the interval of the same resamples.

    Args:
        values_a: a score for each image.
        values_b: another method's score for the same images, none below 0; an image is left out where either is NaN.
        groups: the group of each image.
        n: number of resamples of whole groups, see :func:`bootstrap_interval`.
        seed: of the resamples.
        confidence: of the interval, in (0, 1).

    Returns:
        Ratio, low and high end; all NaN where b is 0 everywhere, the ends NaN where it is 0 in a whole resample.

    Raises:
        ValueError: when lengths differ or an argument is outside its range.
    """
    a, b = _pair(values_a, values_b)
    both = ~np.isnan(a + b)
    kept_a, kept_groups = _valid(np.where(both, a, np.nan), groups, n, confidence)
    sums_a, sums_b = (_by_group(values, kept_groups)[0] for values in (kept_a, b[both]))
    if sums_b.sum() <= 0:
        return Interval(math.nan, math.nan, math.nan)
    ratio = float(sums_a.sum() / sums_b.sum())
    if len(sums_b) < 2:
        return Interval(ratio, math.nan, math.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = _bootstrap_means(sums_a, sums_b, n, seed)  # of sums over sums, as a mean is of a sum over a number
    if not np.isfinite(ratios).all():
        return Interval(ratio, math.nan, math.nan)
    low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(ratio, float(low), float(high))


def paired_difference(
    values_a: Scores,
    values_b: Scores,
    groups: Sequence[Hashable],
    n: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Difference:
    """Mean of a - b over the images that both have, with the interval of :func:`bootstrap_interval` and a p-value.

    The two-sided p-value is that of a randomisation test: if neither is better, a group's differences might as well
    have the other sign. Of n random choices of a sign for every group it is the share whose mean difference is as far
    from 0 as the one found, with 1 added to count and n. It holds for few groups too, where resamples would all agree:
    G groups give no p-value below 2 / 2^G.

    Args:
        values_a: a score for each image.
        values_b: another method's score for the same images; an image is left out where either is NaN.
        groups: the group of each image.
        n: number of resamples and of choices of signs; no p-value is below 1 / (n + 1).
        seed: of both.
        confidence: of the interval, in (0, 1).

    Returns:
        Mean difference, low and high end, p-value.

    Raises:
        ValueError: when lengths differ or an argument is outside its range.

    Source:
        Pitman, "Significance tests which may be applied to samples from any populations", Suppl. J. R. Stat. Soc. 4
        (1937), the signs drawn for whole groups; Davison and Hinkley, "Bootstrap Methods and their Application"
        (1997), section 4.3, for the added 1.
    """
    a, b = _pair(values_a, values_b)
    kept, kept_groups = _valid(a - b, groups, n, confidence)
    interval = _interval(kept, kept_groups, n, seed, confidence)
    if math.isnan(interval.low):
        return Difference(*interval, p_value=math.nan)
    return Difference(*interval, p_value=_sign_flip_p_value(_by_group(kept, kept_groups)[0], n, seed))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p-values for the number of them, in the order given.

    The k-th smallest of m is multiplied by m - k + 1, no result is below that of a smaller p-value, nor above 1.

    Args:
        p_values: in [0, 1]; NaN stays NaN and does not count.

    Returns:
        Corrected p-values: all below alpha are rejected with a family-wise error of at most alpha.

    Raises:
        ValueError: when one is outside [0, 1].

    Source:
        Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6 (1979).
    """
    p = np.asarray(p_values, dtype=float)
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"p-values must lie in [0, 1], got {list(p_values)}.")
    order = np.argsort(p)[: int((~np.isnan(p)).sum())]  # NaN is sorted last
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected = np.full(p.shape, np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else []
    return corrected.tolist()
