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

"""Localisation ground truth, given as boxes or as a mask file, as a mask on the image's grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from monai.utils import convert_to_dst_type

from monai_advexplain.transforms.load_image import LoadMedicalImage


def boxes_to_mask(boxes: Sequence[Sequence[float]], spatial_size: Sequence[int]) -> np.ndarray:
    """Rasterise boxes: a pixel belongs to a box when its centre does.

    Pixel (i, j) covers [i, i + 1) x [j, j + 1), so that its centre is (i + 0.5, j + 0.5).

    Args:
        boxes: each (x, y, width, height) in pixels, fractions allowed; x runs along spatial dimension 0.
        spatial_size: (columns, rows) of the image.

    Returns:
        float32 array of ``spatial_size``, 1 in the boxes and 0 elsewhere.

    Raises:
        ValueError: when the image is not 2D, or a box is no box, is empty, or lies wholly outside the image.
    """
    if len(spatial_size) != 2:
        raise ValueError(f"boxes need a 2D image, got spatial size {tuple(spatial_size)}.")
    mask = np.zeros(tuple(spatial_size), dtype=np.float32)
    columns, rows = (np.arange(size) + 0.5 for size in mask.shape)
    for box in boxes:
        if len(box) != 4 or not np.isfinite(box).all() or min(box[2:]) <= 0:
            raise ValueError(f"a box must be (x, y, width, height) with width and height above 0, got {tuple(box)}.")
        x, y, width, height = box
        if x >= mask.shape[0] or y >= mask.shape[1] or x + width <= 0 or y + height <= 0:
            raise ValueError(f"box {tuple(box)} lies wholly outside the image of size {mask.shape} (columns, rows).")
        inside_x = (columns >= x) & (columns < x + width)
        inside_y = (rows >= y) & (rows < y + height)
        mask[np.ix_(inside_x, inside_y)] = 1.0
    return mask


class GroundTruthMaskd(Transform):
    """Turn an item's boxes or mask file into a mask on its image's grid.

    Use it right after the image is loaded (channel first) and before anything changes its grid, so that all later
    spatial transforms apply to both. A mask file wins over boxes; an item with neither gets a mask of zeros. Boxes
    are removed from the item. Mask files hold ground truth where they exceed half of their maximum.

    Args:
        image_key: key of the image, (C, *spatial), 2D, or 3D when there are no boxes.
        mask_key: key of the mask file's name, if any; holds the mask (1, *spatial), float32, 0 or 1, afterwards.
        boxes_key: key of the list of boxes, if any, as :func:`boxes_to_mask` takes them.
        has_mask_key: key of a bool that tells whether the mask marks anything, i.e. can serve localisation.
    """

    def __init__(
        self,
        image_key: str = "image",
        mask_key: str = "mask",
        boxes_key: str = "boxes",
        has_mask_key: str = "has_mask",
    ) -> None:
        super().__init__()
        self.image_key = image_key
        self.mask_key = mask_key
        self.boxes_key = boxes_key
        self.has_mask_key = has_mask_key
        self._load = LoadMedicalImage()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item.

        Args:
            data: the item.

        Returns:
            A copy of the item with the mask and the flag, without the boxes.

        Raises:
            FileNotFoundError: when the mask file is missing.
            ValueError: when it has another size than the image, or a box does not fit the image.
        """
        item = dict(data)
        image = item[self.image_key]
        size = tuple(image.shape[1:])
        boxes = item.pop(self.boxes_key, None)
        name = getattr(image, "meta", {}).get("filename_or_obj", "the image")
        if item.get(self.mask_key) is not None:
            path = item[self.mask_key]
            mask = torch.as_tensor(self._load(path))[0]
            if tuple(mask.shape) != size:
                raise ValueError(f"mask {path} has size {tuple(mask.shape)}, but its image {name} has {size}.")
            mask = (mask > mask.max() / 2).float()
        elif boxes:
            try:
                mask = torch.from_numpy(boxes_to_mask(boxes, size))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        else:
            mask = torch.zeros(size)
        item[self.has_mask_key] = bool(mask.any())
        item[self.mask_key] = convert_to_dst_type(torch.Tensor(mask)[None], image, dtype=torch.float32)[0]
        return item
