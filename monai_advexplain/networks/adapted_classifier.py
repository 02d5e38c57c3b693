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

"""AdaptedClassifier: what a classifier wants of its input, as a part of the classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_advexplain.networks.frozen import Frozen


class AdaptedClassifier(Frozen):
    """A classifier with its own channels, size and normalisation inside, so that images stay images.

    It takes the images that are explained, (B, 1 or C, *spatial) in [0, 1] as the explainer draws them, and shows the
    network what it was trained with: its order of axes and its ``size``, one channel repeated,
    ``low + (high - low) * image`` of ``value_range``, then ``(image - mean) / std``. All of it is differentiable:
    generated images, gradients and maps have the size and the intensities of the image. Frozen and in eval mode for
    good; scriptable when the network is.

    Args:
        network: (B, C, *size) -> logits; frozen in place.
        channels: C, the channels that the network takes. An image of one channel is repeated, one of C taken as it is.
        mean, std: one number, or one for each channel, in the units of ``value_range``.
        value_range: what the network wants to see where the image is 0 and where it is 1: ``(0, 255)``, ``(-1, 1)``.
        size: spatial size that the network wants, in its own order of axes; None for that of the image. Smaller ones
            are averaged (2D: bilinear with antialiasing, as torchvision's transforms do; 3D: area), larger ones linear.
        reverse_axes: whether the network was trained on images whose first axis runs down, (B, C, H, W) or
            (B, C, D, H, W), as PIL, torchvision and timm have them; MONAI's readers put x first.

    Raises:
        ValueError: when an argument is outside its range; in a call, when the image has other channels or dimensions.

    Example::

        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        classifier = AdaptedClassifier(rgb, 3, mean, std, size=(224, 224), reverse_axes=True)
    """

    def __init__(
        self,
        network: nn.Module,
        channels: int = 1,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        value_range: Sequence[float] = (0.0, 1.0),
        size: Sequence[int] | None = None,
        reverse_axes: bool = False,
    ) -> None:
        super().__init__(network)
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}.")
        if len(value_range) != 2 or value_range[0] == value_range[1]:
            raise ValueError(f"value_range must be two different numbers, got {tuple(value_range)}.")
        if size is not None and (len(size) not in (2, 3) or min(size) < 1):
            raise ValueError(f"size must be two or three positive numbers, got {tuple(size)}.")
        low, high = map(float, value_range)
        means, stds = _of_channels(mean, channels, "mean"), _of_channels(std, channels, "std")
        if (stds <= 0).any():
            raise ValueError(f"std must be positive, got {std}.")
        self.channels, self.reverse_axes = channels, reverse_axes
        self.size = None if size is None else [int(length) for length in size]
        self.register_buffer("factor", (high - low) / stds, persistent=False)
        self.register_buffer("offset", (low - means) / stds, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """What the network returns for ``image`` (B, 1 or C, *spatial)."""
        if image.shape[1] != 1 and image.shape[1] != self.channels:
            raise ValueError(
                f"the classifier takes images of 1 or {self.channels} channel(s), got shape {list(image.shape)}."
            )
        seen = image.float()  # bfloat16 has no antialiasing
        if self.reverse_axes:
            seen = seen.transpose(2, image.dim() - 1)
        if self.size is not None:
            seen = _resized(seen, self.size)
        one_each = [1, -1] + [1] * (image.dim() - 2)
        # the factor's channels repeat an image of one
        factor, offset = self.factor.reshape(one_each), self.offset.reshape(one_each)  # type: ignore[operator]
        return self.network(seen * factor + offset)


def _resized(image: Tensor, size: list[int]) -> Tensor:
    now = list(image.shape[2:])
    if len(now) != len(size):
        raise ValueError(f"the classifier is given images of size {size}, got shape {list(image.shape)}.")
    if now == size:
        return image
    if len(size) == 2:
        return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
    for axis in range(3):
        if size[axis] > now[axis]:
            return F.interpolate(image, size, mode="trilinear", align_corners=False)
    return F.interpolate(image, size, mode="area")


def _of_channels(value: float | Sequence[float], channels: int, name: str) -> Tensor:
    values = torch.as_tensor(value, dtype=torch.float32).reshape(-1)
    if len(values) not in (1, channels):
        raise ValueError(f"{name} must be one number or {channels}, one for each channel, got {value}.")
    return values.expand(channels).clone()
