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

"""Flip and preservation rates of bool decisions."""

from __future__ import annotations

import pytest
import torch

from monai_advexplain.metrics import flip_rate, flipped, preservation_rate, preserved

DECISION = torch.tensor([True, True, False, False])


def test_flip_rate_counts_opposite_decisions_in_both_directions():
    assert flip_rate(DECISION, torch.tensor([False, True, True, True])).item() == 0.75


def test_preservation_rate_counts_equal_decisions():
    assert preservation_rate(DECISION, torch.tensor([False, True, True, True])).item() == 0.25


def test_per_image_forms_name_the_images_that_the_rates_count():
    other = torch.tensor([False, True, True, False])
    assert flipped(DECISION, other).tolist() == [True, False, True, False]
    assert preserved(DECISION, other).tolist() == [False, True, False, True]


def test_identical_decisions_are_all_preserved_and_none_flipped():
    assert preservation_rate(DECISION, DECISION).item() == 1
    assert flip_rate(DECISION, DECISION).item() == 0


def test_no_images_give_nan():
    assert flip_rate(DECISION[:0], DECISION[:0]).isnan()


@pytest.mark.parametrize("rate", [flip_rate, preservation_rate, flipped, preserved])
def test_probabilities_columns_and_other_lengths_are_refused(rate):
    with pytest.raises(ValueError, match=r"decision must be a bool tensor.*torch.float32"):
        rate(DECISION.float(), DECISION)
    with pytest.raises(ValueError, match=r"shape \(B,\), got torch.bool \(4, 1\)"):
        rate(DECISION, DECISION[:, None])
    with pytest.raises(ValueError, match=r"one length, got \(4,\) and \(1,\)"):
        rate(DECISION, DECISION[:1])
