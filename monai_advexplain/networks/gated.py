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

"""A generator that knows what the classifier decides: an adversarial head for each decision and a gate between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from monai_advexplain.networks.explainer_net import ExplainerNet
from monai_advexplain.networks.generators import ImageHead, _checked_scale, _coarser


class GatedPair(NamedTuple):
    """The two generated images, each (B, C, *spatial), and the gate's estimate of the classifier's margin (B,)."""

    similar: Tensor
    adversarial: Tensor
    estimate: Tensor


class GatedGenerator(nn.Module):
    """A trunk, a similar head, and an adversarial head for each of the two decisions; a gate chooses between them.

    To turn a decision one must know it. A generator that has to find it out from the gradient of the flip alone
    misjudges images near the boundary. The gate learns it directly: it is trained to give the classifier's margin (loss
    term ``estimate``), so that the classifier is still not needed to explain an image. One adversarial generator for
    each *decision* domain is the idea of SyCE (arXiv 2106.10947); here they share the trunk.

    The similar head is not told the decision: one that is paints evidence that is not there, and the map shows it
    (docs/experiments/2026-11-25-critics-and-heads.md). All that one head can do for both decisions is to strengthen
    what there is.

    In eval mode, with ``fallback``, a similar image about which the gate decides otherwise than about the image is
    replaced by the image itself: it has the decision and is as similar as can be. In training it is left to the loss.
    With a copy of the classifier as the gate the preservation rate is 1 then, whatever the generator learned: turn
    ``fallback`` off to measure that.

    Args:
        trunk: any module (B, C, *spatial) -> (B, features, *spatial), see
            :class:`~monai_advexplain.networks.TwoHeadGenerator`.
        gate: module (B, C, *spatial) -> (B, 1), a margin in logit units: a small classification network. A frozen copy
            of the classifier itself is a gate that never errs, at the price of its forward pass.
        features, spatial_dims, scale, head: see :class:`~monai_advexplain.networks.TwoHeadGenerator`.
        fallback: whether a similar image that lost the decision gives way to the image in eval mode.

    Raises:
        ValueError: for a wrong ``scale``.
    """

    def __init__(
        self,
        trunk: nn.Module,
        gate: nn.Module,
        features: int,
        spatial_dims: int = 2,
        scale: int = 1,
        fallback: bool = True,
        **head: Any,
    ) -> None:
        super().__init__()
        self.fallback = fallback
        self.trunk = trunk
        self.gate = gate
        self.similar = ImageHead(spatial_dims, features, **head)
        self.to_no = ImageHead(spatial_dims, features, **head)
        self.to_yes = ImageHead(spatial_dims, features, **head)
        self.scale = _checked_scale(scale, self.similar.residual)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(similar, adversarial, estimate) of ``image`` (B, C, *spatial)."""
        features = self.trunk(_coarser(image, self.scale))
        estimate = self.gate(image).flatten()
        yes = (estimate > 0).reshape([-1] + [1] * (image.dim() - 1))
        adversarial = torch.where(yes, self.to_no(features, image), self.to_yes(features, image))
        similar = self.similar(features, image)
        if self.fallback and not self.training:
            kept = (self.gate(similar).flatten() > 0).reshape(yes.shape) == yes
            similar = torch.where(kept, similar, image)
        return similar, adversarial, estimate


class GatedExplainerNet(ExplainerNet):
    """The :class:`~monai_advexplain.networks.ExplainerNet` of a :class:`GatedGenerator`; the map is the same.

    Args:
        generator: a :class:`GatedGenerator`.
        channels, spatial_dims, size_divisor, rule: see :class:`~monai_advexplain.networks.ExplainerNet`.
    """

    @torch.jit.export
    def generate(self, image: Tensor) -> GatedPair:  # type: ignore[override]
        """The similar and the adversarial image of ``image`` (B, C, *spatial), and the estimated margin."""
        self._check(image)
        similar, adversarial, estimate = self.generator(image)
        return GatedPair(similar, adversarial, estimate)

    @torch.jit.export
    def explain(self, image: Tensor, pair: GatedPair) -> Tensor:  # type: ignore[override]
        """The explanation map (B, 1, *spatial) of images already generated: absolute change, mean over channels."""
        return self._map(image, pair.similar, pair.adversarial)


@contextmanager
def without_fallback(network: nn.Module) -> Iterator[None]:
    """Similar images as the generators make them: no :class:`GatedGenerator` in the network replaces one."""
    gated = [module for module in network.modules() if isinstance(module, GatedGenerator)]
    before = [module.fallback for module in gated]
    for module in gated:
        module.fallback = False
    try:
        yield
    finally:
        for module, fallback in zip(gated, before, strict=True):
            module.fallback = fallback
