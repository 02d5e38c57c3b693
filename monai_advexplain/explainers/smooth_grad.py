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

"""SmoothGrad: the gradient averaged over noisy copies of the image."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_advexplain.decision import Decision
from monai_advexplain.explainers.classifier_explainer import ClassifierExplainer


class SmoothGradExplainer(ClassifierExplainer):
    """``sum_c |mean_i d m(x + n_i) / d x_c|``, m the decision's margin, n_i Gaussian noise.

    Smilkov et al., 2017, arXiv 1706.03825. The signed gradients are averaged, their absolute values are summed over
    channels. The noise comes from a seed and is the same for every image of a shape, up to the image's range. (captum's
    NoiseTunnel draws from the global generator, another noise for each place in the batch.)

    Args:
        classifier: images -> logits.
        decision: which decision is explained.
        samples: noisy copies.
        noise: standard deviation of the noise as share of the image's range, max - min.
        seed: of the noise.
        batch_size: images that the classifier sees at once, if an explained batch is not larger.
    """

    def __init__(
        self,
        classifier: torch.nn.Module,
        decision: Decision | None = None,
        samples: int = 16,
        noise: float = 0.15,
        seed: int = 0,
        batch_size: int = 32,
    ) -> None:
        super().__init__(classifier, decision)
        self.samples = samples
        self.noise = noise
        self.seed = seed
        self.batch_size = batch_size

    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        axes = tuple(range(1, images.ndim))
        sigma = self.noise * (images.amax(axes, keepdim=True) - images.amin(axes, keepdim=True))
        noise = torch.randn(self.samples, 1, *images.shape[1:], generator=torch.Generator().manual_seed(self.seed))
        total = torch.zeros_like(images)
        for part in noise.to(images.device).split(max(1, self.batch_size // len(images))):
            noisy = (images + sigma * part).flatten(0, 1).requires_grad_(True)
            (gradients,) = torch.autograd.grad(self.decision.margin(self.ask(noisy)).sum(), noisy)
            total += gradients.unflatten(0, (len(part), len(images))).sum(dim=0)
        return (total / self.samples).abs().sum(dim=1, keepdim=True)
