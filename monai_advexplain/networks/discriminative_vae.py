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

"""Discriminative VAE: an auto-encoder whose latent codes also tell the classifier's decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from monai.networks.nets import VarAutoEncoder
from torch import Tensor, nn


class LatentImage(NamedTuple):
    """What a :class:`DiscriminativeVAE` makes of images (B, C, *spatial).

    Attributes:
        reconstruction: (B, C, *spatial), in [0, 1].
        mean: of the posterior, (B, latent_size).
        log_variance: of the posterior, (B, latent_size).
        logit: of the decision "yes", read from the mean, (B,).
    """

    reconstruction: Tensor
    mean: Tensor
    log_variance: Tensor
    logit: Tensor


class DiscriminativeVAE(nn.Module):
    """A variational auto-encoder with a linear classification head on the posterior means.

    The head keeps in the codes what the decision depends on, which a reconstruction alone may leave out. Source: the
    measure of realism of Charachon et al., arXiv 2106.10947; the architecture is ours, MONAI's ``VarAutoEncoder`` with
    batch norm and a stride of 2 at each level.

    Args:
        spatial_shape: of the images, 2D or 3D, each size a multiple of ``2 ** len(features)``.
        channels: C of the images.
        latent_size: numbers of a code.
        features: channels of each level, finest first, at least two.

    Raises:
        ValueError: when a size does not fit the levels.

    Example::

        vae = DiscriminativeVAE((96, 96))
        means = vae.eval().encode(images)  # (B, 32)
    """

    def __init__(
        self,
        spatial_shape: Sequence[int],
        channels: int = 1,
        latent_size: int = 32,
        features: Sequence[int] = (16, 32, 64),
    ) -> None:
        super().__init__()
        divisor = 2 ** len(features)
        if len(spatial_shape) not in (2, 3) or any(size < 1 or size % divisor for size in spatial_shape):
            raise ValueError(
                f"spatial_shape must be two or three multiples of {divisor} for {len(features)} levels of features, "
                f"got {tuple(spatial_shape)}."
            )
        if latent_size < 2:
            raise ValueError(f"latent_size must be at least 2, got {latent_size}.")
        self.vae = VarAutoEncoder(
            spatial_dims=len(spatial_shape),
            in_shape=(channels, *spatial_shape),
            out_channels=channels,
            latent_size=latent_size,
            channels=tuple(features),
            strides=(2,) * len(features),
            norm="batch",
        )
        self.decision = nn.Linear(latent_size, 1)

    def encode(self, images: Tensor) -> Tensor:
        """The posterior means (B, latent_size) of images (B, C, *spatial)."""
        return self.vae.encode_forward(images)[0]

    def forward(self, images: Tensor) -> LatentImage:
        """Reconstruction from a drawn code, posterior and decision of images (B, C, *spatial)."""
        reconstruction, mean, log_variance, _ = self.vae(images)
        return LatentImage(reconstruction, mean, log_variance, self.decision(mean).squeeze(1))
