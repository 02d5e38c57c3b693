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

import zlib

import torch
from torch import Tensor

from monai_advexplain.explainers.base import Explainer


class RandomExplainer(Explainer):
    """Uniform noise in [0, 1), drawn from the seed and the image's values: the same for an image in any batch.

    Args:
        seed: seed of the noise.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(None)
        self.seed = seed

    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        return torch.stack([self._noise(image) for image in images.cpu()]).to(images.device)

    def _noise(self, image: Tensor) -> Tensor:
        """(1, *spatial)."""
        seed = zlib.crc32(image.contiguous().numpy().data, self.seed)
        return torch.rand(1, *image.shape[1:], generator=torch.Generator().manual_seed(seed))
