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

"""Tests of the items of the checks' trainings."""

from __future__ import annotations

from collections import Counter

import pytest

from monai_advexplain.sanity.items import spread, training_items

ITEMS = [{"image": str(index), "label": index % 3 == 0} for index in range(30)]


@pytest.mark.parametrize(("count", "wanted"), [(None, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4]), (3, [0, 2, 4])])
def test_items_are_spread_over_the_list(count, wanted):
    assert spread(range(5), count) == wanted


def test_labels_are_dealt_out_anew_and_the_items_given_stay():
    before = [dict(item) for item in ITEMS]
    dealt = training_items(ITEMS, label_seed=1)
    assert before == ITEMS
    assert [item["image"] for item in dealt] == [item["image"] for item in ITEMS]
    labels, wanted = ([item["label"] for item in items] for items in (dealt, ITEMS))
    assert labels != wanted
    assert Counter(labels) == Counter(wanted)
    assert training_items(ITEMS, label_seed=1) == dealt
    assert training_items(ITEMS, label_seed=2) != dealt


def test_without_a_seed_the_labels_stay():
    assert training_items(ITEMS, 2) == [ITEMS[0], ITEMS[-1]]
