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

"""GeometricAveraging: exact for flips and right angles, unbiased at borders, the same map on any batch size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_advexplain.explainers import Explainer, GeometricAveraging, GradientExplainer
from monai_advexplain.transforms import AffineRange, invert, warp
from tests.small import SIZES, classifier, images

DIMS = pytest.mark.parametrize("dims", [2, 3])
PLANES = {2: ((0, 1),), 3: ((0, 1), (1, 2), (0, 2))}
MOVES = AffineRange(rotation=20, translation=0.1, scale=(0.85, 1.2), flip_axes=(0, 1))


def brightness(shown):
    """An equivariant explainer: the mean over channels."""
    return shown.mean(dim=1, keepdim=True)


def along_x(shown):
    """An explainer that depends on where things are: brightness times the first coordinate."""
    ramp = torch.linspace(0, 1, shown.shape[2]).reshape(-1, *[1] * (shown.ndim - 3))
    return brightness(shown) * ramp


class Recorded:
    """An explainer that remembers what it was shown."""

    def __init__(self, explainer=brightness):
        self.explainer, self.shown = explainer, []

    def __call__(self, shown):
        self.shown.append(shown.clone())
        return self.explainer(shown)


@DIMS
@pytest.mark.parametrize("seed", range(6))
def test_flips_and_right_angles_are_undone_bit_for_bit_also_when_the_image_is_not_square(dims, seed):
    shown = images(2, dims=dims)
    explainer = Recorded()
    flips = AffineRange(flip_axes=range(dims))
    averaged = GeometricAveraging(explainer, n=1, affine=flips, right_angles=PLANES[dims], seed=seed)
    assert torch.equal(averaged(shown), shown)  # (x + x) / 2 is exact
    moved = explainer.shown[1]
    assert torch.equal(moved.flatten(1).sort(dim=1).values, shown.flatten(1).sort(dim=1).values)  # pixels change places
    assert moved.shape != shown.shape or not torch.equal(moved, shown)


def test_the_turns_shown_are_all_four_right_angles():
    shown = images(1)
    explainer = Recorded()
    GeometricAveraging(explainer, n=24, affine=AffineRange(), right_angles=[(0, 1)])(shown)
    turned = [shown.rot90(k, (2, 3)) for k in range(4)]
    seen = [one[None] for batch in explainer.shown[1:] for one in batch]
    counts = [sum(one.shape == turn.shape and torch.equal(one, turn) for one in seen) for turn in turned]
    assert sum(counts) == len(seen) == 24
    assert min(counts) > 0


@DIMS
@pytest.mark.parametrize("planes", [False, True], ids=["affine", "right angles too"])
def test_the_map_equals_a_plain_sum_over_one_transformation_of_one_image_at_a_time(dims, planes):
    shown = images(3, 2, dims)
    planes = PLANES[dims] if planes else ()
    averaged = GeometricAveraging(along_x, n=5, affine=MOVES, right_angles=planes, seed=3)(shown)
    generator = torch.Generator().manual_seed(3)
    theta = MOVES.sample(5, SIZES[dims], generator)
    quarters = torch.randint(4, (5, len(planes)), generator=generator)
    for image, found in zip(shown, averaged, strict=True):
        total, coverage = along_x(image[None]), torch.ones(1, 1, *SIZES[dims])
        for i in range(5):
            moved = warp(image[None], theta[i : i + 1])
            for (a, b), k in zip(planes, quarters[i].tolist(), strict=True):
                moved = moved.rot90(k, (2 + a, 2 + b))
            back = along_x(moved)
            for (a, b), k in list(zip(planes, quarters[i].tolist(), strict=True))[::-1]:
                back = back.rot90(4 - k, (2 + a, 2 + b))
            total = total + warp(back, invert(theta[i : i + 1]))
            coverage = coverage + warp(torch.ones_like(back), invert(theta[i : i + 1]))
        torch.testing.assert_close(found[None], total / coverage)
    assert not torch.allclose(averaged, along_x(shown), atol=0.05)


@DIMS
def test_a_constant_map_stays_constant_up_to_the_border(dims):
    averaged = GeometricAveraging(lambda x: torch.full_like(x, 0.7), affine=MOVES, right_angles=PLANES[dims])
    shown = images(2, dims=dims)
    torch.testing.assert_close(averaged(shown), torch.full_like(shown, 0.7))


@pytest.mark.parametrize("size", [(64, 48), (44, 40, 36)])
def test_the_map_of_an_equivariant_explainer_is_recovered_within_three_percent_of_its_maximum(size):
    axes = torch.meshgrid(*(torch.linspace(-1, 1, length) * length / 2 for length in size), indexing="ij")
    distance = sum((axis - 4.0) ** 2 for axis in axes)
    shown = torch.exp(-distance / (2 * 6.0**2))[None, None]
    explainer = Recorded()
    averaged = GeometricAveraging(explainer)(shown)
    assert (torch.cat(explainer.shown) - shown).abs().max() > 0.3  # there is something to undo
    assert (averaged - shown).abs().max() < 0.03


@DIMS
def test_no_transformation_gives_the_maps_of_the_explainer_bit_for_bit(dims):
    explainer = GradientExplainer(classifier(dims))
    shown = images(3, dims=dims)
    averaged = GeometricAveraging(explainer, n=0, batch_size=1, right_angles=PLANES[dims])
    torch.testing.assert_close(averaged(shown), explainer(shown))


@DIMS
def test_a_seed_gives_an_image_the_same_map_on_any_batch_size_and_at_every_call(dims):
    shown = images(5, dims=dims)
    given = {"affine": MOVES, "right_angles": PLANES[dims]}
    explainer = GeometricAveraging(along_x, **given, seed=1, batch_size=60)
    maps = explainer(shown)
    for batch_size in (1, 7):
        torch.testing.assert_close(GeometricAveraging(along_x, **given, seed=1, batch_size=batch_size)(shown), maps)
    torch.testing.assert_close(torch.cat([explainer(image[None]) for image in shown]), maps)
    assert not torch.allclose(GeometricAveraging(along_x, **given, seed=2)(shown), maps, atol=0.01)


def test_no_more_transformed_images_than_asked_for_are_explained_at_a_time():
    explainer = Recorded()
    GeometricAveraging(explainer, n=5, batch_size=4)(images(3))
    assert [len(batch) for batch in explainer.shown] == [3, 4, 4, 4, 3]


def test_the_global_random_numbers_and_the_input_stay_as_they_were_whatever_the_explainer_does():
    def greedy(shown):
        maps = brightness(shown)
        shown.zero_().requires_grad_(True)
        return maps

    shown = MetaTensor(images(2))
    before, state = shown.clone(), torch.get_rng_state()
    maps = GeometricAveraging(greedy)(shown)
    assert torch.equal(shown, before)
    assert not shown.requires_grad
    assert torch.equal(torch.get_rng_state(), state)
    assert type(maps) is torch.Tensor
    assert torch.equal(maps, GeometricAveraging(brightness)(shown))


@DIMS
def test_a_function_around_captum_is_averaged_also_without_gradients(dims):
    attribution = pytest.importorskip("captum.attr")
    net = classifier(dims)
    saliency = attribution.Saliency(net)
    around = GeometricAveraging(lambda x: saliency.attribute(x, target=0).amax(1, keepdim=True), n=3)
    shown = images(2, dims=dims)
    with torch.no_grad():
        maps = around(shown)
    torch.testing.assert_close(maps, GeometricAveraging(GradientExplainer(net), n=3)(shown), rtol=1e-3, atol=1e-6)
    assert not maps.requires_grad


def test_an_explainer_of_one_size_complains_about_right_angles_of_another_shape_itself():
    class OfOneSize(Explainer):
        def explain(self, shown):
            return brightness(shown) + torch.zeros(SIZES[2])

    assert GeometricAveraging(OfOneSize())(images(1)).shape == (1, 1, *SIZES[2])
    with pytest.raises(RuntimeError, match="must match"):
        GeometricAveraging(OfOneSize(), right_angles=[(0, 1)])(images(1))


def test_the_padding_is_what_the_explainer_sees_outside_the_image():
    least = {}
    for padding_mode in ("zeros", "border"):
        explainer = Recorded()
        GeometricAveraging(explainer, padding_mode=padding_mode)(torch.ones(1, 1, 16, 16))
        least[padding_mode] = min(batch.min().item() for batch in explainer.shown)
    assert least["zeros"] == 0
    np.testing.assert_allclose(least["border"], 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": -1}, "n must be at least 0, got -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"right_angles": [(0, 0)]}, r"pairs of two of the axes 0, 1 and 2, got \[\(0, 0\)\]"),
        ({"right_angles": [(0, 3)]}, r"pairs of two of the axes 0, 1 and 2, got \[\(0, 3\)\]"),
    ],
)
def test_arguments_out_of_range_are_refused_with_their_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        GeometricAveraging(brightness, **arguments)


def test_a_plane_that_the_image_lacks_and_maps_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"names an axis that images of size \(16, 12\) lack"):
        GeometricAveraging(brightness, right_angles=[(1, 2)])(images(1))
    with pytest.raises(RuntimeError, match=r"maps of shape \(1, 2, 16, 12\), wanted \(1, 1, 16, 12\)"):
        GeometricAveraging(lambda x: x)(images(1, 2))


def test_without_a_seed_other_transformations_are_drawn_at_every_call_from_torchs_random_numbers():
    explainer, shown = GeometricAveraging(along_x, n=2, affine=MOVES, seed=None), images()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        first, second = explainer(shown), explainer(shown)
        torch.manual_seed(5)
        again = explainer(shown)
    assert torch.equal(first, again)
    assert not torch.allclose(first, second, atol=0.01)
