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

"""Tests of the distances of point sets, against slow plain references and MONAI's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from monai.data import MetaTensor
from monai.metrics import FIDMetric

from monai_advexplain.metrics import RealPlane, frechet_distance


def points(count, features=5, shift=0.0, seed=0, scale=1.0):
    """Correlated normal points (count, features)."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.eye(features) + 0.3 * torch.rand(features, features, generator=generator)
    return scale * torch.randn(count, features, generator=generator) @ mixing + shift


def frechet_reference(x, y):
    """The formula as it is written."""
    x, y = x.double().numpy(), y.double().numpy()
    s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(s @ t).real
    return ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum() + np.trace(s + t - 2 * root)


def jensen_shannon_reference(x, y, real, bins):
    """Bin by bin, in the plane of the two leading eigenvectors of the real points' covariance."""
    x, y, real = (z.double().numpy() for z in (x, y, real))
    values, vectors = np.linalg.eigh(np.cov(real, rowvar=False))
    plane = vectors[:, np.argsort(values)[::-1][:2]]
    low, high = (real @ plane).min(axis=0), (real @ plane).max(axis=0)
    shares = []
    for z in (x, y):
        share: dict[tuple[int, int], float] = {}
        for place in z @ plane:
            inside = ((place - low) / (high - low) * bins).astype(float)
            key = tuple(min(max(math.floor(value), 0), bins - 1) for value in inside)
            share[key] = share.get(key, 0.0) + 1 / len(z)
        shares.append(share)
    divergence = 0.0
    for key in {*shares[0], *shares[1]}:
        p, q = (share.get(key, 0.0) for share in shares)
        middle = (p + q) / 2
        divergence += sum(r / 2 * math.log2(r / middle) for r in (p, q) if r)
    return math.sqrt(divergence)


def test_the_frechet_distance_is_the_formula_and_monais():
    x, y = points(200), points(150, shift=0.4, seed=1, scale=1.5)
    found = frechet_distance(x, y)
    assert found.item() == pytest.approx(frechet_reference(x, y), rel=1e-9)
    assert found.item() == pytest.approx(FIDMetric()(x, y).item(), rel=1e-6)


def test_the_frechet_distance_of_one_dimension_has_a_closed_form():
    x, y = torch.tensor([[-1.0], [1.0]]), torch.tensor([[1.0], [7.0]])  # means 0 and 4, deviations 2^.5 and 18^.5
    assert frechet_distance(x, y).item() == pytest.approx(16 + (18**0.5 - 2**0.5) ** 2)


def test_fewer_points_than_dimensions_leave_the_frechet_distance_exact():
    x, y = points(6, features=20), points(5, features=20, seed=1)
    s, t = (np.cov(z.double().numpy(), rowvar=False) for z in (x, y))
    values, vectors = np.linalg.eigh(s)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ t @ root).clip(1e-30)).sum()
    means = ((x.double().mean(dim=0) - y.double().mean(dim=0)) ** 2).sum().item()
    expected = means + np.trace(s) + np.trace(t) - 2 * trace
    assert frechet_distance(x, y).item() == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(x, x).item() == pytest.approx(0, abs=1e-10)


def test_distances_are_symmetric_and_zero_for_equal_sets():
    x, y = points(60), points(60, shift=1.0, seed=1)
    plane = RealPlane(torch.cat([x, y]))
    for distance in (lambda a, b: frechet_distance(a, b).item(), plane.jensen_shannon):
        assert distance(x, y) == pytest.approx(distance(y, x))
        assert distance(x, y) > 0.2
        assert distance(x, x[torch.randperm(60)]) == pytest.approx(0, abs=1e-10)


def test_few_points_are_farther_apart_than_many_of_the_same_distribution():
    x, y = points(4000).split(2000)
    assert frechet_distance(x[:10], y[:10]) > 10 * frechet_distance(x, y) > 0


@pytest.mark.parametrize("bins", [1, 4, 10])
def test_the_jensen_shannon_distance_is_that_of_histograms_in_the_real_points_plane(bins):
    real = points(120) * torch.tensor([3.0, 1.0, 0.5, 0.2, 0.1])
    x, y = real[:50], 1.5 * real[50:] + 0.5  # some of them outside of the real points' range
    found = RealPlane(real, bins).jensen_shannon(x, y)
    assert found == pytest.approx(jensen_shannon_reference(x, y, real, bins), abs=1e-7)
    assert (found == 0) == (bins == 1)


def test_generated_points_far_outside_count_in_the_outermost_bins_and_do_not_move_the_plane():
    real = points(100)
    plane = RealPlane(real, bins=3)
    assert plane.histogram(real + 1000.0).sum() == pytest.approx(1)
    assert (plane.histogram(real + 1000.0) == 1).sum() == 1
    far = plane.jensen_shannon(1000.0 + real, real)
    assert 0.9 < far < 1
    corners = torch.tensor([[-9.0, 0], [9.0, 0], [0, -1], [0, 1]])
    assert RealPlane(corners).jensen_shannon(corners[:1], corners[1:2]) == 1


def test_the_plane_is_that_of_the_largest_variance():
    real = torch.zeros(40, 4)
    real[:, 1], real[:, 3] = torch.linspace(-5, 5, 40), torch.tensor([-1.0, 1.0, 1.0, -1.0]).repeat(10)  # uncorrelated
    projected = RealPlane(real).project(real)
    torch.testing.assert_close(projected[:, 0].abs(), real[:, 1].double().abs())
    torch.testing.assert_close(projected.norm(dim=1), real.double().norm(dim=1))


def test_a_constant_component_is_one_bin():
    real = torch.zeros(10, 3)
    real[:, 0] = torch.linspace(0, 1, 10)
    assert (RealPlane(real, bins=5).histogram(real).sum(axis=1) == 0.2).all()


def test_autocast_and_devices_by_default_change_nothing_and_plain_tensors_come_out():
    x, y = points(30), points(30, seed=1)
    expected = frechet_distance(x, y), RealPlane(x).jensen_shannon(x, y)
    with torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
        x, y = MetaTensor(x, device="cpu"), MetaTensor(y, device="cpu")
        found = frechet_distance(x, y), RealPlane(x).jensen_shannon(x, y)
    assert type(found[0]) is torch.Tensor
    assert (found[0].item(), found[1]) == (expected[0].item(), expected[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x[0], y), r"points must have shape \(N, D\), got \(5,\)"),
        (lambda x, y: (x, y[:, :4]), r"others must have shape \(N, 5\), got \(9, 4\)"),
        (lambda x, y: (x[:1], y), "points must be at least 2 points, got 1"),
        (lambda x, y: (x, y.log()), "others must be finite, got"),
    ],
)
def test_points_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(*change(points(9), points(9, seed=1)))


def test_a_plane_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        RealPlane(points(9), bins=0)
    with pytest.raises(ValueError, match=r"at least 2 dimensions, got \(9, 1\)"):
        RealPlane(points(9)[:, :1])
