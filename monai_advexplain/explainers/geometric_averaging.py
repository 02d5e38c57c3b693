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

"""GeometricAveraging: the mean of an explainer's maps over random geometric transformations of the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor

from monai_advexplain.explainers.base import Explainer, maps_of
from monai_advexplain.transforms.random_affine import AffineRange, invert, warp

Planes = tuple[tuple[int, int], ...]
DEFAULT_RANGE = AffineRange(rotation=15.0, translation=0.05, scale=(0.9, 1.1))


def _turn(images: Tensor, planes: Planes, quarters: Sequence[int]) -> Tensor:
    """Images (B, C, *spatial) turned by that many quarters in each plane, one plane after the other; exact."""
    for (i, j), k in zip(planes, quarters, strict=True):
        images = images.rot90(k, (2 + i, 2 + j))
    return images


def _turn_back(images: Tensor, planes: Planes, quarters: Sequence[int]) -> Tensor:
    return _turn(images, planes[::-1], [-k for k in reversed(quarters)])


class GeometricAveraging(Explainer):
    """``[E(x) + sum_i psi_i^-1(E(psi_i(x)))] / [1 + sum_i psi_i^-1(1)]``, i = 1 ... N, around any explainer E.

    The regularisation of Charachon et al. (ICPR 2020, arXiv 2012.07332). A transformation moves some pixels out of the
    image, and nothing is known there of the map: every pixel is divided by the number of maps that cover it, not by
    N + 1, so that a constant map stays constant up to the border.

    The same N transformations are drawn at every call, one for all images of the batch: an image gets the same map
    whatever its batch, and torch's global random numbers are not used, unless ``seed`` is None.

    Args:
        explainer: any callable images (B, C, *spatial) -> maps (B, 1, *spatial): an explainer of this package, one of
            MONAI, a function around one of captum.
        n: number N of transformations; 0 gives the explainer's own maps.
        affine: what they are drawn from. The default turns by 15 degrees, shifts by 5 % and zooms by 10 % at most;
            it flips nothing, since anatomy has sides: name ``flip_axes`` where the classifier was trained on flips.
        right_angles: pairs of spatial axes, such as ``((0, 1),)``: in each of these planes the image is also turned by
            0, 90, 180 or 270 degrees, all equally likely. As flips, such turns alone are undone bit for bit. They swap
            the two sizes of an image that is not square: the explainer must accept that, and a classifier of one
            size does not.
        seed: of the transformations; None to draw others at every call, from torch's global random numbers: for a
            teacher (:class:`~monai_advexplain.losses.Consistency`), not for maps that somebody reads.
        batch_size: how many transformed images are explained at a time, at most.
        padding_mode: what a transformed image shows outside the original: ``"zeros"``, ``"border"`` or
            ``"reflection"``; best what the classifier was trained with.

    Raises:
        ValueError: when an argument is outside its range; in a call, when an axis is not one of the image's.

    Example::

        explainer = GeometricAveraging(ProposedExplainer(network), n=12)
        explainer = GeometricAveraging(lambda x: captum.attr.Saliency(f).attribute(x, target=0).amax(1, True))
        maps = explainer(images)  # (B, 1, W, H)
    """

    def __init__(
        self,
        explainer: Callable[[Tensor], Tensor],
        n: int = 12,
        affine: AffineRange = DEFAULT_RANGE,
        right_angles: Sequence[Sequence[int]] = (),
        seed: int | None = 0,
        batch_size: int = 8,
        padding_mode: str = "zeros",
    ) -> None:
        super().__init__(None)
        if n < 0:
            raise ValueError(f"n must be at least 0, got {n}.")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        for plane in right_angles:
            if len(plane) != 2 or len(set(plane)) != 2 or not set(plane) <= {0, 1, 2}:
                raise ValueError(f"right_angles must be pairs of two of the axes 0, 1 and 2, got {right_angles}.")
        self.explainer, self.n, self.affine, self.seed = explainer, n, affine, seed
        self.right_angles: Planes = tuple((i, j) for i, j in right_angles)
        self.batch_size, self.padding_mode = batch_size, padding_mode

    @torch.no_grad()
    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        size = images.shape[2:]
        if any(axis >= len(size) for plane in self.right_angles for axis in plane):
            raise ValueError(f"right_angles={self.right_angles} names an axis that images of size {tuple(size)} lack.")
        generator = None if self.seed is None else torch.Generator().manual_seed(self.seed)
        theta = self.affine.sample(self.n, size, generator)
        quarters = torch.randint(4, (self.n, len(self.right_angles)), generator=generator).tolist()
        inverse, theta = invert(theta).to(images.device), theta.to(images.device)

        maps = maps_of(self.explainer, images.clone())
        total = torch.cat([maps, torch.ones_like(maps)], dim=1)  # sums of maps and of what they cover
        for turn in sorted({tuple(drawn) for drawn in quarters}):  # images turned alike have one size, and one batch
            alike = [i for i in range(self.n) if tuple(quarters[i]) == turn]
            jobs = torch.tensor(list(product(alike, range(len(images)))), device=images.device)
            for i, image in (chunk.unbind(dim=1) for chunk in jobs.split(self.batch_size)):
                moved = warp(images[image], theta[i], padding_mode=self.padding_mode)
                maps = maps_of(self.explainer, _turn(moved, self.right_angles, turn))
                maps = _turn_back(maps, self.right_angles, turn)
                total.index_add_(0, image, warp(torch.cat([maps, torch.ones_like(maps)], dim=1), inverse[i]))
        return total[:, :1] / total[:, 1:]
