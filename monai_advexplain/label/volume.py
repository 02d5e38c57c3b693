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

"""Images as MONAI Label's writers take them: three axes and an affine, whatever the image was."""

from __future__ import annotations

import numpy as np
from monai.data import MetaTensor
from torch import Tensor


def as_volume(image: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """An image as a volume: MONAI Label writes the affine of volumes only.

    Args:
        image: (C, x, y) or (C, x, y, z); of several channels the mean is taken. A MetaTensor brings its affine (RAS
            mm).

    Returns:
        The values (x, y, z), z = 1 for a 2D image, and the affine (4, 4).
    """
    values = image.detach().cpu().numpy() if not isinstance(image, MetaTensor) else image.array
    volume = values[0] if len(values) == 1 else values.mean(axis=0)
    affine = image.affine.numpy() if isinstance(image, MetaTensor) else np.eye(4)
    return volume.reshape(*volume.shape, *[1] * (3 - volume.ndim)), np.asarray(affine, dtype=np.float64)
