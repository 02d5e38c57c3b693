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

"""Maps and masks that the tests of several metrics share."""

from __future__ import annotations

import torch
from torch import Tensor

SIZES = [(13, 9), (7, 6, 5)]


def random_case(
    seed: int, size: tuple[int, ...] = (13, 9), batch: int = 3, levels: int | None = None
) -> tuple[Tensor, Tensor]:
    """Maps and masks that share some structure; with ``levels`` the maps have plateaus."""
    generator = torch.Generator().manual_seed(seed)
    masks = (torch.rand(batch, 1, *size, generator=generator) < 0.15).float()
    masks.flatten(1)[:, 0] = 1
    maps = torch.rand(batch, 1, *size, generator=generator) + 0.4 * masks
    return (maps if levels is None else (maps * levels).floor() / levels), masks
