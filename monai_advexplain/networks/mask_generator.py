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

"""Mask Generator (Dabkowski and Gal, 2017): a network that shows which part of an image is the evidence."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from monai.networks.layers import Conv
from torch import Tensor, nn

from monai_advexplain.networks.blur import BLUR_SIGMA, Blur
from monai_advexplain.networks.explainer_net import ExplainerNet
from monai_advexplain.networks.generators import _checked_scale, _coarser


class MaskedPair(NamedTuple):
    """The two generated images, each (B, C, *spatial), and the mask (B, 1, *spatial) that made them."""

    similar: Tensor
    adversarial: Tensor
    mask: Tensor


class MaskGenerator(nn.Module):
    """A mask m in [0, 1] of the evidence; with it kept, ``x m + p (1 - m)``, and removed, ``x (1 - m) + p m``.

    p is the image blurred. Source: Dabkowski and Gal, NeurIPS 2017, arXiv 1705.07857, in the form that arXiv 2106.10947
    compares with: the trunk sees the image and the classifier's score. Departures from the first: the score, where it
    has an embedding of the class to explain; the trunk is any U-Net, not one on the classifier's features; p is always
    the blurred image, where the source also draws uniform colours and noise.

    Args:
        trunk: any module (B, C + 1, *spatial) -> (B, features, *spatial), see
            :class:`~monai_advexplain.networks.TwoHeadGenerator`; (B, C, *spatial) without ``score``.
        features: channels that the trunk returns.
        spatial_dims: 2 or 3.
        hidden: channels between the two convolutions that make the mask of the features.
        scale: the trunk sees the image this many times smaller along each axis, and the mask is interpolated back.
        sigma: width of the blur as share of the image's size, see :class:`~monai_advexplain.networks.Blur`.

        score: module (B, C, *spatial) -> (B, 1), the classifier's logit (see
            :class:`~monai_advexplain.networks.Frozen`); its sigmoid is one more channel that the trunk sees. None for
            a mask from the image alone, which does not need the classifier.

    Raises:
        ValueError: for a ``scale`` below 1 or a ``sigma`` below 1/32.
    """

    def __init__(
        self,
        trunk: nn.Module,
        features: int,
        spatial_dims: int = 2,
        hidden: int = 16,
        scale: int = 1,
        sigma: float = BLUR_SIGMA,
        score: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.scale = _checked_scale(scale, residual=True)
        self.interpolation = "bilinear" if spatial_dims == 2 else "trilinear"
        convolution = Conv[Conv.CONV, spatial_dims]
        self.trunk = trunk
        self.hidden = convolution(features, hidden, kernel_size=3, padding=1)
        self.evidence = convolution(hidden, 1, kernel_size=1)
        self.blur = Blur(sigma)
        self.score = score

    @torch.jit.export
    def mask(self, image: Tensor) -> Tensor:
        """The mask m (B, 1, *spatial) of ``image`` (B, C, *spatial), 1 where the evidence is."""
        seen = _coarser(image, self.scale)
        if self.score is not None:
            score = torch.sigmoid(self.score(image)).reshape([-1] + [1] * (image.dim() - 1))
            seen = torch.cat([seen, score * torch.ones_like(seen[:, :1])], dim=1)
        logits = self.evidence(self.hidden(self.trunk(seen)))
        if self.scale > 1:
            logits = F.interpolate(logits, image.shape[2:], mode=self.interpolation, align_corners=False)
        return torch.sigmoid(logits)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(similar, adversarial, mask) of ``image`` (B, C, *spatial)."""
        mask = self.mask(image)
        blurred = self.blur(image)
        return blurred + mask * (image - blurred), image + mask * (blurred - image), mask


class MaskExplainerNet(ExplainerNet):
    """The :class:`~monai_advexplain.networks.ExplainerNet` of a mask generator: its map is the mask.

    Args:
        generator: a :class:`MaskGenerator`.
        channels: channels C that an image must have.
        spatial_dims: 2 or 3.
        size_divisor: every spatial size must be a multiple of it (the product of the trunk's strides and its scale).

    Example::

        trunk = UNet(2, 1, 32, (16, 32, 64), (2, 2))
        net = MaskExplainerNet(MaskGenerator(trunk, features=32), size_divisor=4)
        explanation = net(images)  # (B, 1, W, H), high = important
        similar, adversarial, mask = net.generate(images)
    """

    def __init__(self, generator: nn.Module, channels: int = 1, spatial_dims: int = 2, size_divisor: int = 1) -> None:
        super().__init__(generator, channels, spatial_dims, size_divisor)

    @torch.jit.export
    def generate(self, image: Tensor) -> MaskedPair:  # type: ignore[override]
        """The image with its evidence alone, without it, and the mask, of ``image`` (B, C, *spatial)."""
        self._check(image)
        similar, adversarial, mask = self.generator(image)
        return MaskedPair(similar, adversarial, mask)

    @torch.jit.export
    def explain(self, image: Tensor, pair: MaskedPair) -> Tensor:  # type: ignore[override]
        """The explanation map (B, 1, *spatial) of images already generated: the mask."""
        return pair.mask

    def forward(self, image: Tensor) -> Tensor:
        """The mask (B, 1, *spatial) of ``image`` (B, C, *spatial), without making the two images."""
        self._check(image)
        return self.generator.mask(image)  # type: ignore[operator]
