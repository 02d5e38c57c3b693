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

"""EpochSeed: every epoch is a function of (seed, epoch), so that a resumed run repeats the one that was stopped."""

from __future__ import annotations

from typing import Any

from ignite.engine import Events
from monai.data.utils import set_rnd
from monai.engines import Workflow
from monai.utils import set_determinism


class EpochSeed:
    """Seeds Python, NumPy, torch and the loader's random transforms at the start of every epoch.

    Checkpoints of complete epochs are then enough for an exact resume: no state of a random generator is stored. Put it
    before any handler that draws random numbers.

    Args:
        seed: seed of the run; epoch e uses ``seed + e``.
        data_loader: loader whose dataset's random transforms are seeded too; by default the engine's own.
    """

    def __init__(self, seed: int = 0, data_loader: Any = None) -> None:
        self.seed = seed
        self.data_loader = data_loader

    def attach(self, engine: Workflow) -> None:
        """Attach to ``engine``, a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Workflow) -> None:
        """Seed the epoch that starts."""
        seed = self.seed + engine.state.epoch
        set_determinism(seed=seed)
        loader = self.data_loader if self.data_loader is not None else getattr(engine, "data_loader", None)
        dataset = getattr(loader, "dataset", None)
        if dataset is not None:
            set_rnd(dataset, seed)
