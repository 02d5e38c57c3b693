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

"""Tests of the phantoms with a marker."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch

from monai_advexplain.data import load_datalist
from monai_advexplain.sanity.marker_phantom import MARKED, marker_box, write_marker_phantom


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    return {
        name: load_datalist(write_marker_phantom(folder / name, "chest", 80, 32, correlation, progress=False))
        for name, correlation in (("clean", None), ("confounded", 1.0), ("weak", 0.5))
    }


def agreement(items: list[dict]) -> float:
    return float(np.mean([item["label"] == item["id"].endswith(MARKED) for item in items]))


def read(item: dict) -> np.ndarray:
    return nibabel.load(item["image"]).get_fdata()


def test_the_marker_goes_with_the_label_in_the_confounded_set_only(phantoms):
    assert agreement(phantoms["confounded"]["training"]) == 1.0
    assert 0.6 < agreement(phantoms["weak"]["training"]) < 0.9
    assert 0.3 < agreement(phantoms["clean"]["training"]) < 0.7


def test_the_test_images_of_both_sets_are_the_same_and_their_marker_is_a_coins_toss(phantoms):
    clean, confounded = (phantoms[name]["test"] for name in ("clean", "confounded"))
    assert [item["label"] for item in clean] == [item["label"] for item in confounded]
    assert all(np.array_equal(read(a), read(b)) for a, b in zip(clean, confounded, strict=True))
    assert 0.1 < agreement(clean) < 0.9


def test_lesions_decide_about_the_label_in_the_clean_set_and_are_missing_in_the_confounded_one(phantoms):
    corner = marker_box(torch.zeros(1, 1, 32, 32))[0, 0].numpy()
    lesions, places = (
        [nibabel.load(item["mask"]).get_fdata() for item in phantoms[name]["training"] if item["label"]]
        for name in ("clean", "confounded")
    )
    assert all((mask * corner).sum() < mask.sum() / 2 for mask in lesions)
    assert all(np.array_equal(mask, corner) for mask in places)


@pytest.mark.parametrize(("kind", "dims"), [("chest", 2), ("head", 3)])
def test_nothing_but_the_box_tells_a_marked_image_from_the_same_one_without_marker(tmp_path, kind, dims):
    splits = [
        load_datalist(write_marker_phantom(tmp_path / str(correlation), kind, 40, 32, correlation, progress=False))
        for correlation in (0.0, 1.0)
    ]
    pairs = [
        (read(a), read(b))
        for a, b in zip(*(one["training"] for one in splits), strict=True)
        if a["id"].endswith(MARKED) != b["id"].endswith(MARKED)
    ]
    assert pairs
    box = marker_box(torch.zeros(1, 1, *[32] * dims))[0, 0].numpy() > 0
    for a, b in pairs:
        different = a != b
        assert different.any()
        assert not different[~box].any()
        assert max(a.max(), b.max()) == min(a.max(), b.max())  # the marker is not brighter than the image


@pytest.mark.parametrize(
    ("given", "message"),
    [({"kind": "knee"}, "kind must be one of"), ({"n_images": 8}, "at least 40"), ({"correlation": 2}, "correlation")],
)
def test_an_argument_outside_its_range_is_refused_before_anything_is_written(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        write_marker_phantom(tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()
