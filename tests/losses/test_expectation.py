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

"""Expectation: one draw a step, the same for every image that it is applied to."""

from __future__ import annotations

import pytest
import torch

from monai_advexplain.losses import Expectation
from monai_advexplain.transforms.random_affine import AffineRange, warp
from tests.small import SIZES, images

DIMS = pytest.mark.parametrize("dims", [2, 3])
AFFINE = AffineRange(rotation=20, translation=0.1, scale=(0.9, 1.1), flip_axes=(0,))
BATCH = 3


def draw(expectation, dims=2, seed=5):
    torch.manual_seed(seed)
    return expectation.draw(images(BATCH, dims=dims))


@DIMS
@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_same_draw_is_applied_to_every_image_of_a_step(dims, clean, noise):
    apply = draw(Expectation(AFFINE, noise=noise, samples=3, clean=clean), dims)
    similar, adversarial = images(BATCH, dims=dims), images(BATCH, dims=dims, seed=1)
    assert torch.equal(apply(similar), apply(similar))
    # Warping is linear and the noise the same: the difference of two images is moved as an image is, without noise.
    noiseless = draw(Expectation(AFFINE, samples=3, clean=clean), dims)
    torch.testing.assert_close(
        apply(similar) - apply(adversarial), noiseless(similar - adversarial), atol=1e-5, rtol=1e-4
    )


@DIMS
@pytest.mark.parametrize("clean", [False, True])
def test_draws_equal_one_image_at_a_time_with_draws_first(dims, clean):
    samples = 4
    image = images(BATCH, dims=dims)
    moved = draw(Expectation(AFFINE, samples=samples, clean=clean), dims)(image)
    varied = samples - clean
    torch.manual_seed(5)
    theta = AFFINE.sample(varied * BATCH, SIZES[dims])
    rows = [image[b : b + 1] for b in range(BATCH)] if clean else []
    rows += [
        warp(image[b : b + 1], theta[k * BATCH + b : k * BATCH + b + 1]) for k in range(varied) for b in range(BATCH)
    ]
    assert moved.shape == (samples * BATCH, 1, *SIZES[dims])
    torch.testing.assert_close(moved, torch.cat(rows))


def test_a_row_of_the_reshaped_margins_is_one_draw_of_all_images():
    image = torch.arange(1.0, BATCH + 1).reshape(BATCH, 1, 1, 1).expand(-1, 1, 8, 8)
    means = draw(Expectation(AffineRange(flip_axes=(0, 1)), samples=2, clean=True))(image).mean(dim=(1, 2, 3))
    assert torch.equal(means.reshape(-1, BATCH), torch.tensor([[1.0, 2.0, 3.0]] * 2))


def test_draws_differ_between_images_and_between_draws():
    image = images(1).expand(BATCH, -1, -1, -1)
    moved = draw(Expectation(AFFINE, samples=2))(image)
    assert len({tuple(one.flatten().tolist()) for one in moved}) == 2 * BATCH


@pytest.mark.parametrize("arguments", [{"affine": AFFINE}, {"noise": 0.1}, {"affine": AFFINE, "noise": 0.1}])
def test_a_step_is_repeated_by_its_seed_and_only_by_it(arguments):
    image = images(BATCH)
    first, again, other = (draw(Expectation(**arguments, samples=2), seed=seed)(image) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@DIMS
def test_the_clean_sample_comes_first_and_untouched(dims):
    image = images(BATCH, dims=dims)
    moved = draw(Expectation(AFFINE, noise=0.1, samples=2, clean=True), dims)(image)
    assert torch.equal(moved[:BATCH], image)
    assert not torch.isclose(moved[BATCH:], image).all(dim=1).flatten(1).all(dim=1).any()


def test_one_clean_sample_and_no_transformation_are_the_image_itself():
    image = images(BATCH)
    for expectation in (Expectation(), Expectation(AFFINE, noise=0.1, clean=True)):
        assert torch.equal(draw(expectation)(image), image)


def test_noise_has_a_strength_of_its_own_for_each_image_up_to_the_declared_one():
    torch.manual_seed(0)
    blank = torch.zeros(200, 1, 16, 16)
    strengths = Expectation(noise=0.3).draw(blank)(blank).flatten(1).std(dim=1)
    assert strengths.max() < 0.3 * 1.15
    assert strengths.min() < 0.02
    assert strengths.mean().item() == pytest.approx(0.15, abs=0.02)


@DIMS
def test_gradients_flow_back_through_every_draw(dims):
    image = images(BATCH, dims=dims).requires_grad_(True)
    moved = draw(Expectation(AFFINE, noise=0.1, samples=3, clean=True), dims)(image)
    for k in range(3):
        (gradient,) = torch.autograd.grad(moved[k * BATCH : (k + 1) * BATCH].sum(), image, retain_graph=True)
        assert gradient.flatten(1).any(dim=1).all()


def test_noise_keeps_the_precision_of_the_images():
    image = images(BATCH).bfloat16()
    assert Expectation(AFFINE, noise=0.1, samples=2).draw(image)(image).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"samples": 0}, "samples must be at least 1, got 0"), ({"noise": -0.1}, "noise must not be negative, got -0.1")],
)
def test_arguments_out_of_range_are_refused_with_their_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        Expectation(**arguments)
