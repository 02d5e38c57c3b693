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

"""Random affine transformations: what is drawn, how it moves pixels, and how it is undone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_advexplain.transforms.random_affine import AffineRange, invert, warp

SIZES = [(64, 48), (44, 40, 36)]
EVERYTHING = AffineRange(rotation=25, translation=0.08, scale=(0.9, 1.15), flip_axes=(0, 1))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth_images(size: tuple[int, ...], batch: int = 3) -> torch.Tensor:
    """(batch, 1, *size): three blobs of 4 pixels' width each, somewhere around the middle; highest value 1."""
    axes = torch.meshgrid(*(torch.arange(length).float() for length in size), indexing="ij")
    images = torch.zeros(batch, 1, *size)
    for image, centres in zip(images, torch.rand(batch, 3, len(size), generator=seeded(1)), strict=True):
        for centre in (0.35 + 0.3 * centres) * torch.tensor(size):
            distance = sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True))
            image += torch.exp(-distance / (2 * 4**2))
        image /= image.max()
    return images


def scipy_warp(image: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """The same transformation of one image (*spatial), in pixels, by SciPy."""
    size = np.array(image.shape, dtype=float)
    scale = size / 2
    linear = theta[::-1, -2::-1] * scale[:, None] / scale[None, :]  # from (x, y, z) last axis first to array axes
    centre = (size - 1) / 2
    return ndimage.affine_transform(
        image, linear, centre - linear @ centre + theta[::-1, -1] * scale, order=1, mode="grid-constant"
    )


@pytest.mark.parametrize("size", SIZES)
def test_default_ranges_draw_exact_identities_that_move_nothing(size):
    theta = AffineRange().sample(4, size, seeded())
    assert torch.equal(theta, torch.eye(len(size), len(size) + 1).expand(4, -1, -1))
    images = torch.rand(4, 2, *size)
    assert torch.equal(warp(images, theta), images)


@pytest.mark.parametrize("size", SIZES)
def test_warp_equals_scipys_affine_transform(size):
    images = smooth_images(size)
    theta = EVERYTHING.sample(len(images), size, seeded(3))
    expected = [scipy_warp(image[0].numpy(), t.double().numpy()) for image, t in zip(images, theta, strict=True)]
    np.testing.assert_allclose(warp(images, theta)[:, 0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_the_inverse_recovers_smooth_images_within_five_percent(size):
    images = smooth_images(size)
    theta = AffineRange(rotation=15, translation=0.03, scale=(0.95, 1.1), flip_axes=(0, 1)).sample(3, size, seeded(2))
    moved = warp(images, theta)
    assert (moved - images).abs().amax() > 0.3  # there is something to undo
    assert (warp(moved, invert(theta)) - images).abs().max() < 0.05


@pytest.mark.parametrize("size", SIZES)
def test_inverting_twice_gives_the_transformation_back(size):
    theta = EVERYTHING.sample(8, size, seeded())
    torch.testing.assert_close(invert(invert(theta)), theta, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_rotations_keep_distances_in_pixels_on_non_square_grids(size):
    theta = AffineRange(rotation=180).sample(16, size, seeded())
    half = torch.tensor(size[::-1]) / 2
    in_pixels = theta[..., :-1] * half[:, None] / half
    torch.testing.assert_close(in_pixels @ in_pixels.mT, torch.eye(len(size)).expand(16, -1, -1))
    torch.testing.assert_close(torch.linalg.det(in_pixels), torch.ones(16))
    assert in_pixels.sub(torch.eye(len(size))).abs().amin(dim=0).max() > 0  # not the identity


def test_angles_fill_the_range_in_both_directions():
    theta = AffineRange(rotation=30).sample(500, (32, 32), seeded())
    angles = torch.rad2deg(torch.atan2(theta[:, 1, 0], theta[:, 0, 0]))
    assert -30 <= angles.min() < -29
    assert 29 < angles.max() <= 30


def test_a_volume_is_rotated_about_all_three_axes():
    theta = AffineRange(rotation=20).sample(50, (16, 16, 16), seeded())
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert theta[:, i, j].abs().max() > math.sin(math.radians(15))


@pytest.mark.parametrize("size", SIZES)
def test_flips_are_bit_exact_along_the_axes_named(size):
    images = torch.rand(2, 3, *size)
    for axis in range(len(size)):
        theta = AffineRange(flip_axes=(axis,), flip_probability=1.0).sample(2, size)
        assert torch.equal(warp(images, theta), images.flip(2 + axis))
        assert torch.equal(warp(warp(images, theta), invert(theta)), images)


def test_flips_happen_with_their_probability_and_on_their_axes_only():
    theta = AffineRange(flip_axes=(1,), flip_probability=0.25).sample(2000, (8, 6), seeded())
    assert (theta[:, 0, 0] < 0).float().mean().item() == pytest.approx(0.25, abs=0.03)  # x of the grid: last axis
    assert (theta[:, 1, 1] == 1).all()


def test_flipped_and_unflipped_and_rotated_images_of_one_batch_do_not_mix():
    images = smooth_images((64, 48))
    flip = AffineRange(flip_axes=(0,), flip_probability=1.0).sample(1, (64, 48))
    turn = AffineRange(rotation=25).sample(1, (64, 48), seeded())
    theta = torch.cat([flip, turn, AffineRange().sample(1, (64, 48))])
    together = warp(images, theta)
    assert torch.equal(together, torch.cat([warp(images[i : i + 1], theta[i : i + 1]) for i in range(3)]))


def test_translation_moves_the_centre_by_its_share_whatever_else_happens():
    size, half = (40, 20), torch.tensor([10.0, 20.0])
    everything = AffineRange(rotation=40, translation=0.1, scale=(0.5, 2.0), flip_axes=(0, 1))
    centre = invert(everything.sample(1000, size, seeded()))[..., -1] * half  # where the input's centre lands, pixels
    limits = torch.tensor([2.0, 4.0])
    assert (centre.abs() <= limits + 1e-4).all()
    assert (centre.abs().amax(dim=0) > 0.98 * limits).all()


def test_a_zoom_of_two_draws_things_twice_as_large():
    images = torch.zeros(1, 1, 32, 32)
    images[..., 12:20, 14:18] = 1
    moved = warp(images, AffineRange(scale=(2, 2)).sample(1, (32, 32)), mode="nearest")
    expected = torch.zeros(1, 1, 32, 32)
    expected[..., 8:24, 12:20] = 1
    assert torch.equal(moved, expected)


def test_a_seed_gives_the_same_transformations_on_any_batch_size_and_for_any_other_range():
    theta = EVERYTHING.sample(7, (64, 48), seeded(5))
    assert torch.equal(theta[:3], EVERYTHING.sample(3, (64, 48), seeded(5)))
    assert not torch.equal(theta, EVERYTHING.sample(7, (64, 48), seeded(6)))
    assert not torch.equal(theta[0], theta[1])
    turned = AffineRange(rotation=25).sample(7, (64, 48), seeded(5))
    also_flipped = AffineRange(rotation=25, flip_axes=(0, 1)).sample(7, (64, 48), seeded(5))
    assert torch.equal(turned.abs(), also_flipped.abs())


@pytest.mark.parametrize("size", [(6, 5), (5, 4, 3)])
def test_the_gradient_flows_to_the_images_through_flips_and_interpolation(size):
    theta = torch.cat(
        [EVERYTHING.sample(1, size, seeded(1)), AffineRange(flip_axes=(0,), flip_probability=1).sample(1, size)]
    )
    images = torch.rand(2, 1, *size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: warp(x, theta), images)


def test_autocast_changes_neither_coordinates_nor_results():
    images = smooth_images((64, 48))
    theta = EVERYTHING.sample(3, (64, 48), seeded())
    expected = warp(images, theta)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(EVERYTHING.sample(3, (64, 48), seeded()), theta)
        assert torch.equal(warp(images, theta), expected)
        torch.testing.assert_close(warp(images, invert(theta)), warp(images, invert(theta).float()))
        low = warp(images.bfloat16(), theta)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), expected, rtol=0, atol=0.01)


def test_padding_decides_what_comes_in_from_outside():
    images = torch.ones(1, 1, 20, 20)
    theta = AffineRange(scale=(0.5, 0.5)).sample(1, (20, 20))
    assert warp(images, theta).mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(warp(images, theta, padding_mode="border"), images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rotation": 181}, r"rotation must lie in \[0, 180\] degrees, got 181"),
        ({"translation": -0.1}, "translation must be at least 0, got -0.1"),
        ({"scale": (0, 1)}, r"scale must be .* got \(0, 1\)"),
        ({"scale": (1.2, 0.8)}, "0 < low <= high"),
        ({"flip_axes": (3,)}, r"flip_axes must be among 0, 1 and 2, got \(3,\)"),
        ({"flip_probability": 2}, r"flip_probability must lie in \[0, 1\], got 2"),
    ],
)
def test_bad_ranges_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        AffineRange(**arguments)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"2 or 3 axes, got \(8,\)"):
        AffineRange().sample(1, (8,))
    with pytest.raises(ValueError, match=r"flip_axes=\(2,\) names an axis"):
        AffineRange(flip_axes=(2,)).sample(1, (8, 8))
    with pytest.raises(ValueError, match=r"2 or 3 spatial axes, got \(1, 8, 8\)"):
        warp(torch.rand(1, 8, 8), torch.eye(2, 3)[None])
    with pytest.raises(ValueError, match=r"theta must have shape \(2, 2, 3\) .* got \(1, 2, 3\)"):
        warp(torch.rand(2, 1, 8, 8), torch.eye(2, 3)[None])
    with pytest.raises(ValueError, match=r"\(B, d, d\+1\), got \(3, 3\)"):
        invert(torch.eye(3))
