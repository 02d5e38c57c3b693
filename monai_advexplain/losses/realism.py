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

"""Realism: the term by which a generator asks a discriminator, and the terms that train the discriminator.

Notation as in :mod:`monai_advexplain.losses.terms`; D_d(u) is the discriminator's verdict, patch by patch, on u as an
image of decision d. The adversarial image a of an image x of decision y claims to be of decision 1 - y, and is compared
with the real images of that decision. L is ``monai.losses.PatchAdversarialLoss``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from monai.losses import PatchAdversarialLoss
from monai.losses.adversarial_loss import AdversarialCriterions
from torch import Tensor

from monai_advexplain.losses.step import ExplanationStep
from monai_advexplain.losses.terms import _check

CRITERIA = tuple(criterion.value for criterion in AdversarialCriterions)


@dataclass(frozen=True)
class _Judgement:
    """What the terms that hold a verdict against "real" or "generated" have in common.

    Args:
        image: name of the image that is judged.
        criterion: of ``monai.losses.PatchAdversarialLoss``: ``"least_squares"``, ``"bce"`` or ``"hinge"``.
    """

    image: str = "adversarial"
    criterion: str = "least_squares"

    def __post_init__(self) -> None:
        _check("criterion", self.criterion, CRITERIA)

    def _loss(self, verdict: Tensor, real: bool) -> Tensor:
        with torch.autocast(verdict.device.type, enabled=False):  # the cross-entropy refuses half precision
            return PatchAdversarialLoss(criterion=self.criterion)(
                verdict.float(), target_is_real=real, for_discriminator=True
            )


@dataclass(frozen=True)
class Realism(_Judgement):
    """The adversarial image passes for a real one of the opposite decision: L(D_{1-y}(a), real).

    For the generators; it needs a discriminator, which the trainer trains beside them.

    Args:
        image: name of the image that is judged.
        criterion: of ``monai.losses.PatchAdversarialLoss``: ``"least_squares"``, ``"bce"`` or ``"hinge"``.
    """

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        return self._loss(step.judge(step[self.image], 1 - step.target), real=True)


@dataclass(frozen=True)
class JudgedReal(_Judgement):
    """The discriminator calls an image a real one of its decision: L(D_y(x), real).

    Args:
        image: name of the real image.
        criterion: of ``monai.losses.PatchAdversarialLoss``.
    """

    image: str = "image"

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        return self._loss(step.judge(step[self.image], step.target), real=True)


@dataclass(frozen=True)
class JudgedGenerated(_Judgement):
    """The discriminator does not take the adversarial image for a real one: L(D_{1-y}(a), generated).

    The generator learns nothing from it.

    Args:
        image: name of the generated image.
        criterion: of ``monai.losses.PatchAdversarialLoss``.
    """

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        return self._loss(step.judge(step[self.image].detach(), 1 - step.target), real=False)


@dataclass(frozen=True)
class GradientPenalty:
    """The discriminator is flat around real images: mean over images of the squared norm of dD_y(x)/dx.

    D_y is averaged over patches first. This is the zero-centred penalty of Mescheder et al., ICML 2018 (arXiv
    1801.04406); which one arXiv 2106.10947 takes is not known to us. Computed in single precision.

    Args:
        image: name of the real image.
    """

    image: str = "image"

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        image = step[self.image].detach().float().requires_grad_()
        with torch.autocast(image.device.type, enabled=False):  # squared gradients leave the range of half precision
            verdict = step.judge(image, step.target).flatten(1).mean(dim=1)
            (gradient,) = torch.autograd.grad(verdict.sum(), image, create_graph=True)
        return gradient.flatten(1).square().sum(dim=1).mean()
