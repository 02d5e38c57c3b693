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

"""MONAI AdvExplain: explains medical image classifiers by a similar and an adversarial image, in one forward pass."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from monai_advexplain._version import __version__

if TYPE_CHECKING:
    from monai_advexplain.decision import Decision
    from monai_advexplain.engines import ExplainerEvaluator, JointExplainerTrainer
    from monai_advexplain.explanation import Explanation
    from monai_advexplain.inferers import load
    from monai_advexplain.losses import Expectation, ExplainerLoss
    from monai_advexplain.metrics import auc_loc
    from monai_advexplain.networks import ExplainerNet, TwoHeadGenerator

# Imported on first use: MONAI's engines and readers take seconds to import.
_WHERE = {
    "Decision": "decision",
    "Expectation": "losses",
    "ExplainerEvaluator": "engines",
    "ExplainerLoss": "losses",
    "ExplainerNet": "networks",
    "Explanation": "explanation",
    "JointExplainerTrainer": "engines",
    "TwoHeadGenerator": "networks",
    "auc_loc": "metrics",
    "load": "inferers",
}

__all__ = [
    "Decision",
    "Expectation",
    "ExplainerEvaluator",
    "ExplainerLoss",
    "ExplainerNet",
    "Explanation",
    "JointExplainerTrainer",
    "TwoHeadGenerator",
    "__version__",
    "auc_loc",
    "load",
]


_PARTS = (
    "benchmark",
    "data",
    "dicom",
    "engines",
    "explainers",
    "handlers",
    "inferers",
    "label",
    "losses",
    "metrics",
    "networks",
    "sanity",
    "transforms",
)


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"monai_advexplain.{name}")
    if name in _WHERE:
        return getattr(import_module(f"monai_advexplain.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_PARTS]
