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

"""Recipes: a method is a short list of weighted terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor, nn

from monai_advexplain.losses.consistency import Consistency
from monai_advexplain.losses.realism import GradientPenalty, JudgedGenerated, JudgedReal, Realism
from monai_advexplain.losses.step import ExplanationStep
from monai_advexplain.losses.terms import (
    Area,
    DecisionFlip,
    DecisionPreservation,
    DecisionReinforcement,
    Distance,
    MarginEstimate,
    Sparsity,
    TotalVariation,
)

Term = Callable[[ExplanationStep], Tensor]


class Weighted(NamedTuple):
    """A term and how much it counts."""

    weight: float
    term: Term


RECIPES: dict[str, dict[str, Weighted]] = {
    # Charachon et al., ICPR 2020, with a smooth difference (design: total variation is what keeps g_a from noise).
    "similar_adversarial": {
        "preservation": Weighted(1.0, DecisionPreservation("similar")),
        "reinforcement": Weighted(0.0, DecisionReinforcement("similar")),
        "flip": Weighted(1.0, DecisionFlip("adversarial")),
        "image_similar": Weighted(5.0, Distance("image", "similar", "l1+l2")),
        "similar_adversarial": Weighted(5.0, Distance("similar", "adversarial", "l1+l2")),
        "image_adversarial": Weighted(0.0, Distance("image", "adversarial", "l1+l2")),
        "variation": Weighted(5.0, TotalVariation("similar", "adversarial")),
        "sparsity": Weighted(0.0, Sparsity("similar", "adversarial")),
        "estimate": Weighted(0.0, MarginEstimate()),  # for a GatedGenerator
        "realism": Weighted(0.0, Realism()),  # for a trainer with a discriminator
        "consistency": Weighted(0.0, Consistency()),  # for a trainer with a teacher
    },
    # The paper's baseline |x - g_a(x)|: the adversarial image alone.
    "naive": {
        "flip": Weighted(1.0, DecisionFlip("adversarial")),
        "image_adversarial": Weighted(5.0, Distance("image", "adversarial", "l1+l2")),
        "variation": Weighted(5.0, TotalVariation("image", "adversarial")),
        "sparsity": Weighted(0.0, Sparsity("image", "adversarial")),
        "estimate": Weighted(0.0, MarginEstimate()),
        "consistency": Weighted(0.0, Consistency("image", "adversarial")),
    },
    # Dabkowski and Gal, NeurIPS 2017 (arXiv 1705.07857): a small smooth mask that holds all the evidence.
    "mask_generator": {
        "preservation": Weighted(1.0, DecisionPreservation("similar")),
        "flip": Weighted(1.0, DecisionFlip("adversarial")),
        "area": Weighted(1.0, Area("mask")),
        "variation": Weighted(1.0, TotalVariation("mask", None)),
    },
    # Charachon et al., arXiv 2106.10947, with its weights for digits; for a DomainExplainerNet and a discriminator.
    "syce": {
        "flip": Weighted(0.2, DecisionFlip("adversarial")),
        "preservation": Weighted(0.01, DecisionPreservation("similar")),
        "cycle_preservation": Weighted(0.005, DecisionPreservation("cycle")),
        "image_similar": Weighted(10.0, Distance("image", "similar", "l1+l2")),
        "image_cycle": Weighted(2.0, Distance("image", "cycle", "l1+l2")),
        "realism": Weighted(0.25, Realism()),
        "variation": Weighted(0.0, TotalVariation("similar", "adversarial")),
        "sparsity": Weighted(0.0, Sparsity("similar", "adversarial")),
        "estimate": Weighted(0.0, MarginEstimate()),
    },
    # The same source: no symmetry, the cycle only, and |x - x_a| explains.
    "cyce": {
        "flip": Weighted(0.2, DecisionFlip("adversarial")),
        "cycle_preservation": Weighted(0.005, DecisionPreservation("cycle")),
        "image_cycle": Weighted(10.0, Distance("image", "cycle", "l1+l2")),
        "realism": Weighted(0.25, Realism()),
        "variation": Weighted(0.0, TotalVariation("image", "adversarial")),
        "sparsity": Weighted(0.0, Sparsity("image", "adversarial")),
        "estimate": Weighted(0.0, MarginEstimate()),
    },
    # What the discriminator of a trainer minimises: real and generated images count 1 together, as does the penalty.
    "discriminator": {
        "real": Weighted(0.5, JudgedReal()),
        "generated": Weighted(0.5, JudgedGenerated()),
        "gradient_penalty": Weighted(1.0, GradientPenalty()),
    },
}


class ExplainerLoss(nn.Module):
    """The weighted sum of named terms of a recipe; every term's value stays readable by its name.

    Args:
        recipe: a name in :data:`RECIPES`; None to give all ``terms`` oneself.
        weights: term name -> weight, in place of the recipe's; a weight of 0 leaves the term out.
        terms: term name -> term, in place of the recipe's or in addition to it (a new one needs a weight).

    Raises:
        ValueError: for an unknown recipe, a weight without a term, a term without a weight, or no term at all.

    Example::

        loss = ExplainerLoss("similar_adversarial", weights={"flip": 2.0, "sparsity": 0.1})
        loss(step)  # {"preservation": ..., "flip": ..., ...}, unweighted scalars
        loss.total(values)  # the scalar to minimise
    """

    def __init__(
        self,
        recipe: str | None = "similar_adversarial",
        weights: Mapping[str, float] | None = None,
        terms: Mapping[str, Term] | None = None,
    ) -> None:
        super().__init__()
        if recipe is not None and recipe not in RECIPES:
            raise ValueError(f"recipe must be one of {sorted(RECIPES)} or None, got {recipe!r}.")
        chosen = dict(RECIPES[recipe]) if recipe else {}
        weights = dict(weights or {})
        for name, term in (terms or {}).items():
            if name not in chosen and name not in weights:
                raise ValueError(f"the term {name!r} has no weight; add it to weights.")
            chosen[name] = Weighted(chosen[name].weight if name in chosen else 0.0, term)
        unknown = sorted(set(weights) - set(chosen))
        if unknown:
            raise ValueError(f"weights for unknown terms {unknown}; the terms are {sorted(chosen)}.")
        merged = {n: Weighted(float(weights.get(n, w.weight)), w.term) for n, w in chosen.items()}
        self.terms = {name: weighted for name, weighted in merged.items() if weighted.weight != 0.0}
        if not self.terms:
            raise ValueError("no term has a weight other than 0; there is nothing to minimise.")

    def forward(self, step: ExplanationStep) -> dict[str, Tensor]:
        """Every term's unweighted value, a scalar each."""
        return {name: weighted.term(step) for name, weighted in self.terms.items()}

    def total(self, values: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the values that :meth:`forward` gave."""
        return sum((self.terms[name].weight * value for name, value in values.items()), start=0.0)  # type: ignore
