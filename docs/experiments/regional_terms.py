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

"""Terms that see only parts of the generated images; see 2026-11-26-gain-and-distillation.md.

Random regions (as in RISE, arXiv 1806.07421) are replaced by those of another image of the batch that the classifier
decides "no" (as in CutMix, arXiv 1905.04899), so that one strong finding cannot speak for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_advexplain.losses import ExplanationStep


def regions(like: Tensor, cells: int, share: float) -> Tensor:
    """Soft random masks (B, 1, W, H) in [0, 1] of a coarse grid; 1 = replaced."""
    size = like.shape[2:]
    grid = (torch.rand((len(like), 1, *[cells + 1] * len(size)), device=like.device) < share).to(like.dtype)
    larger = [side + side // cells for side in size]
    masks = F.interpolate(grid, size=larger, mode="bilinear", align_corners=False)
    for axis, side in enumerate(size):
        masks = masks.narrow(2 + axis, int(torch.randint(0, larger[axis] - side + 1, ())), side)
    return masks


def replaced(step: ExplanationStep, cells: int, share: float, *names: str) -> list[Tensor] | None:
    """The images of those names, the same regions replaced in each; None when no image of the batch is decided "no"."""
    other = (step.target < 0.5).nonzero().flatten()
    if len(other) == 0:
        return None
    filling = step["image"][other[torch.randint(len(other), (len(step.target),))]]
    masks = regions(filling, cells, share)
    return [step[name] * (1 - masks) + filling * masks for name in names]


@dataclass(frozen=True)
class RegionalFlip:
    """f decides "no" about regions of the adversarial image of a "yes"."""

    cells: int = 3
    share: float = 0.4

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        shown = replaced(step, self.cells, self.share, "adversarial")
        if shown is None:
            return step["adversarial"].new_zeros(())
        return (F.softplus(step._critic(shown[0]).float()) * (step.target > 0.5)).mean()


@dataclass(frozen=True)
class RegionalReinforcement:
    """f decides about regions of the similar image more surely than about those of the image."""

    cells: int = 3
    share: float = 0.4
    gain: float = 3.0

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        shown = replaced(step, self.cells, self.share, "similar", "image")
        if shown is None:
            return step["similar"].new_zeros(())
        similar, image = (step._critic(one) for one in shown)
        return F.relu(self.gain - (2 * step.target - 1) * (similar - image.detach())).mean()
