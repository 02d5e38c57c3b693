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

"""The items from which a segmentation network can learn: those with ground truth, and images of nothing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from monai_advexplain.data.splits import Item, is_localised


def supervised_items(items: Iterable[Item], seed: int = 0) -> list[Item]:
    """The items with boxes or a mask, and as many of label 0, whose mask is empty.

    Other items of a positive label are left out: they show something, but nobody marked where.

    Args:
        items: each with ``"label"``, 0 or 1, and possibly ``"boxes"`` or ``"mask"``, as the readers return them.
        seed: of the choice among the items of label 0.

    Returns:
        The items chosen, in the order given; all of label 0 where there are no more of them than of the others.

    Raises:
        ValueError: when no item has boxes or a mask.
    """
    items = list(items)
    marked = [index for index, item in enumerate(items) if is_localised([item])]
    if not marked:
        raise ValueError(
            f"none of the {len(items)} items has boxes or a mask: there is nothing to learn a segmentation from."
        )
    empty = [index for index, item in enumerate(items) if item["label"] == 0 and not is_localised([item])]
    chosen = np.random.default_rng(seed).permutation(empty)[: len(marked)]
    return [items[index] for index in sorted([*marked, *chosen.tolist()])]
