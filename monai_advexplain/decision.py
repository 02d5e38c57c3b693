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
"""What is explained: one binary decision, read from any classifier head."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

HEADS = ("sigmoid", "multilabel", "softmax")


def head_logit(output: Tensor, head: str, index: int) -> Tensor:
    """Log-odds of the decision (B,) from a head's raw output (B, K) or (B,), unchecked; scriptable.

    Args:
        output: logits of the classifier.
        head: one of :data:`HEADS`.
        index: the label or class; not looked at for ``"sigmoid"``.
    """
    if head == "sigmoid":
        return output.reshape(output.shape[0])
    logit = output[:, index]
    if head == "multilabel":
        return logit
    others = torch.arange(output.shape[1], device=output.device) != index % output.shape[1]
    return logit - torch.logsumexp(output[:, others], dim=1)


@dataclass(frozen=True)
class Decision:
    """One binary decision of a classifier; the only place that knows about heads.

    All methods take the classifier's raw output (logits, before any sigmoid or softmax) for a batch of B images; of a
    tuple, such as MONAI's ViT returns, the first entry.
    The *margin* is the signed distance to the decision's boundary in logit units: positive means "yes". For a softmax
    head it is the log-odds of the class against all the others together, so that its sigmoid is the softmax
    probability of the class.

    Args:
        head: ``"sigmoid"`` for one logit an image, output (B, 1) or (B,); ``"multilabel"`` for independent sigmoids,
            output (B, K), of which ``index`` is explained; ``"softmax"`` for exclusive classes, output (B, K),
            class ``index`` against the rest.
        index: which label or class; ``None`` for ``head="sigmoid"`` only.
        threshold: probability above which the decision is "yes", in (0, 1).
        soft: whether :meth:`target` gives probabilities instead of 0 and 1.

    Raises:
        ValueError: when an argument is outside its range.

    Example::

        decision = Decision("softmax", index=2)
        decision.hard(classifier(images))  # (B,) of bool
    """

    head: str = "sigmoid"
    index: int | None = None
    threshold: float = 0.5
    soft: bool = False

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {HEADS}, got {self.head!r}.")
        if (self.index is None) != (self.head == "sigmoid"):
            wanted = "None, there is only one logit" if self.head == "sigmoid" else "the label or class to explain"
            raise ValueError(f"index for head={self.head!r} must be {wanted}, got {self.index!r}.")
        if not 0.0 < self.threshold < 1.0:
            raise ValueError(f"threshold must lie in (0, 1), got {self.threshold}.")

    def _logit(self, output: Tensor | tuple[Tensor, ...]) -> Tensor:
        if isinstance(output, tuple) and output:  # MONAI's ViT returns (logits, hidden states)
            output = output[0]
        if not isinstance(output, Tensor):
            raise TypeError(
                "the classifier must return a tensor of logits, or a tuple that begins with it, got "
                f"{type(output).__name__}."
            )
        if self.head == "sigmoid":
            if output.ndim == 1 or (output.ndim == 2 and output.shape[1] == 1):
                return head_logit(output, self.head, 0)
        elif output.ndim == 2 and output.shape[1] >= 2:
            if not -output.shape[1] <= self.index < output.shape[1]:  # type: ignore[operator]
                raise ValueError(
                    f"index={self.index} is outside the classifier's {output.shape[1]} outputs (shape "
                    f"{tuple(output.shape)})."
                )
            return head_logit(output, self.head, self.index)  # type: ignore[arg-type]
        raise ValueError(
            f"the classifier's output has shape {tuple(output.shape)}, which does not fit head={self.head!r}. "
            'Declare Decision("sigmoid") for shape (B, 1) or (B,), Decision("multilabel", index=k) for K independent '
            'labels (B, K), Decision("softmax", index=k) for K exclusive classes (B, K).'
        )

    @property
    def boundary(self) -> float:
        """The log-odds of the threshold."""
        return math.log(self.threshold / (1.0 - self.threshold))

    def margin(self, output: Tensor) -> Tensor:
        """Signed distance to the boundary in logit units, (B,); differentiable."""
        return self._logit(output) - self.boundary

    def probability(self, output: Tensor) -> Tensor:
        """Probability of "yes", (B,), in [0, 1]."""
        return torch.sigmoid(self._logit(output))

    def hard(self, output: Tensor) -> Tensor:
        """The decision itself, (B,), bool."""
        return self.margin(output) > 0

    def target(self, output: Tensor) -> Tensor:
        """What a similar image must be decided as, (B,), in [0, 1], detached.

        0 or 1, or, when ``soft``, the sigmoid of the margin (the probability itself at threshold 0.5).
        """
        margin = self.margin(output).detach()
        return torch.sigmoid(margin) if self.soft else (margin > 0).to(margin.dtype)
