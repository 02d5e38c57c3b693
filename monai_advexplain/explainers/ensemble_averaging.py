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

"""EnsembleAveraging: the mean of several explainers' maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from monai_advexplain.explainers.base import Explainer, maps_of


class EnsembleAveraging(Explainer):
    """Mean of E_k(x) over explainers E_k, each a method of its own or one training of the same network.

    Two trainings of a network explain an image somewhat differently. What they share is in their mean, and a network
    can learn it as its own map (:class:`~monai_advexplain.losses.Consistency`): the distillation of an ensemble
    (Hinton et al., arXiv 1503.02531) for explanations. The maps are not rescaled: average maps of one unit.

    Args:
        explainers: callables images (B, C, *spatial) -> maps (B, 1, *spatial).

    Raises:
        ValueError: when there is no explainer.

    Example::

        explainer = EnsembleAveraging([ProposedExplainer(network) for network in networks])
        maps = explainer(images)  # (B, 1, W, H)
    """

    def __init__(self, explainers: Sequence[Callable[[Tensor], Tensor]]) -> None:
        super().__init__(None)
        self.explainers = tuple(explainers)
        if not self.explainers:
            raise ValueError("explainers is empty; give one explainer or several.")

    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        return torch.stack([maps_of(explainer, images.clone()) for explainer in self.explainers]).mean(dim=0)
