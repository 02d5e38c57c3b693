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

"""Mask Generator: the evidence as a trained network sees it, in one forward pass."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_advexplain.explainers.generated import ProposedExplainer
from monai_advexplain.networks.mask_generator import MaskExplainerNet


class MaskGeneratorExplainer(ProposedExplainer):
    """The mask m(x) of the evidence (Dabkowski and Gal, NeurIPS 2017, arXiv 1705.07857); one forward pass.

    How it departs from the source: see :class:`~monai_advexplain.networks.MaskGenerator`. Train it with the recipe
    ``mask_generator`` of :class:`~monai_advexplain.losses.ExplainerLoss`. ``generate`` gives the image with its
    evidence alone (similar) and without it (adversarial).

    Args:
        network: a trained :class:`~monai_advexplain.networks.MaskExplainerNet`, or its TorchScript.
    """

    network: MaskExplainerNet

    @torch.no_grad()
    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        return self.network(images)
