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

"""How often the generated images flip or preserve the classifier's decision."""

from __future__ import annotations

import torch
from torch import Tensor


def _agreement(decision: Tensor, other: Tensor, other_name: str) -> Tensor:
    for name, value in (("decision", decision), (other_name, other)):
        if value.dtype != torch.bool or value.ndim != 1:
            raise ValueError(f"{name} must be a bool tensor of shape (B,), got {value.dtype} {tuple(value.shape)}.")
    if decision.shape != other.shape:
        raise ValueError(
            f"decision and {other_name} must have one length, got {tuple(decision.shape)} and {tuple(other.shape)}."
        )
    return decision == other


def flipped(decision: Tensor, decision_adversarial: Tensor) -> Tensor:
    """Of which images the adversarial image is decided the opposite way.

    Args:
        decision: the classifier's decision about each image, (B,), bool.
        decision_adversarial: its decision about the adversarial image g_a(x), (B,), bool.

    Returns:
        (B,), bool, nothing averaged; true = good.

    Raises:
        ValueError: when a tensor is not bool, not one-dimensional, or the lengths differ.
    """
    return ~_agreement(decision, decision_adversarial, "decision_adversarial")


def preserved(decision: Tensor, decision_similar: Tensor) -> Tensor:
    """Of which images the similar image is decided the same way.

    Args:
        decision: the classifier's decision about each image, (B,), bool.
        decision_similar: its decision about the similar image g_s(x), (B,), bool.

    Returns:
        (B,), bool, nothing averaged; true = good.

    Raises:
        ValueError: when a tensor is not bool, not one-dimensional, or the lengths differ.
    """
    return _agreement(decision, decision_similar, "decision_similar")


def flip_rate(decision: Tensor, decision_adversarial: Tensor) -> Tensor:
    """Share of the images whose adversarial image is decided the opposite way.

    Args:
        decision: the classifier's decision about each image, (B,), bool.
        decision_adversarial: its decision about the adversarial image g_a(x), (B,), bool.

    Returns:
        Scalar tensor in [0, 1], the mean over the B images; NaN when B = 0.

    Raises:
        ValueError: when a tensor is not bool, not one-dimensional, or the lengths differ.
    """
    return flipped(decision, decision_adversarial).float().mean()


def preservation_rate(decision: Tensor, decision_similar: Tensor) -> Tensor:
    """Share of the images whose similar image is decided the same way.

    Args:
        decision: the classifier's decision about each image, (B,), bool.
        decision_similar: its decision about the similar image g_s(x), (B,), bool.

    Returns:
        Scalar tensor in [0, 1], the mean over the B images; NaN when B = 0.

    Raises:
        ValueError: when a tensor is not bool, not one-dimensional, or the lengths differ.
    """
    return preserved(decision, decision_similar).float().mean()
