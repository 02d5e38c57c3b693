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

"""SlicePairInferer: volumes through a 2D network, slice by slice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import SliceInferer
from torch import Tensor

from monai_advexplain.inferers.window_inferer import WindowPairInferer


class SlicePairInferer(WindowPairInferer):
    """The generated pair of a volume (B, C, x, y, z), made by a 2D network slice by slice (MONAI's ``SliceInferer``).

    A slice is a window here: the decision about the volume is that of its most positive slice, and with a gated network
    a slice that is decided otherwise than the volume contributes no change, see :class:`WindowPairInferer`.

    Args:
        spatial_dim: axis that is walked along: 0, 1 or 2.
        sw_batch_size: slices a forward pass.
        device: where the pair is put together, the volumes' by default.

    Raises:
        ValueError: when ``spatial_dim`` is none of the three.

    Example::

        pair = SlicePairInferer(spatial_dim=2)(volumes, network_2d)
    """

    def __init__(self, spatial_dim: int = 2, sw_batch_size: int = 1, device: torch.device | str | None = None) -> None:
        if spatial_dim not in (0, 1, 2):
            raise ValueError(f"spatial_dim must be 0, 1 or 2, got {spatial_dim}.")
        self.slices = SliceInferer(spatial_dim, (-1, -1), sw_batch_size, device=device)

    def _blend(self, images: Tensor, predictor: Callable[[Tensor], Tensor]) -> Any:
        return self.slices(images, predictor)
