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

"""Images without information, which perturbing methods put in the place of what they delete."""

from __future__ import annotations

from monai.networks.layers import gaussian_1d, separable_filtering
from torch import Tensor

from monai_advexplain.networks.blur import BLUR_SIGMA


def baseline_images(images: Tensor, kind: str | float) -> Tensor:
    """Images of the same shape with little or no information.

    Args:
        images: (B, C, *spatial), 2D or 3D.
        kind: ``"blur"``, a Gaussian blur of :data:`~monai_advexplain.networks.blur.BLUR_SIGMA` along each axis with the
            border's value outside (twice as wide as Fong and Vedaldi's, which leaves lesions of a usual size);
            ``"mean"``, the mean of each image and channel; or a number, the same everywhere.

    Returns:
        (B, C, *spatial).

    Raises:
        ValueError: when ``kind`` is another word.
    """
    if kind == "blur":
        kernels = [gaussian_1d(images.new_tensor(BLUR_SIGMA * size)) for size in images.shape[2:]]
        return separable_filtering(images, kernels, mode="replicate")
    if kind == "mean":
        return images.mean(dim=tuple(range(2, images.ndim)), keepdim=True).expand_as(images)
    if isinstance(kind, str):
        raise ValueError(f'the baseline must be "blur", "mean" or a number, got {kind!r}.')
    return images.new_full((), kind).expand_as(images)
