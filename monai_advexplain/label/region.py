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

"""A map as a label: where it is highest."""

from __future__ import annotations

import torch
from torch import Tensor


def highest_region(explanation: Tensor, threshold: float | None = None, share: float = 0.05) -> Tensor:
    """Where an explanation is high.

    Args:
        explanation: any shape.
        threshold: keep the values above it; None to keep a share instead.
        share: keep the highest values, at most this share of them, in (0, 1); fewer where values at the limit are
            equal.

    Returns:
        The region, uint8 of 0 and 1, same shape.

    Raises:
        ValueError: when ``share`` is not in (0, 1), or ``threshold`` is not a finite number.
    """
    if threshold is None:
        if not 0.0 < share < 1.0:
            raise ValueError(f"share must be in (0, 1), got {share}.")
        kept = int(share * explanation.numel())
        limit = float(explanation.flatten().kthvalue(explanation.numel() - kept).values)
    else:
        limit = float(threshold)
        if not abs(limit) < float("inf"):
            raise ValueError(f"threshold must be a finite number, got {threshold}.")
    return (explanation > limit).to(torch.uint8)
