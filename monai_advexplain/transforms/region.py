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


def check_limits(threshold: float | None, share: float) -> None:
    """Raise ValueError unless these are limits of :func:`highest_region`."""
    if threshold is None and not 0.0 < share < 1.0:
        raise ValueError(f"share must be in (0, 1), got {share}.")
    if threshold is not None and not abs(threshold) < float("inf"):
        raise ValueError(f"threshold must be a finite number, got {threshold}.")


def region_limit(explanation: Tensor, threshold: float | None = None, share: float = 0.05) -> float:
    """The value above which :func:`highest_region` keeps an explanation; arguments and errors are the same."""
    check_limits(threshold, share)
    if threshold is not None:
        return float(threshold)
    kept = int(share * explanation.numel())
    return float(explanation.flatten().kthvalue(explanation.numel() - kept).values)


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
    return (explanation > region_limit(explanation, threshold, share)).to(torch.uint8)
