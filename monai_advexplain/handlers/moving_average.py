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

"""MovingAverage: an exponential moving average of the weights that a trainer trains."""

from __future__ import annotations

from ignite.engine import Engine, Events
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from monai_advexplain.networks.frozen import freeze


class MovingAverage:
    """After each iteration every weight of the average moves by ``momentum`` towards the network's; buffers are copied.

    ``torch.optim.swa_utils.AveragedModel`` as a handler, and not ``ignite.handlers.EMAHandler``, which rounds weights
    that do not change, such as those of a frozen gate: here they stay bit for bit.

    Args:
        network: the network that is trained; the average begins as what it is after the first iteration.
        momentum: share of the network in a new average, in (0, 1).

    Attributes:
        model: the ``AveragedModel``, for checkpoints.
        network: the average itself, a network like the one given, frozen and in eval mode.

    Raises:
        ValueError: for a ``momentum`` outside (0, 1).
    """

    def __init__(self, network: nn.Module, momentum: float = 0.01) -> None:
        if not 0.0 < momentum < 1.0:
            raise ValueError(f"momentum must lie in (0, 1), got {momentum}.")
        self._trained = network
        self.model = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(1.0 - momentum))
        self.network: nn.Module = freeze(self.model.module)

    def attach(self, engine: Engine) -> None:
        """Attach to ``engine``, a trainer; before handlers that save or use the average after an iteration."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Take the iteration that ends into the average."""
        self.model.update_parameters(self._trained)
