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

"""Maps as labels."""

from __future__ import annotations

import pytest
import torch

from monai_advexplain.transforms import highest_region


def test_at_most_the_share_is_kept_and_nothing_outside_is_higher():
    values = torch.rand(1, 20, 25, generator=torch.Generator().manual_seed(0))
    region = highest_region(values, share=0.1)
    assert region.dtype == torch.uint8
    assert int(region.sum()) == 50
    assert values[region == 1].min() > values[region == 0].max()


def test_of_equal_values_at_the_limit_none_is_kept():
    values = torch.tensor([0.0, 1.0, 1.0, 2.0])
    assert highest_region(values, share=0.5).tolist() == [0, 0, 0, 1]
    assert not highest_region(torch.zeros(3, 3), share=0.5).any()


def test_a_threshold_replaces_the_share():
    assert highest_region(torch.tensor([0.1, 0.2, 0.3]), threshold=0.2, share=7).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("limits", "said"),
    [({"share": 1.0}, r"share must be in \(0, 1\), got 1\.0"), ({"threshold": float("nan")}, "finite number, got nan")],
)
def test_a_limit_out_of_range_is_named(limits, said):
    with pytest.raises(ValueError, match=said):
        highest_region(torch.ones(4), **limits)
