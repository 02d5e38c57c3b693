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

"""Tests of the choice of items for a segmentation network."""

from __future__ import annotations

import pytest

from monai_advexplain.data import supervised_items

ITEMS = [
    *({"image": f"mask{i}", "label": 1, "mask": "m"} for i in range(2)),
    *({"image": f"box{i}", "label": 1, "boxes": [(0, 0, 1, 1)]} for i in range(2)),
    *({"image": f"unmarked{i}", "label": 1} for i in range(9)),
    *({"image": f"healthy{i}", "label": 0, "boxes": []} for i in range(9)),
]


def test_the_marked_items_and_as_many_healthy_ones_are_chosen_and_no_unmarked_one():
    names = [item["image"] for item in supervised_items(ITEMS)]
    assert names[:4] == ["mask0", "mask1", "box0", "box1"]
    assert len(names) == 8
    assert all(name.startswith("healthy") for name in names[4:])


def test_the_seed_chooses_the_healthy_ones():
    chosen = [supervised_items(ITEMS, seed) for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_all_healthy_items_are_taken_when_there_are_fewer():
    assert supervised_items(ITEMS[:5]) == ITEMS[:4]
    assert supervised_items([*ITEMS[:4], ITEMS[-1]]) == [*ITEMS[:4], ITEMS[-1]]


def test_items_without_ground_truth_are_refused():
    with pytest.raises(ValueError, match="none of the 9 items has boxes or a mask"):
        supervised_items(ITEMS[-9:])
