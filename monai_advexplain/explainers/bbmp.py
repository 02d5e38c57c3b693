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

"""BBMP: the smallest smooth mask that deletes the evidence, found by optimisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_advexplain.decision import Decision
from monai_advexplain.explainers.baseline import baseline_images
from monai_advexplain.explainers.classifier_explainer import ClassifierExplainer

_LINEAR = {2: "bilinear", 3: "trilinear"}
_DISCS = 10


class BBMPExplainer(ClassifierExplainer):
    """``1 - m``, m the mask that minimises ``area * mean(1 - m) + variation * TV(m) + P(x m + b (1 - m))``.

    P is the probability of the decision made, b the image without information, and TV the mean over cells of
    ``|d m / d u|^beta``, the unit of u being the size of the image. The mask has one value a cell of ``cell`` pixels
    and is enlarged linearly; the perturbed image is shifted by some pixels at every step. It begins as the smallest
    centred disc that takes away 99 % of the probability that deleting everything would, and is kept in [0, 1] after
    every step of Adam. All images of a batch are optimised at once, each with a loss of its own; the shifts come from a
    seed and are the same for every image. Where ``b`` does not change the decision the map is near 0 everywhere.

    Fong and Vedaldi, 2017, arXiv 1704.03296 ("deletion"). Departures: half the iterations; a blur twice as wide; no
    further blur of the enlarged mask; ``area`` and ``variation`` weigh means and derivatives that do not depend on the
    number of cells, instead of sums over cells and their differences (the defaults are the source's weights, 1e-4 and
    1e-2, for its mask of 28 x 28).

    Args:
        classifier: images -> logits.
        decision: which decision is explained.
        iterations: steps of Adam.
        cell: pixels a cell of the mask along each axis.
        baseline: the image without information: ``"blur"``, ``"mean"`` or a number (``explainers/baseline.py``).
        area: weight of the deleted share of the image.
        variation: weight of the total variation.
        beta: its exponent.
        jitter: largest shift in pixels along each axis, both ways.
        learning_rate: of Adam.
        seed: of the shifts.
    """

    def __init__(
        self,
        classifier: torch.nn.Module,
        decision: Decision | None = None,
        iterations: int = 150,
        cell: int = 8,
        baseline: str | float = "blur",
        area: float = 1e-4 * 28**2,
        variation: float = 1e-2 / 28,
        beta: float = 3.0,
        jitter: int = 4,
        learning_rate: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__(classifier, decision)
        self.iterations = iterations
        self.cell = cell
        self.baseline = baseline
        self.area = area
        self.variation = variation
        self.beta = beta
        self.jitter = jitter
        self.learning_rate = learning_rate
        self.seed = seed

    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        sign = self.sign(images)
        nothing = baseline_images(images, self.baseline)
        mask = self._first_mask(images, nothing, sign).requires_grad_(True)
        optimizer = torch.optim.Adam([mask], lr=self.learning_rate)
        dims = images.ndim - 2
        shifts = torch.randint(
            -self.jitter,
            self.jitter + 1,
            (self.iterations, dims),
            generator=torch.Generator().manual_seed(self.seed),
        )
        for shift in shifts.tolist():
            perturbed = _shifted(_blend(images, nothing, mask), shift)
            loss = self.area * (1 - mask).flatten(1).mean(dim=1) + self.variation * self._total_variation(mask)
            optimizer.zero_grad()
            # Only the mask gets a gradient: the classifier's parameters hold none afterwards.
            (loss + self.probability(perturbed, sign)).sum().backward(inputs=[mask])
            optimizer.step()
            with torch.no_grad():
                mask.clamp_(0, 1)
        return 1 - _enlarged(mask.detach(), images)

    def _total_variation(self, mask: Tensor) -> Tensor:
        slopes = [mask.diff(dim=axis).flatten(1) * mask.shape[axis] for axis in range(2, mask.ndim)]
        return torch.cat(slopes, dim=1).abs().pow(self.beta).sum(dim=1) / mask[0].numel()

    @torch.no_grad()
    def _first_mask(self, images: Tensor, nothing: Tensor, sign: Tensor) -> Tensor:
        """(B, 1, *cells)."""
        cells = [max(2, round(size / self.cell)) for size in images.shape[2:]]
        axes = [(2 * torch.arange(n, device=images.device) + 1) / n - 1 for n in cells]
        radius = torch.stack(torch.meshgrid(*axes, indexing="ij")).norm(dim=0)
        untouched = self.probability(images, sign)
        wanted = 0.99 * (untouched - self.probability(nothing, sign))
        chosen = torch.zeros(len(images), 1, *cells, device=images.device)
        for share in reversed(range(1, _DISCS)):
            disc = (radius > share / _DISCS * radius.max()).float().expand_as(chosen)
            enough = untouched - self.probability(_blend(images, nothing, disc), sign) >= wanted
            chosen = torch.where(enough.reshape(-1, *[1] * (images.ndim - 1)), disc, chosen)
        return chosen


def _enlarged(mask: Tensor, images: Tensor) -> Tensor:
    return F.interpolate(mask, size=images.shape[2:], mode=_LINEAR[images.ndim - 2])


def _blend(images: Tensor, nothing: Tensor, mask: Tensor) -> Tensor:
    large = _enlarged(mask, images)
    return images * large + nothing * (1 - large)


def _shifted(images: Tensor, shift: list[int]) -> Tensor:
    """Images moved by ``shift`` pixels, what comes in from outside having the border's value."""
    # Last axis first; a negative pad cuts.
    return F.pad(images, [pad for pixels in reversed(shift) for pad in (pixels, -pixels)], mode="replicate")
