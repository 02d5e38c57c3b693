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

"""Occlusion: how much evidence is lost when a window is covered."""

from __future__ import annotations

import torch
from captum.attr import Occlusion
from torch import Tensor

from monai_advexplain.decision import Decision
from monai_advexplain.explainers.baseline import baseline_images
from monai_advexplain.explainers.classifier_explainer import ClassifierExplainer


class OcclusionExplainer(ClassifierExplainer):
    """Loss of margin for the decision made when a sliding window is covered, mean over the windows that hold a pixel.

    Zeiler and Fergus, 2014, arXiv 1311.2901; computed by captum. All channels are covered at once. Where covering
    *adds* evidence for the decision made the map is 0. With window and stride as shares, the classifier is asked about
    ``(1 - window) / stride + 1`` images to the power of the axes: 225 in 2D and 3375 in 3D by default.

    Args:
        classifier: images -> logits; needs no gradient.
        decision: which decision is explained.
        window: sides of the window: share of the image's size when float, pixels when int.
        stride: its step, likewise; at most the window.
        baseline: what it is covered with: ``"mean"``, ``"blur"`` or a number (``explainers/baseline.py``).
        batch_size: images that the classifier sees at once, if an explained batch is not larger.
    """

    def __init__(
        self,
        classifier: torch.nn.Module,
        decision: Decision | None = None,
        window: float | int = 0.125,
        stride: float | int = 0.0625,
        baseline: str | float = "mean",
        batch_size: int = 32,
    ) -> None:
        super().__init__(classifier, decision)
        self.window = window
        self.stride = stride
        self.baseline = baseline
        self.batch_size = batch_size

    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        sign = self.sign(images)
        evidence_lost = Occlusion(self.evidence).attribute(
            images,
            sliding_window_shapes=(images.shape[1], *_pixels(self.window, images)),
            strides=(images.shape[1], *_pixels(self.stride, images)),
            baselines=baseline_images(images, self.baseline),
            additional_forward_args=sign,
            perturbations_per_eval=max(1, self.batch_size // len(images)),
        )
        return evidence_lost[:, :1].clamp(min=0)


def _pixels(length: float | int, images: Tensor) -> list[int]:
    return [length if isinstance(length, int) else max(1, round(length * size)) for size in images.shape[2:]]
