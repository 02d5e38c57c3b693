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

"""Asking a classifier for the probability of each image, leaving it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext

import torch
from torch import Tensor

from monai_advexplain.metrics._pixels import score_dtype
from monai_advexplain.networks.frozen import evaluating


def ask(probability: Callable[[Tensor], Tensor], batches: Iterable[Tensor]) -> Tensor:
    """The checked probabilities (B,) of the images of all batches, without gradients.

    Args:
        probability: images (b, C, *spatial) -> probability of "yes" (b,); a module is put in eval mode meanwhile.
        batches: tensors that may be changed in place.

    Raises:
        ValueError: when ``probability`` returns another shape or values outside [0, 1].
    """
    answers = []
    with evaluating(probability) if isinstance(probability, torch.nn.Module) else nullcontext(), torch.no_grad():
        for batch in batches:
            answer = probability(batch)
            if answer.shape != (len(batch),):
                raise ValueError(f"probability must give shape ({len(batch)},), got {tuple(answer.shape)}.")
            answers.append(answer.as_subclass(Tensor))
    probabilities = torch.cat(answers)
    outside = probabilities[~((probabilities >= 0) & (probabilities <= 1))]
    if outside.numel():
        raise ValueError(f"probability must give values in [0, 1], got {outside[0].item()}.")
    return probabilities.to(score_dtype(probabilities.device))


def check_asking(threshold: float, batch_size: int) -> None:
    """Raise ValueError when the decision's threshold is outside (0, 1) or the batch size below 1."""
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"threshold must lie in (0, 1), got {threshold}.")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
