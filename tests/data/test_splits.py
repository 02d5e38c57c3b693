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

"""Tests of the group-wise split."""

from __future__ import annotations

import random
from collections import Counter
from itertools import chain

import numpy as np
import pytest

from monai_advexplain.data import split_by_group
from monai_advexplain.data.splits import check_splits


def make_items(n, boxed=0, per_group=1, seed=0):
    """Half of the items are positive; ``boxed`` of the positives have a box; groups have up to ``per_group`` items."""
    rng = np.random.default_rng(seed)
    items = []
    while len(items) < n:
        group = f"g{len(items):04d}"
        for _ in range(rng.integers(1, per_group + 1)):
            index = len(items)
            label = index % 2
            boxes = [[1.0, 1.0, 2.0, 2.0]] if label and index // 2 < boxed else []
            items.append({"image": f"{index:04d}.dcm", "label": label, "boxes": boxes, "group": group})
    return items[:n]


def names(splits):
    return {split: [item["image"] for item in items] for split, items in splits.items()}


def positives(items):
    return sum(item["label"] for item in items)


@pytest.mark.parametrize("per_group", [1, 5, 12])
def test_every_item_is_in_exactly_one_split_and_no_group_in_two(per_group):
    items = make_items(400, boxed=30, per_group=per_group)
    splits = split_by_group(items)
    assert sorted(chain(*names(splits).values())) == sorted(item["image"] for item in items)
    groups = [{item["group"] for item in members} for members in splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_sizes_and_labels_follow_the_fractions_exactly_when_groups_are_single_items():
    splits = split_by_group(make_items(1000))
    assert {name: (len(items), positives(items)) for name, items in splits.items()} == {
        "training": (700, 350),
        "validation": (100, 50),
        "test": (200, 100),
    }


def test_sizes_and_labels_follow_the_fractions_closely_when_groups_are_larger():
    splits = split_by_group(make_items(1000, per_group=8))
    for name, share in (("training", 0.7), ("validation", 0.1), ("test", 0.2)):
        assert len(splits[name]) == pytest.approx(1000 * share, abs=8)
        assert positives(splits[name]) == pytest.approx(500 * share, abs=4)


def test_few_boxed_items_all_go_to_the_test_split():
    splits = split_by_group(make_items(1000, boxed=43))
    assert {name: sum(bool(item["boxes"]) for item in items) for name, items in splits.items()} == {
        "training": 0,
        "validation": 0,
        "test": 43,
    }
    assert positives(splits["test"]) == 100


def test_boxed_items_beyond_the_share_of_the_test_split_go_to_the_others():
    splits = split_by_group(make_items(1000, boxed=500))
    assert [positives(splits[name]) for name in ("training", "validation", "test")] == [350, 50, 100]


def test_a_mask_counts_as_localisation_ground_truth():
    items = make_items(200)
    for item in items[1:20:2]:
        item["mask"] = "mask.png"
    assert sum("mask" in item for item in split_by_group(items)["test"]) == 10


def test_which_boxed_items_are_tested_depends_on_the_seed():
    items = make_items(300, boxed=150)
    chosen = [{item["image"] for item in split_by_group(items, seed=seed)["test"]} for seed in range(3)]
    assert len(set(map(frozenset, chosen))) == 3


def test_the_order_of_the_items_plays_no_role():
    items = make_items(300, boxed=20, per_group=4)
    shuffled = random.Random(0).sample(items, len(items))
    assert names(split_by_group(items, seed=5)) == names(split_by_group(shuffled, seed=5))


def test_the_split_of_a_seed_is_the_same_on_every_machine():
    test = split_by_group(make_items(20), {"training": 0.6, "validation": 0.2, "test": 0.2}, seed=1)["test"]
    assert [item["image"] for item in test] == ["0001.dcm", "0007.dcm", "0010.dcm", "0018.dcm"]


def test_splits_may_be_left_out():
    splits = split_by_group(make_items(100), {"training": 0.8, "validation": 0.2})
    assert {name: len(items) for name, items in splits.items()} == {"training": 80, "validation": 20}


@pytest.mark.parametrize(
    "fractions",
    [
        {"training": 0.7, "validation": 0.1, "test": 0.1},
        {"training": 0.9, "validation": 0.1, "test": 0.0},
        {"training": 1.2, "test": -0.2},
    ],
)
def test_fractions_must_be_positive_and_sum_to_one(fractions):
    with pytest.raises(ValueError, match="positive and sum to 1"):
        split_by_group(make_items(10), fractions)


@pytest.mark.parametrize("fractions", [{"train": 0.8, "test": 0.2}, {"training": 0.8, "tests": 0.2}, {"test": 1.0}])
def test_fractions_of_unknown_splits_are_an_error(fractions):
    with pytest.raises(ValueError, match="must have 'training'"):
        split_by_group(make_items(10), fractions)


def test_an_empty_split_is_named_with_the_counts_and_a_remedy():
    items = make_items(4)
    with pytest.raises(ValueError, match=r"validation split is empty.*training: \{0: 2, 1: 2\}.*change the fractions"):
        check_splits({"training": items, "validation": []})


def test_too_few_groups_for_all_splits_are_an_error():
    with pytest.raises(ValueError, match="split is empty"):
        split_by_group(make_items(4))


def test_no_items_are_an_error():
    with pytest.raises(ValueError, match="empty"):
        split_by_group([])


def test_a_split_of_one_label_only_is_named_with_the_counts_and_a_remedy():
    items = [item for item in make_items(100) if item["label"] == 1]
    with pytest.raises(ValueError, match=r"training split has only label 1.*training: \{1: 35\}.*Add data"):
        split_by_group(items)


def test_every_class_and_every_one_of_several_labels_keeps_its_share():
    classes = [{"image": str(i), "label": i % 3, "group": str(i // 2)} for i in range(300)]
    labels = [{"image": str(i), "label": [i % 2, int(i % 5 == 0), 0], "group": str(i // 2)} for i in range(300)]
    for items, strata in ((classes, lambda label: [label]), (labels, lambda label: np.flatnonzero(label).tolist())):
        splits = split_by_group(items, seed=1)
        total = Counter(k for item in items for k in strata(item["label"]))
        for name, share in (("training", 0.7), ("validation", 0.1), ("test", 0.2)):
            found = Counter(k for item in splits[name] for k in strata(item["label"]))
            assert {k: found[k] for k in total} == pytest.approx({k: share * n for k, n in total.items()}, abs=4)
