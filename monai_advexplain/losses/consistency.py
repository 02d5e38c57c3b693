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

"""A pair whose map is the map that a teacher gives of the same image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from monai_advexplain.losses.step import ExplanationStep


@dataclass(frozen=True)
class Consistency:
    """The map e = \\|u - v\\| (mean over channels) is the teacher's map t: mean of \\|e - t\\| + (e - t)^2.

    With a teacher that averages the maps of a moving average of the network over geometric transformations, the network
    learns to give in one pass what regularisation gives in many: a mean teacher (Tarvainen and Valpola, NeurIPS 2017,
    arXiv 1703.01780) for explanations. The teacher learns nothing from it. While the teacher rests the term is 0.

    Args:
        first: name of the one image.
        second: name of the other.
    """

    first: str = "similar"
    second: str = "adversarial"

    def __call__(self, step: ExplanationStep) -> Tensor:
        """Scalar loss of the step."""
        pair = step[self.first] - step[self.second]
        taught = step.taught()
        if taught is None:
            return pair.new_zeros(())
        error = pair.abs().mean(dim=1, keepdim=True) - taught
        return error.abs().mean() + error.square().mean()
