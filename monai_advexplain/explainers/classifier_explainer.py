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

"""What the methods that ask a classifier have in common: the decision that was made is what they explain."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_advexplain.decision import Decision
from monai_advexplain.explainers.base import Explainer


class ClassifierExplainer(Explainer):
    """Base of methods that explain the decision that the classifier *made* about an image, be it "yes" or "no".

    With the decision's margin ``m`` (:class:`~monai_advexplain.Decision`), the evidence for the decision made is ``m``
    where ``m(x) > 0`` and ``-m`` elsewhere; the sign is that of the original image and stays when it is perturbed.

    Args:
        classifier: images (B, C, *spatial) -> logits, differentiable where the method needs gradients.
        decision: which decision is explained; by default that of a single logit at probability 0.5.
    """

    network: torch.nn.Module

    def __init__(self, classifier: torch.nn.Module, decision: Decision | None = None) -> None:
        super().__init__(classifier)
        self.decision = Decision() if decision is None else decision

    def ask(self, images: Tensor) -> Tensor:
        """The classifier's output for ``images``, which stay as they are even if it works in place."""
        output: Tensor = self.network(images.clone())
        return output

    @torch.no_grad()
    def sign(self, images: Tensor) -> Tensor:
        """(B,), 1 where the decision about the image is "yes" and -1 where it is "no"."""
        return torch.where(self.decision.hard(self.ask(images)), 1.0, -1.0)

    def evidence(self, images: Tensor, sign: Tensor) -> Tensor:
        """(B,), margin of ``images`` in favour of the decision that has this ``sign``; differentiable."""
        return sign * self.decision.margin(self.ask(images))

    def probability(self, images: Tensor, sign: Tensor) -> Tensor:
        """(B,), probability of the decision that has this ``sign``, in [0, 1]; differentiable."""
        yes = self.decision.probability(self.ask(images))
        return torch.where(sign > 0, yes, 1 - yes)
