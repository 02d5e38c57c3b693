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

"""Tests of the phantom of shapes: what is drawn, and the data sets of classes and of labels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from monai_advexplain import Decision
from monai_advexplain.__main__ import main
from monai_advexplain.data import load_datalist, render_shapes, write_shapes_phantom
from monai_advexplain.data.shapes_phantom import SHAPES


def test_with_and_without_a_shape_an_image_differs_at_the_shape_only():
    for seed in range(20):
        both, none = render_shapes(seed, shapes=SHAPES), render_shapes(seed)
        assert not none.masks
        assert np.array_equal(render_shapes(seed, shapes=("cross",)).masks["cross"], both.masks["cross"])
        assert set(both.masks) == set(SHAPES)
        assert not (both.masks["disc"] & both.masks["cross"]).any()
        difference = np.abs(both.image - none.image)
        marked = both.masks["disc"] | both.masks["cross"]
        assert difference[marked].mean() > 0.1
        assert difference[~marked].mean() < 0.01


def test_brightness_does_not_tell_which_shape_it_is():
    means = {kind: np.mean([render_shapes(s, shapes=(kind,)).masks[kind].sum() for s in range(200)]) for kind in SHAPES}
    assert means["disc"] == pytest.approx(means["cross"], rel=0.1)


def test_the_same_seed_draws_the_same_image_and_another_seed_another():
    assert np.array_equal(render_shapes(3, shapes=("disc",)).image, render_shapes(3, shapes=("disc",)).image)
    assert not np.array_equal(render_shapes(3, shapes=("disc",)).image, render_shapes(4, shapes=("disc",)).image)


def test_three_classes_come_equally_often_each_with_the_mask_of_its_shape(tmp_path):
    splits = load_datalist(write_shapes_phantom(tmp_path / "data", 60, 32, progress=False))
    items = [item for section in splits.values() for item in section]
    assert Counter(item["label"] for item in items) == {0: 20, 1: 20, 2: 20}
    assert all(("mask" in item) == (item["label"] > 0) for item in items)
    item = next(item for item in items if item["label"] == 2)
    image, mask = (np.asarray(Image.open(item[key])) for key in ("image", "mask"))
    drawn = render_shapes([0, int(item["id"])], 32, ("cross",))
    assert np.array_equal(mask > 0, drawn.masks["cross"])
    assert np.abs(image / 255 - drawn.image).max() < 0.003


def test_two_labels_come_in_all_combinations_each_with_its_own_mask(tmp_path):
    folder = write_shapes_phantom(tmp_path / "data", 40, 32, multi_label=True, progress=False)
    items = [item for section in load_datalist(folder).values() for item in section]
    assert Counter(tuple(item["label"]) for item in items) == dict.fromkeys([(0, 0), (0, 1), (1, 0), (1, 1)], 10)
    crosses = load_datalist(folder, decision=Decision("multilabel", index=1))
    assert all(("mask" in item) == item["label"] for section in crosses.values() for item in section)
    assert all(item["mask"].endswith("_cross.png") for item in crosses["test"] if item["label"])


def test_the_command_writes_shapes(tmp_path, capsys):
    command = ["phantom", str(tmp_path / "data"), "--kind", "shapes", "--images", "30", "--size", "32"]
    assert main(command) == 0
    assert "30 images" in capsys.readouterr().out
    assert main(command) == 0  # reused
    assert main([*command, "--multi-label"]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main(["phantom", str(tmp_path / "other"), "--multi-label"]) == 2
    assert "--multi-label is for --kind shapes only" in capsys.readouterr().err


def test_numbers_that_cannot_be_drawn_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"size must be in \[32, 1024\], got 8"):
        write_shapes_phantom(tmp_path / "data", size=8)
    with pytest.raises(ValueError, match=r"n_images must be in"):
        write_shapes_phantom(tmp_path / "data", n_images=2)
