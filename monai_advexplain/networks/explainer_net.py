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

"""ExplainerNet: the generators and the rule that makes a map of their images, one module, one ``model.pt``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

RULES = ("similar_adversarial", "naive")


class GeneratedPair(NamedTuple):
    """The two generated images, each (B, C, *spatial)."""

    similar: Tensor
    adversarial: Tensor


class ExplainerNet(nn.Module):
    """Explains an image in one forward pass: ``|g_s(x) - g_a(x)|`` (Charachon et al., ICPR 2020, arXiv 2012.07332).

    Scriptable with ``torch.jit.script``; :meth:`generate` is exported with it.

    Args:
        generator: module (B, C, *spatial) -> (similar, adversarial), such as
            :class:`~monai_advexplain.networks.TwoHeadGenerator`.
        channels: channels C that an image must have.
        spatial_dims: 2 or 3.
        size_divisor: every spatial size must be a multiple of it (the product of the trunk's strides).
        rule: ``"similar_adversarial"`` for ``|g_s(x) - g_a(x)|``, ``"naive"`` for ``|x - g_a(x)|``.

    Raises:
        ValueError: in the constructor for an unknown rule; in forward for an image of another shape than declared.

    Example::

        net = ExplainerNet(TwoHeadGenerator(UNet(2, 1, 32, (16, 32, 64), (2, 2)), features=32), size_divisor=4)
        explanation = net(images)  # (B, 1, W, H), high = important
        similar, adversarial = net.generate(images)  # each (B, 1, W, H)
    """

    def __init__(
        self,
        generator: nn.Module,
        channels: int = 1,
        spatial_dims: int = 2,
        size_divisor: int = 1,
        rule: str = "similar_adversarial",
    ) -> None:
        super().__init__()
        if rule not in RULES:
            raise ValueError(f"rule must be one of {RULES}, got {rule!r}.")
        self.generator = generator
        self.channels = channels
        self.spatial_dims = spatial_dims
        self.size_divisor = size_divisor
        self.naive = rule == "naive"

    def _check(self, image: Tensor) -> None:
        shape = image.shape
        if len(shape) != self.spatial_dims + 2 or shape[1] != self.channels:
            raise ValueError(
                f"this explainer takes images of {self.spatial_dims} spatial dimensions, {self.channels} channel(s), "
                f"shape (batch, {self.channels}, ...); got shape {list(shape)}."
            )
        for size in shape[2:]:
            if size % self.size_divisor != 0:
                raise ValueError(
                    f"every spatial size must be a multiple of {self.size_divisor}; got shape {list(shape)}. "
                    "Resize or pad the image."
                )

    @torch.jit.export
    def generate(self, image: Tensor) -> GeneratedPair:
        """The similar and the adversarial image of ``image`` (B, C, *spatial)."""
        self._check(image)
        similar, adversarial = self.generator(image)
        return GeneratedPair(similar, adversarial)

    @torch.jit.export
    def explain(self, image: Tensor, pair: GeneratedPair) -> Tensor:
        """The explanation map (B, 1, *spatial) of images already generated: absolute change, mean over channels."""
        return self._map(image, pair.similar, pair.adversarial)

    def _map(self, image: Tensor, similar: Tensor, adversarial: Tensor) -> Tensor:
        reference = image if self.naive else similar
        return torch.abs(reference - adversarial).mean(dim=1, keepdim=True)

    def forward(self, image: Tensor) -> Tensor:
        """The explanation map (B, 1, *spatial) of ``image`` (B, C, *spatial), high = important, non negative."""
        return self.explain(image, self.generate(image))
