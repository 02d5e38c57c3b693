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

"""A segmentation network's probability as a map: no explanation, but the ceiling of explanations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from monai_advexplain.explainers.base import Explainer


class SegmentationExplainer(Explainer):
    """The sigmoid of a segmentation network's logits, behind the contract of explanations.

    The network was trained on the ground truth that maps are scored with and knows nothing of the classifier. Its
    localisation says how much of the ground truth can be found in these images at all.

    Args:
        network: images (B, C, *spatial) -> logits (B, 1, *spatial).
    """

    network: nn.Module

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)

    @torch.no_grad()
    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        return torch.sigmoid(self.network(images))
