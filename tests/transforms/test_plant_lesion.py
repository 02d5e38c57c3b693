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

"""Planted lesions: where they are, how large, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter, label

from monai_advexplain.transforms import LesionRange, RandPlantLesiond
from monai_advexplain.transforms.plant_lesion import draw_lesion, tissue_of

SMOOTH = LesionRange(irregularity=0.0, texture=0.0, elongation=(1.0, 1.0), radius=(5.0, 5.0), edge=(0.05, 0.05))


def head(shape=(40, 44, 36), unit=1.0, affine=None):
    """Textured tissue in the middle of air, with an affine when given."""
    rng = np.random.default_rng(0)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum(axis**2 for axis in axes) < 0.8
    values = inside * (100 + 20 * gaussian_filter(rng.standard_normal(shape), 1.0)) + rng.random(shape)
    image = torch.from_numpy(unit * values[None]).float()
    return image if affine is None else MetaTensor(image, affine=affine)


def planted(image, seed=0, **options):
    return RandPlantLesiond("image", **options).set_random_state(seed)({"image": image})


@pytest.mark.parametrize("shape", [(40, 44, 36), (64, 60)])
def test_the_image_changes_in_the_mask_and_hardly_elsewhere_and_the_input_not_at_all(shape):
    image = head(shape)
    before = image.clone()
    item = planted(image, lesions=SMOOTH)
    change, mask = (item["image"] - image).abs(), item["mask"] > 0
    assert torch.equal(image, before)
    assert item["mask"].shape == image.shape
    assert item["mask"].unique().tolist() == [0.0, 1.0]
    assert change[mask].min() > 0.3 * change.max()
    assert change[~mask].mean() < 0.02 * change[mask].mean()


def test_lesions_lie_in_the_tissue():
    image = head()
    tissue = torch.from_numpy(tissue_of(image[0].numpy()))
    for seed in range(8):
        mask = planted(image, seed)["mask"][0] > 0
        assert mask.any()
        assert (mask & ~tissue).sum() < 0.1 * mask.sum()


def test_a_round_lesion_has_the_volume_of_its_radius_in_mm_on_any_grid():
    wanted = 4 / 3 * np.pi * 5.0**3
    for spacing in ((1.0, 1.0, 1.0), (2.0, 1.0, 1.5)):
        tissue = np.ones((48, 50, 44), dtype=bool)
        _, where = draw_lesion(np.random.default_rng(0), tissue, spacing, SMOOTH)
        assert where.sum() * np.prod(spacing) == pytest.approx(wanted, rel=0.1)
        image = head((40, 44, 36), affine=np.diag([*spacing, 1.0]))
        largest = planted(image, count=(1, 1), lesions=SMOOTH)["mask"].sum().item() * np.prod(spacing)
        assert 0.5 * wanted < largest < 1.1 * wanted  # the tissue's border may cut it


def test_lesions_differ_in_number_sign_size_and_place_from_seed_to_seed():
    image = head()
    items = [planted(image, seed) for seed in range(12)]
    numbers = {label(item["mask"][0].numpy())[1] for item in items}
    signs = {bool(((item["image"] - image) * item["mask"]).sum() > 0) for item in items}
    sizes = {int(item["mask"].sum()) for item in items}
    centres = {tuple(np.argwhere(item["mask"][0].numpy()).mean(0).round()) for item in items}
    assert numbers >= {1, 2}
    assert signs == {True, False}
    assert min(len(sizes), len(centres)) > 9


def test_one_seed_gives_one_lesion_and_the_unit_of_the_image_does_not_matter():
    one, same, other = planted(head(), 3), planted(head(), 3), planted(head(unit=1000.0), 3)
    assert torch.equal(one["image"], same["image"])
    assert torch.equal(one["mask"], other["mask"])
    torch.testing.assert_close(1000 * one["image"], other["image"], rtol=1e-3, atol=0.1)


def test_darker_lesions_do_not_fall_below_the_lowest_intensity():
    image = head()
    item = planted(image, lesions=LesionRange(brighter=0.0, contrast=(9.0, 9.0)))
    assert item["image"].min() >= image.min()
    assert ((item["image"] - image) * item["mask"]).sum() < 0


def test_lesions_are_added_to_a_mask_that_is_there_and_probability_zero_adds_none():
    image, mask = head(), torch.zeros(1, 40, 44, 36)
    mask[:, :2] = 1
    item = RandPlantLesiond("image").set_random_state(0)({"image": image, "mask": mask})
    assert item["mask"][:, :2].all()
    assert item["mask"].sum() > mask.sum()
    none = RandPlantLesiond("image", prob=0.0)({"image": image})
    assert torch.equal(none["image"], image)
    assert not none["mask"].any()


def test_the_mask_has_the_affine_of_the_image():
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    assert np.array_equal(planted(head(affine=affine))["mask"].affine, affine)


def test_what_cannot_be_planted_is_refused():
    with pytest.raises(ValueError, match="constant value"):
        planted(torch.ones(1, 20, 20, 20))
    with pytest.raises(ValueError, match=r"shape \(1, \*spatial\), 2D or 3D, got \(2, 40, 44, 36\)"):
        planted(head().repeat(2, 1, 1, 1))
    with pytest.raises(ValueError, match=r"count .* got \(2, 1\)"):
        RandPlantLesiond("image", count=(2, 1))
    with pytest.raises(ValueError, match=r"radius must be \(low, high\)"):
        LesionRange(radius=(5.0, 4.0))
    with pytest.raises(ValueError, match=r"brighter must lie in \[0, 1\], got 2"):
        LesionRange(brighter=2)
