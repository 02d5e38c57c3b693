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

"""Integrated gradients: the evidence for the decision, shared out among the pixels."""

from __future__ import annotations

import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from monai_advexplain.decision import Decision
from monai_advexplain.explainers.baseline import baseline_images
from monai_advexplain.explainers.classifier_explainer import ClassifierExplainer


class IntegratedGradientsExplainer(ClassifierExplainer):
    """``|sum_c (x_c - b_c) * mean_t d m / d x_c|`` along the straight line from a baseline ``b`` to ``x``.

    Sundararajan et al., 2017, arXiv 1703.01365; computed by captum (Gauss-Legendre quadrature). Summed over channels,
    as attributions add up, then without the sign: pixels against the decision made matter as those for it do, and the
    map is the same whichever way the decision went.

    Args:
        classifier: images -> logits.
        decision: which decision is explained.
        baseline: image without information: a number, ``"blur"`` or ``"mean"`` (``explainers/baseline.py``). Pixels
            that equal it are not important by construction.
        steps: points on the line.
        batch_size: images that the classifier sees at once, if an explained batch is not larger.
    """

    def __init__(
        self,
        classifier: torch.nn.Module,
        decision: Decision | None = None,
        baseline: str | float = 0.0,
        steps: int = 32,
        batch_size: int = 32,
    ) -> None:
        super().__init__(classifier, decision)
        self.baseline = baseline
        self.steps = steps
        self.batch_size = batch_size

    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        attributions = IntegratedGradients(lambda points: self.decision.margin(self.ask(points))).attribute(
            images.requires_grad_(True),
            baselines=baseline_images(images.detach(), self.baseline),
            n_steps=self.steps,
            internal_batch_size=max(self.batch_size, len(images)),
        )
        return attributions.sum(dim=1, keepdim=True).abs()
