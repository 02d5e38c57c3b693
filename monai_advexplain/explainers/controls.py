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

"""Controls: maps that know nothing of the classifier, which a method has to beat."""

from __future__ import annotations

import torch
from monai.transforms import SobelGradients
from monai.utils import convert_to_tensor
from torch import Tensor

from monai_advexplain.explainers.base import Explainer


class CentreGaussianExplainer(Explainer):
    """A Gaussian about the centre of the image, 1 there; the same map for every image of a size.

    Args:
        sigma: its standard deviation along each axis as share of the image's size.
    """

    def __init__(self, sigma: float = 0.25) -> None:
        super().__init__(None)
        self.sigma = sigma

    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        axes = [(torch.arange(size, device=images.device) + 0.5) / size - 0.5 for size in images.shape[2:]]
        distance = torch.stack(torch.meshgrid(*axes, indexing="ij")).norm(dim=0)
        return torch.exp(-0.5 * (distance / self.sigma) ** 2).expand_as(images[:, :1])


class IntensityExplainer(Explainer):
    """The image itself, mean over channels, less its minimum: bright = important."""

    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        intensity = images.mean(dim=1, keepdim=True)
        return intensity - intensity.amin(dim=tuple(range(1, images.ndim)), keepdim=True)


class EdgeExplainer(Explainer):
    """Magnitude of the Sobel gradient (MONAI's, 3 pixels wide), largest over channels."""

    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        gradients: Tensor = convert_to_tensor(SobelGradients()(images.flatten(0, 1)), track_meta=False)
        return gradients.reshape(-1, *images.shape).norm(dim=0).amax(dim=1, keepdim=True)
