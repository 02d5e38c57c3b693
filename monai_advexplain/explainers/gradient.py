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

"""Gradient: the classifier's sensitivity to each pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_advexplain.decision import Decision
from monai_advexplain.explainers.base import Explainer


class GradientExplainer(Explainer):
    """``max_c |d m(x) / d x_c|``, m the decision's margin (Simonyan et al., 2014, arXiv 1312.6034).

    Args:
        classifier: images -> logits.
        decision: which decision is explained.
    """

    network: torch.nn.Module

    def __init__(self, classifier: torch.nn.Module, decision: Decision | None = None) -> None:
        super().__init__(classifier)
        self.decision = Decision() if decision is None else decision

    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        images.requires_grad_(True)
        # In eval mode the images of a batch do not influence each other: the sum's gradient is each one's own.
        (gradient,) = torch.autograd.grad(self.decision.margin(self.network(images)).sum(), images)
        return gradient.abs().amax(dim=1, keepdim=True)
