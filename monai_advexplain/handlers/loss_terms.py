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

"""What the logging handlers of MONAI show of a JointExplainerTrainer's iteration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monai.utils.enums import CommonKeys as Keys


def loss_terms(output: Sequence[Mapping] | Mapping) -> dict[str, float]:
    """``{"loss": ..., "loss/flip": ..., ...}`` of an iteration's output.

    Pass it as ``output_transform`` to ``StatsHandler``, ``TensorBoardStatsHandler`` or ``MLFlowHandler``.

    Args:
        output: ``engine.state.output`` of a JointExplainerTrainer, decollated or not.

    Returns:
        The weighted total and every unweighted term.
    """
    first = output if isinstance(output, Mapping) else output[0]
    return {
        str(key): float(value) for key, value in first.items() if key == Keys.LOSS or key.startswith(f"{Keys.LOSS}/")
    }
