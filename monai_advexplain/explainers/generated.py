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

"""Explanations from generated images: the proposed map, the naive one, and the residual of the similar image."""

from __future__ import annotations

import torch
from monai.utils import convert_to_tensor
from torch import Tensor

from monai_advexplain.explainers.base import Explainer
from monai_advexplain.networks.explainer_net import ExplainerNet, GeneratedPair
from monai_advexplain.networks.frozen import evaluating


class ProposedExplainer(Explainer):
    """``|g_s(x) - g_a(x)|``, mean over channels (Charachon et al., ICPR 2020), in one forward pass.

    The classifier is not asked, unless the network has a copy of it as its gate.

    Args:
        network: a trained :class:`~monai_advexplain.networks.ExplainerNet`.
    """

    network: ExplainerNet

    def __init__(self, network: ExplainerNet) -> None:
        super().__init__(network)

    @torch.no_grad()
    def generate(self, images: Tensor) -> GeneratedPair:
        """The similar and the adversarial image of ``images``, each (B, C, *spatial), float32.

        As in an explanation, ``images`` and the network stay as they are, and the network runs in eval mode.
        """
        plain: Tensor = convert_to_tensor(images, track_meta=False)
        with evaluating(self.network):
            pair = self.network.generate(plain.detach().clone().float())
        return GeneratedPair(pair.similar, pair.adversarial)

    @torch.no_grad()
    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        pair = self.network.generate(images)
        return (pair.similar - pair.adversarial).abs().mean(dim=1, keepdim=True)


class NaiveExplainer(ProposedExplainer):
    """``|x - g_a(x)|``, mean over channels: shows the generator's reconstruction errors too (the paper's baseline).

    Args:
        network: a trained :class:`~monai_advexplain.networks.ExplainerNet`.
    """

    @torch.no_grad()
    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        return (images - self.network.generate(images).adversarial).abs().mean(dim=1, keepdim=True)


class SimilarResidualExplainer(ProposedExplainer):
    """``|x - g_s(x)|``, mean over channels: the reconstruction errors alone, a control.

    Args:
        network: a trained :class:`~monai_advexplain.networks.ExplainerNet`.
    """

    @torch.no_grad()
    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        return (images - self.network.generate(images).similar).abs().mean(dim=1, keepdim=True)


def generates_images(explainer: Explainer | None) -> bool:
    """Whether an explainer has generated images of its own (``generate``), not those of another method."""
    return hasattr(explainer, "generate") and not isinstance(explainer, SimilarResidualExplainer)
