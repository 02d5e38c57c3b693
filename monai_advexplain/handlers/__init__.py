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

"""Ignite handlers that MONAI lacks."""

from __future__ import annotations

from monai_advexplain.handlers.checkpoint import AtomicCheckpointSaver, Resume, latest_checkpoint
from monai_advexplain.handlers.epoch_seed import EpochSeed
from monai_advexplain.handlers.explainer_metrics import decision_metrics, explainer_metrics
from monai_advexplain.handlers.explanation_writer import ExplanationWriter
from monai_advexplain.handlers.loss_terms import loss_terms
from monai_advexplain.handlers.metrics import AUCLoc, FlipRate, PreservationRate
from monai_advexplain.handlers.metrics_json import MetricsJson
from monai_advexplain.handlers.moving_average import MovingAverage
from monai_advexplain.handlers.picture_grid import PictureGrid

__all__ = [
    "AUCLoc",
    "AtomicCheckpointSaver",
    "EpochSeed",
    "ExplanationWriter",
    "FlipRate",
    "MetricsJson",
    "MovingAverage",
    "PictureGrid",
    "PreservationRate",
    "Resume",
    "decision_metrics",
    "explainer_metrics",
    "latest_checkpoint",
    "loss_terms",
]
