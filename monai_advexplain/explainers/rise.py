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

"""RISE: the mean of random masks, weighted by what the classifier still sees through them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_advexplain.decision import Decision
from monai_advexplain.explainers.classifier_explainer import ClassifierExplainer

_LINEAR = {2: "bilinear", 3: "trilinear"}


class RISEExplainer(ClassifierExplainer):
    """``1 / (p N) * sum_i P(x * M_i) M_i``, P the probability of the decision made (Petsiuk et al., 2018, 1806.07421).

    Random binary grids are enlarged linearly and shifted by parts of a cell; masked pixels are 0, as in the source. The
    masks come from a seed and are the same for every image of a size.

    Args:
        classifier: images -> logits; needs no gradient.
        decision: which decision is explained.
        n_masks: number N of masks (4000 to 8000 in the source).
        grid: cells along each axis.
        p: probability of a cell to be kept, in (0, 1).
        seed: of the masks.
        batch_size: images that the classifier sees at once, if an explained batch is not larger.
    """

    def __init__(
        self,
        classifier: torch.nn.Module,
        decision: Decision | None = None,
        n_masks: int = 500,
        grid: int = 7,
        p: float = 0.5,
        seed: int = 0,
        batch_size: int = 32,
    ) -> None:
        super().__init__(classifier, decision)
        self.n_masks = n_masks
        self.grid = grid
        self.p = p
        self.seed = seed
        self.batch_size = batch_size

    def masks(self, spatial_size: Sequence[int], at_once: int = 32) -> Iterator[Tensor]:
        """The masks of images of this size, at most ``at_once`` at a time, each (n, 1, *spatial), in [0, 1]."""
        dims = len(spatial_size)
        generator = torch.Generator().manual_seed(self.seed)
        kept = (torch.rand(self.n_masks, 1, *[self.grid] * dims, generator=generator) < self.p).float()
        cell = torch.tensor([-(-size // self.grid) for size in spatial_size])
        shifts = (torch.rand(self.n_masks, dims, generator=generator) * cell).long()
        for cells, part in zip(kept.split(at_once), shifts.split(at_once), strict=True):
            # One cell more than the image has, so that every shift stays inside.
            large = F.interpolate(cells, size=((self.grid + 1) * cell).tolist(), mode=_LINEAR[dims])
            yield torch.stack(
                [_crop(one, shift, spatial_size) for one, shift in zip(large, part.tolist(), strict=True)]
            )

    @torch.no_grad()
    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        sign = self.sign(images)
        total = torch.zeros_like(images[:, :1])
        for masks in self.masks(images.shape[2:], max(1, self.batch_size // len(images))):
            masks = masks.to(images.device).unsqueeze(1)
            probability = self.probability((masks * images).flatten(0, 1), sign.repeat(len(masks)))
            weights = probability.reshape(len(masks), len(images), *[1] * (images.ndim - 1))
            total += (weights * masks).sum(dim=0)
        return total / (self.p * self.n_masks)


def _crop(image: Tensor, start: Sequence[int], size: Sequence[int]) -> Tensor:
    for axis, (first, length) in enumerate(zip(start, size, strict=True), start=1):
        image = image.narrow(axis, first, length)
    return image
