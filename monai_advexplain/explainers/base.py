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

"""The contract of every explanation method: images in, maps out, nothing else changed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from monai.utils import convert_to_tensor
from torch import Tensor

from monai_advexplain.networks.frozen import evaluating


class Explainer(ABC):
    """``explainer(images) -> maps``.

    ``images`` (B, C, *spatial), 2D or 3D; ``maps`` (B, 1, *spatial), float32, non negative, high = important. The input
    and the network's weights, buffers, mode and ``requires_grad`` flags stay as they are. Works under
    ``torch.no_grad()``.

    Args:
        network: the module that the method asks (a classifier, or an ExplainerNet); None when it asks none. It is in
            eval mode while the method runs.
    """

    def __init__(self, network: torch.nn.Module | None = None) -> None:
        self.network = network

    @abstractmethod
    def explain(self, images: Tensor) -> Tensor:
        """Maps (B, 1, *spatial) of plain images (B, C, *spatial) that belong to the method alone."""

    def __call__(self, images: Tensor) -> Tensor:
        """The maps of ``images``.

        Raises:
            ValueError: when ``images`` are not (B, C, *spatial) in 2D or 3D.
        """
        if images.ndim not in (4, 5):
            raise ValueError(f"images must be (B, C, W, H) or (B, C, W, H, D), got shape {tuple(images.shape)}.")
        plain: Tensor = convert_to_tensor(images, track_meta=False)
        own = plain.detach().clone().float()
        if self.network is None:
            maps = self.explain(own)
        else:
            with evaluating(self.network), torch.enable_grad():
                maps = self.explain(own)
        return _checked(maps, images, type(self).__name__)


def maps_of(explainer: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The maps (B, 1, *spatial) that any explainer gives of ``images``, which it may do with as it likes: float32.

    Raises:
        RuntimeError: when its maps are of another shape.
    """
    with torch.enable_grad():
        maps: Tensor = convert_to_tensor(explainer(images), track_meta=False)
    return _checked(maps, images, "the explainer")


def _checked(maps: Tensor, images: Tensor, name: str) -> Tensor:
    """``maps`` as float32 without gradient, when they have the shape of maps of ``images``; else an error."""
    wanted = (len(images), 1, *images.shape[2:])
    if tuple(maps.shape) != wanted:
        raise RuntimeError(f"{name} gave maps of shape {tuple(maps.shape)}, wanted {wanted}.")
    return maps.detach().float()
