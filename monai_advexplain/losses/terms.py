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

"""Loss terms: one equation each. A term maps an :class:`ExplanationStep` to a scalar to minimise.

Notation of the docstrings: x the image, s = g_s(x), a = g_a(x), m(.) the classifier's margin in logit units, y the
decision about x in [0, 1]. Sums are means over pixels, images and random draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_advexplain.losses.step import ExplanationStep

FORMS = ("cross_entropy", "hinge")
NORMS = ("l1", "l2", "l1+l2")


def _decision_loss(margin: Tensor, target: Tensor, form: str, reach: float) -> Tensor:
    """Loss of margins (K, B) against the wanted decision (B,), averaged."""
    target = target.expand_as(margin)
    if form == "cross_entropy":
        return F.binary_cross_entropy_with_logits(margin.float(), target.float())
    return F.relu(reach - (2 * target - 1) * margin).mean()


@dataclass(frozen=True)
class DecisionPreservation:
    """f decides about the similar image as about the image.

    ``cross_entropy``: BCE(sigmoid(m(s)), y); ``hinge``: max(0, reach - (2 y - 1) m(s)), which stops pushing once the
    margin is ``reach`` on the right side.

    Args:
        image: name of the image that keeps the decision.
        form: ``"cross_entropy"`` or ``"hinge"``.
        reach: margin in logit units at which the hinge is content.
    """

    image: str = "similar"
    form: str = "cross_entropy"
    reach: float = 1.0

    def __post_init__(self) -> None:
        _check("form", self.form, FORMS)

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        return _decision_loss(step.margin(self.image), step.target, self.form, self.reach)


@dataclass(frozen=True)
class DecisionFlip:
    """f decides the opposite about the adversarial image: :class:`DecisionPreservation` with 1 - y.

    Args:
        image: name of the image that flips the decision.
        form: ``"cross_entropy"`` or ``"hinge"``.
        reach: margin in logit units at which the hinge is content.
    """

    image: str = "adversarial"
    form: str = "cross_entropy"
    reach: float = 1.0

    def __post_init__(self) -> None:
        _check("form", self.form, FORMS)

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        return _decision_loss(step.margin(self.image), 1 - step.target, self.form, self.reach)


@dataclass(frozen=True)
class DecisionReinforcement:
    """f decides about the similar image more surely than about the image: max(0, gain - (2 y - 1) (m(s) - m(x))).

    A similar image that only keeps the decision may lose evidence, and what it loses is missing from the map, since the
    adversarial image loses it too. One that gains evidence puts it into the map twice: added here, removed there. Both
    margins are taken under the same random transformation.

    Args:
        image: name of the image that reinforces the decision.
        gain: by how much, in logit units; the term is content beyond it.
    """

    image: str = "similar"
    gain: float = 3.0

    def __post_init__(self) -> None:
        if not self.gain > 0:
            raise ValueError(f"gain must be positive, in logit units, got {self.gain}.")

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        gained = (2 * step.target - 1) * (step.margin(self.image) - step.margin("image").detach())
        return F.relu(self.gain - gained).mean()


@dataclass(frozen=True)
class Distance:
    """How far two images are apart: mean \\|u - v\\| (``l1``), mean (u - v)^2 (``l2``), or their sum.

    Args:
        first: name of the one image.
        second: name of the other.
        norm: ``"l1"``, ``"l2"`` or ``"l1+l2"``.
    """

    first: str
    second: str
    norm: str = "l1"

    def __post_init__(self) -> None:
        _check("norm", self.norm, NORMS)

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        difference = step[self.first] - step[self.second]
        loss = difference.new_zeros(())
        if "l1" in self.norm:
            loss = loss + difference.abs().mean()
        if "l2" in self.norm:
            loss = loss + difference.square().mean()
        return loss


@dataclass(frozen=True)
class TotalVariation:
    """The difference d of two images is smooth: mean of \\|d_p - d_q\\| over neighbours p and q, summed over axes.

    Args:
        first: name of the one image.
        second: name of the other; None when d is the first image itself.
    """

    first: str = "similar"
    second: str | None = "adversarial"

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        difference = step[self.first] if self.second is None else step[self.first] - step[self.second]
        axes = [axis for axis in range(2, difference.ndim) if difference.shape[axis] > 1]  # one slice has no neighbours
        return torch.stack([difference.diff(dim=axis).abs().mean() for axis in axes]).sum()


@dataclass(frozen=True)
class Sparsity:
    """Few pixels differ between two images: mean of d^2 / (d^2 + c^2), a smooth count (Geman and McClure, 1987).

    Args:
        first: name of the one image.
        second: name of the other.
        scale: c, the change in units of intensity that counts as half a pixel.
    """

    first: str = "similar"
    second: str = "adversarial"
    scale: float = 0.05

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        squared = (step[self.first] - step[self.second]).square()
        return (squared / (squared + self.scale**2)).mean()


@dataclass(frozen=True)
class MarginEstimate:
    """A gate's estimate e of the classifier's margin about the image is right: Huber loss of e - m(x).

    Args:
        estimate: name of the estimate (B,) among what the network generates.
    """

    estimate: str = "estimate"

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step.

        Raises:
            ValueError: when the step does not know the classifier's margin about its images.
        """
        if step.image_margin is None:
            raise ValueError("this step has no image_margin, which MarginEstimate compares with.")
        return F.smooth_l1_loss(step[self.estimate].float(), step.image_margin.float())


@dataclass(frozen=True)
class Area:
    """A mask m in [0, 1] is small: mean of m.

    Args:
        image: name of the mask.
    """

    image: str = "mask"

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        return step[self.image].mean()


def _check(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{argument} must be one of {allowed}, got {value!r}.")
