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

"""The head phantom: anatomy, lesions and the data set."""

from __future__ import annotations

from collections import Counter

import nibabel
import numpy as np
import pytest

from monai_advexplain.__main__ import main
from monai_advexplain.data import load_datalist, render_head, write_head_phantom

SIZE = 32


def test_with_and_without_lesion_a_head_differs_at_the_lesion_only():
    for seed in range(4):
        ill, healthy = (render_head(seed, [1, seed], SIZE, lesion) for lesion in (True, False))
        assert not healthy.lesions.any()
        assert 0.0005 < ill.lesions.mean() < 0.05
        difference = np.abs(ill.image - healthy.image)
        assert difference[ill.lesions].mean() > 0.06
        assert difference[~ill.lesions].mean() < 0.004


def test_a_head_follows_from_its_two_seeds():
    image = render_head(0, 5, SIZE).image
    assert np.array_equal(image, render_head(0, 5, SIZE).image)
    for other in (render_head(0, 6, SIZE), render_head(1, 5, SIZE)):
        assert np.abs(image - other.image).mean() > 0.01


def test_a_head_is_dark_outside_bright_at_the_scalp_dark_in_the_skull_and_darker_in_the_ventricles_than_beside_them():
    images = np.stack([render_head(seed, seed, SIZE).image for seed in range(6)])
    assert images.min() >= 0
    assert images.max() <= 1
    middle, mean = SIZE // 2, images.mean(0)
    assert mean[:3, :3].mean() < 0.1
    profile = mean[: middle // 2 + 2, middle, middle]
    scalp = profile.argmax()
    assert profile[scalp] > 2 * mean[0, 0, 0]
    ventricles = [mean[middle + shift, middle, middle + 1] for shift in (-2, 1)]
    assert max(ventricles) < mean[middle - 7, middle, middle + 1]


def test_the_data_set_has_both_labels_of_every_patient_and_its_masks_lie_on_the_volumes(tmp_path):
    folder = write_head_phantom(tmp_path / "data", n_volumes=24, size=16, progress=False)
    splits = load_datalist(folder)
    items = [item for section in splits.values() for item in section]
    assert Counter(item["label"] for item in items) == {0: 12, 1: 12}
    assert set(Counter(item["group"] for item in items).values()) == {2}
    image, mask = (nibabel.load(next(i for i in items if i["label"])[key]) for key in ("image", "mask"))
    assert image.shape == mask.shape == (16, 16, 16)
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    np.testing.assert_allclose(image.header.get_zooms(), 12.0)
    np.testing.assert_allclose(image.affine, mask.affine)
    np.testing.assert_allclose(image.affine @ [7.5, 7.5, 7.5, 1], [0, 0, 0, 1], atol=1e-6)


def test_the_command_writes_heads(tmp_path, capsys):
    command = ["phantom", str(tmp_path / "data"), "--kind", "head", "--images", "20", "--size", "16"]
    assert main(command) == 0
    assert "20 images" in capsys.readouterr().out
    assert main([*command, "--seed", "1"]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main([*command, "--confounder", "0.5"]) == 2


def test_sizes_that_cannot_be_drawn_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"size must be in \[16, 512\], got 8"):
        write_head_phantom(tmp_path / "data", size=8)
