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

"""Expectation over random transformations and noise of the classifier's input.

A change that survives small movements and noise of the image is a change of what the image shows, not an adversarial
perturbation tuned to the pixel grid. The idea is Athalye et al., ICML 2018 (arXiv 1707.07397), "expectation over
transformation". Keep the ranges within what the classifier was trained to tolerate: beyond them the similar image
cannot keep the decision.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from monai_advexplain.transforms.random_affine import AffineRange, warp


class Expectation:
    """Draws random transformations and noise, the same for every image of a step.

    Args:
        affine: ranges of the geometric transformation; None for none.
        noise: standard deviation of Gaussian noise, in units of the image's intensity, drawn uniformly from
            [0, ``noise``] for each image.
        samples: number K of draws a step; the classifier's work grows with it.
        clean: whether the first of the draws is the untouched image.

    Raises:
        ValueError: when ``samples`` is below 1 or ``noise`` negative.
    """

    def __init__(
        self, affine: AffineRange | None = None, noise: float = 0.0, samples: int = 1, clean: bool = False
    ) -> None:
        if samples < 1:
            raise ValueError(f"samples must be at least 1, got {samples}.")
        if noise < 0:
            raise ValueError(f"noise must not be negative, got {noise}.")
        self.affine, self.noise, self.samples, self.clean = affine, noise, samples, clean

    def draw(self, like: Tensor) -> Callable[[Tensor], Tensor]:
        """One draw for a step: a function from images (B, C, *spatial) to (K * B, C, *spatial), draws first.

        Args:
            like: images of the shape, type and device to draw for.
        """
        varied = self.samples - int(self.clean)
        n, size = varied * like.shape[0], tuple(like.shape[2:])
        theta = noise = None
        if self.affine is not None and n:
            theta = self.affine.sample(n, size, device=like.device)
        if self.noise and n:
            strength = torch.rand((n,) + (1,) * (like.ndim - 1), device=like.device) * self.noise
            noise = strength * torch.randn((n, *like.shape[1:]), device=like.device)

        def apply(images: Tensor) -> Tensor:
            moved = images.repeat((varied,) + (1,) * (images.ndim - 1))
            if theta is not None:
                moved = warp(moved, theta)
            if noise is not None:
                moved = moved + noise.to(moved.dtype)
            return torch.cat([images, moved]) if self.clean else moved

        return apply
