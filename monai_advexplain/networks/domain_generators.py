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

"""A generator for each decision domain, and the network of SyCE and CyCE (arXiv 2106.10947) that explains with both."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from monai_advexplain.networks.explainer_net import ExplainerNet
from monai_advexplain.networks.generators import ImageHead, _checked_scale, _coarser


class DomainImages(NamedTuple):
    """The generated images, each (B, C, *spatial), and the gate's estimate of the classifier's margin (B,)."""

    similar: Tensor
    adversarial: Tensor
    cycle: Tensor
    estimate: Tensor


class DecisionDomainGenerators(nn.Module):
    """Two generators that share nothing: g_0 for images that are decided "no", g_1 for those decided "yes".

    For an image x of decision y: adversarial ``x_a = g_y(x)``, similar ``x_s = g_y(x_a)`` (a generator applied twice
    leads back: symmetry), cycle ``x_c = g_{1-y}(x_a)``. A gate says which y is, as in
    :class:`~monai_advexplain.networks.GatedGenerator`. Each generator is a trunk and an
    :class:`~monai_advexplain.networks.ImageHead` of its own; both architectures are ours.

    A batch goes through both generators and each image takes what is its own, so that the network is exported without
    branches that depend on data.

    Args:
        trunk: trunk of g_0, see :class:`~monai_advexplain.networks.TwoHeadGenerator`.
        yes_trunk: trunk of g_1, another instance.
        gate: module (B, C, *spatial) -> (B, 1), a margin in logit units: a
            :class:`~monai_advexplain.networks.Frozen` copy of the classifier, or a network that learns it.
        features: channels that the trunks return.
        spatial_dims: 2 or 3.
        scale: the trunks see the image this many times smaller along each axis, see
            :class:`~monai_advexplain.networks.TwoHeadGenerator`.
        head: further arguments of both :class:`~monai_advexplain.networks.ImageHead`: ``channels``, ``hidden``,
            ``residual``, ``value_range``, ``max_change``, ...

    Raises:
        ValueError: when both trunks are one object, or for a wrong ``scale``.
    """

    def __init__(
        self,
        trunk: nn.Module,
        yes_trunk: nn.Module,
        gate: nn.Module,
        features: int,
        spatial_dims: int = 2,
        scale: int = 1,
        **head: Any,
    ) -> None:
        super().__init__()
        if trunk is yes_trunk:
            raise ValueError("trunk and yes_trunk are the same object; each decision needs a generator of its own.")
        self.gate = gate
        self.no_trunk, self.yes_trunk = trunk, yes_trunk
        self.no_head = ImageHead(spatial_dims, features, **head)
        self.yes_head = ImageHead(spatial_dims, features, **head)
        self.scale = _checked_scale(scale, self.no_head.residual)

    def _both(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """g_0 and g_1 of ``image`` (B, C, *spatial)."""
        coarse = _coarser(image, self.scale)
        return self.no_head(self.no_trunk(coarse), image), self.yes_head(self.yes_trunk(coarse), image)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(similar, adversarial, cycle, estimate) of ``image`` (B, C, *spatial)."""
        estimate = self.gate(image).flatten()
        yes = (estimate > 0).reshape([-1] + [1] * (image.dim() - 1))
        of_no, of_yes = self._both(image)
        adversarial = torch.where(yes, of_yes, of_no)
        of_no, of_yes = self._both(adversarial)
        return torch.where(yes, of_yes, of_no), adversarial, torch.where(yes, of_no, of_yes), estimate


class DomainExplainerNet(ExplainerNet):
    """The :class:`~monai_advexplain.networks.ExplainerNet` of :class:`DecisionDomainGenerators`.

    With ``rule="similar_adversarial"`` it is SyCE, ``|x_s - x_a|``; with ``rule="naive"`` CyCE, ``|x - x_a|``, which
    knows no symmetry: what brings it back to the decision is the cycle, so that is its similar image.

    Args:
        generator: :class:`DecisionDomainGenerators`.
        channels, spatial_dims, size_divisor, rule: see :class:`~monai_advexplain.networks.ExplainerNet`.

    Example::

        trunks = [UNet(2, 1, 16, (16, 32, 64), (2, 2)) for _ in range(2)]
        generators = DecisionDomainGenerators(*trunks, gate=Frozen(classifier), features=16)
        net = DomainExplainerNet(generators, size_divisor=4)
        explanation = net(images)  # (B, 1, W, H), high = important
        similar, adversarial, cycle, estimate = net.generate(images)
    """

    @torch.jit.export
    def generate(self, image: Tensor) -> DomainImages:  # type: ignore[override]
        """The generated images of ``image`` (B, C, *spatial), and the estimated margin."""
        self._check(image)
        similar, adversarial, cycle, estimate = self.generator(image)
        return DomainImages(cycle if self.naive else similar, adversarial, cycle, estimate)

    @torch.jit.export
    def explain(self, image: Tensor, pair: DomainImages) -> Tensor:  # type: ignore[override]
        """The explanation map (B, 1, *spatial) of images already generated: absolute change, mean over channels."""
        return self._map(image, pair.similar, pair.adversarial)
