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

"""Lists of items as the checks' trainings and measurements take them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_advexplain.data.splits import Item, spread


def training_items(items: Sequence[Item], count: int | None = None, label_seed: int | None = None) -> list[Item]:
    """What a retraining sees of the training split.

    Args:
        items: the split.
        count: how many of them, see :func:`spread`.
        label_seed: not None to give every image the label of another one, drawn with this seed; there are as many of
            each label as before.

    Returns:
        New items; those given stay as they are.
    """
    chosen = [dict(item) for item in spread(items, count)]
    if label_seed is not None:
        order = np.random.default_rng(label_seed).permutation(len(chosen))
        labels = [chosen[index]["label"] for index in order]
        for item, label in zip(chosen, labels, strict=True):
            item["label"] = label
    return chosen
