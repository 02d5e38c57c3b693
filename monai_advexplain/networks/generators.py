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

"""Generators: a trunk of features and a head for each image that is generated from them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from monai.networks.layers import Conv
from torch import Tensor, nn


class ImageHead(nn.Module):
    """From features to an image in the input's range: two linear convolutions, 3x3 and 1x1 (arXiv 2106.10947).

    With ``residual`` the head predicts a change of the input and starts at exactly no change (the last convolution is
    zero), which trains several times faster than predicting the image. Without it the head predicts the image itself.

    Args:
        spatial_dims: 2 or 3.
        features: channels of the features.
        channels: channels of the image.
        hidden: channels between the two convolutions.
        residual: whether to add the prediction to the input.
        value_range: (low, high) of the images; outputs are clipped to it.
        max_change: residuals stay within plus and minus this, in the image's units (a tanh): without a bound an
            adversarial image can run away into black and white areas from which training does not come back.
        relative: None to add the residual r to the image x; a positive number c for x + r (|x - level| + c) instead, a
            change relative to what is there: structures can be weakened and strengthened, but nothing can be painted
            on a ground that is within c of ``level``.
        level: grey level of that ground: 0 for a dark one on which findings are bright; the tissue's own where findings
            are darker or brighter than it.

    Raises:
        ValueError: when ``value_range`` is empty, ``max_change`` or ``relative`` is not positive, ``relative`` is given
            without ``residual``, or a ``level`` other than 0 without ``relative``.
    """

    def __init__(
        self,
        spatial_dims: int,
        features: int,
        channels: int = 1,
        hidden: int = 16,
        residual: bool = True,
        value_range: tuple[float, float] = (0.0, 1.0),
        max_change: float = 1.0,
        relative: float | None = None,
        level: float = 0.0,
    ) -> None:
        super().__init__()
        low, high = (float(v) for v in value_range)
        if not low < high:
            raise ValueError(f"value_range must be (low, high) with low < high, got {tuple(value_range)}.")
        self.low, self.high, self.residual = low, high, residual
        if not max_change > 0:
            raise ValueError(f"max_change must be positive, got {max_change}.")
        if relative is not None and not (relative > 0 and residual):
            raise ValueError(f"relative must be None, or positive with residual=True, got {relative} with {residual=}.")
        if level != 0.0 and relative is None:
            raise ValueError(f"level is what changes are relative to: it needs relative, got {level=} without.")
        self.max_change, self.level = float(max_change), float(level)
        self.relative = 0.0 if relative is None else float(relative)
        self.mode = "bilinear" if spatial_dims == 2 else "trilinear"
        convolution = Conv[Conv.CONV, spatial_dims]
        self.hidden = convolution(features, hidden, kernel_size=3, padding=1)
        self.image = convolution(hidden, channels, kernel_size=1)
        if residual:
            nn.init.zeros_(self.image.weight)
            nn.init.zeros_(self.image.bias)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Image (B, C, *spatial) from features (B, F, *grid) and the input image (B, C, *spatial).

        A residual on a coarser grid than the image's is interpolated linearly.
        """
        output = self.image(self.hidden(features))
        if self.residual:
            output = self.max_change * torch.tanh(output / self.max_change)
            if output.shape[2:] != image.shape[2:]:
                output = F.interpolate(output, image.shape[2:], mode=self.mode, align_corners=False)
            output = image + (output * ((image - self.level).abs() + self.relative) if self.relative > 0 else output)
        # Clipped for whoever looks at it, but not for the gradient: a pixel that left the range can come back.
        return torch.clamp(output, self.low, self.high).detach() + (output - output.detach())


class TwoHeadGenerator(nn.Module):
    """The authors' form: similar and adversarial image from one trunk, a head each.

    Args:
        trunk: any module (B, C, *spatial) -> (B, features, *spatial): ``monai.networks.nets.UNet``, ``BasicUNet``,
            ``AttentionUnet``, ... with ``out_channels=features``.
        features: channels that the trunk returns.
        spatial_dims: 2 or 3.
        scale: the trunk sees the image this many times smaller along each axis (averaged), and the residuals are
            interpolated back: changes are smooth, and both training and explaining several times faster. 1 for the
            image's own grid, the only choice without ``residual``.
        head: further arguments of every :class:`ImageHead`: ``channels``, ``hidden``, ``residual``, ``value_range``,
            ``max_change``, ``relative``, ``level``.

    Raises:
        ValueError: for a ``scale`` below 1, or above 1 without ``residual``.
    """

    def __init__(
        self,
        trunk: nn.Module,
        features: int,
        spatial_dims: int = 2,
        scale: int = 1,
        **head: Any,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.similar = ImageHead(spatial_dims, features, **head)
        self.adversarial = ImageHead(spatial_dims, features, **head)
        self.scale = _checked_scale(scale, self.similar.residual)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(similar, adversarial), each (B, C, *spatial), of ``image`` (B, C, *spatial)."""
        features = self.trunk(_coarser(image, self.scale))
        return self.similar(features, image), self.adversarial(features, image)


class SeparateGenerators(nn.Module):
    """Similar and adversarial image from a trunk and a head of their own each; nothing is shared.

    Args:
        similar_trunk: trunk of the similar image, see :class:`TwoHeadGenerator`.
        adversarial_trunk: trunk of the adversarial image; another instance.
        features, spatial_dims, scale, head: see :class:`TwoHeadGenerator`.

    Raises:
        ValueError: when both trunks are one object, or for a wrong ``scale``.
    """

    def __init__(
        self,
        similar_trunk: nn.Module,
        adversarial_trunk: nn.Module,
        features: int,
        spatial_dims: int = 2,
        scale: int = 1,
        **head: Any,
    ) -> None:
        super().__init__()
        if similar_trunk is adversarial_trunk:
            raise ValueError(
                "similar_trunk and adversarial_trunk are the same object; use TwoHeadGenerator to share one."
            )
        self.similar_trunk = similar_trunk
        self.adversarial_trunk = adversarial_trunk
        self.similar = ImageHead(spatial_dims, features, **head)
        self.adversarial = ImageHead(spatial_dims, features, **head)
        self.scale = _checked_scale(scale, self.similar.residual)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(similar, adversarial), each (B, C, *spatial), of ``image`` (B, C, *spatial)."""
        coarse = _coarser(image, self.scale)
        return (
            self.similar(self.similar_trunk(coarse), image),
            self.adversarial(self.adversarial_trunk(coarse), image),
        )


def _coarser(image: Tensor, scale: int) -> Tensor:
    """The image averaged over blocks of ``scale`` pixels along each axis."""
    if scale == 1:
        return image
    return F.avg_pool2d(image, scale) if image.dim() == 4 else F.avg_pool3d(image, scale)


def _checked_scale(scale: int, residual: bool) -> int:
    if scale < 1 or (scale > 1 and not residual):
        raise ValueError(f"scale must be 1 (or more, with residual=True), got {scale} with residual={residual}.")
    return scale
