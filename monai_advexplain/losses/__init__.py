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

"""Losses: terms (one equation each) and recipes (a method is a list of weighted terms)."""

from monai_advexplain.losses.consistency import Consistency
from monai_advexplain.losses.expectation import Expectation
from monai_advexplain.losses.realism import GradientPenalty, JudgedGenerated, JudgedReal, Realism
from monai_advexplain.losses.recipes import RECIPES, ExplainerLoss, Weighted
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

__all__ = [
    "RECIPES",
    "Area",
    "Consistency",
    "DecisionFlip",
    "DecisionPreservation",
    "DecisionReinforcement",
    "Distance",
    "Expectation",
    "ExplainerLoss",
    "ExplanationStep",
    "GradientPenalty",
    "JudgedGenerated",
    "JudgedReal",
    "MarginEstimate",
    "Realism",
    "Sparsity",
    "TotalVariation",
    "Weighted",
]
