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

"""The control: a random map, which any method has to beat."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_advexplain.explainers.base import Explainer


class RandomExplainer(Explainer):
    """Uniform noise in [0, 1), another one for each image, the same for the same seed and order of images.

    Args:
        seed: seed of the noise.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(None)
        self.generator = torch.Generator().manual_seed(seed)

    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        shape = (images.shape[0], 1, *images.shape[2:])
        return torch.rand(shape, generator=self.generator).to(images.device)
