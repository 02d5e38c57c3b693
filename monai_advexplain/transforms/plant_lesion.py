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

"""Lesions of known position, planted into images of healthy tissue."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation
from scipy.special import expit
from skimage.filters import threshold_otsu

Span = tuple[float, float]

VISIBLE = 0.5  # a lesion is where it has more than this share of its height, texture left aside
SMALLEST_ROOM = 0.75  # a lesion's centre lies where at least this share of the neighbourhood is tissue


@dataclass(frozen=True)
class LesionRange:
    """What lesions are drawn from, each parameter independently and uniformly.

    Args:
        radius: geometric mean of the semi-axes, in the unit of the image's spacing (mm, or voxels without an affine).
        elongation: longest semi-axis by shortest, at least 1.
        contrast: height of a lesion as share of the tissue's spread (5th to 95th percentile).
        brighter: probability that a lesion is brighter than its surroundings, rather than darker.
        irregularity: standard deviation of the edge's distance from the ellipsoid's, as share of the radius.
        texture: standard deviation of the lesion's own texture, as share of its height.
        edge: width over which a lesion fades, as share of the radius.

    Raises:
        ValueError: when a range is not (low, high) of positive numbers, or a share lies outside [0, 1].
    """

    radius: Span = (4.5, 7.5)
    elongation: Span = (1.0, 1.8)
    contrast: Span = (0.8, 1.5)
    brighter: float = 0.5
    irregularity: float = 0.12
    texture: float = 0.15
    edge: Span = (0.08, 0.16)

    def __post_init__(self) -> None:
        for name in ("radius", "elongation", "contrast", "edge"):
            span = getattr(self, name)
            if len(span) != 2 or not 0 < span[0] <= span[1]:
                raise ValueError(f"{name} must be (low, high) with 0 < low <= high, got {span}.")
        for name in ("brighter", "irregularity", "texture"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}.")
        if self.elongation[0] < 1:
            raise ValueError(f"elongation must be at least 1, got {self.elongation}.")


def tissue_of(image: np.ndarray) -> np.ndarray:
    """Where an image (*spatial) shows tissue, bool: above Otsu's threshold once slightly blurred.

    Raises:
        ValueError: when the image is constant.
    """
    values = np.clip(image, *np.percentile(image, (0.5, 99.5)))
    if values.min() == values.max():
        raise ValueError(f"an image of the constant value {values.flat[0]} shows no tissue to plant a lesion in.")
    smooth = gaussian_filter(values.astype(np.float64), 1.0)
    return smooth > threshold_otsu(smooth)


def smooth_noise(rng: np.random.Generator, shape: Sequence[int], grain: Sequence[float] | np.ndarray) -> np.ndarray:
    """Smooth noise (*shape) of zero mean and unit deviation; ``grain`` is its blur in voxels, an axis each."""
    noise = gaussian_filter(rng.standard_normal(shape), grain, mode="wrap")
    return (noise - noise.mean()) / noise.std()


def draw_lesion(
    rng: np.random.Generator, tissue: np.ndarray, spacing: Sequence[float], lesions: LesionRange
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one lesion inside the tissue.

    Args:
        rng: source of all randomness.
        tissue: bool (*spatial), 2D or 3D.
        spacing: size of a voxel along each axis.
        lesions: what to draw from.

    Returns:
        The lesion's relative height (*spatial), signed, about 1 or -1 times the contrast inside; and where it is, bool.

    Raises:
        ValueError: when there is no tissue.
    """
    if not tissue.any():
        raise ValueError("there is no tissue to plant a lesion in.")
    dims, size, step = tissue.ndim, np.array(tissue.shape), np.asarray(spacing, dtype=float)
    # no larger than a quarter of the shortest side, so that a small crop still has room for it
    radius = min(rng.uniform(*lesions.radius), float((size * step).min()) / 4)
    stretch = rng.uniform(*lesions.elongation) ** np.linspace(-0.5, 0.5, dims)
    if dims == 3:
        turn = Rotation.random(random_state=rng).as_matrix()
    else:
        c, s = np.cos(angle := rng.uniform(0, np.pi)), np.sin(angle)
        turn = np.array([[c, -s], [s, c]])

    room = gaussian_filter(tissue.astype(float), radius / 2 / step, mode="constant")
    margin = np.minimum(np.ceil(radius / step).astype(int), (size - 1) // 2)
    inner = np.zeros_like(tissue)
    inner[tuple(slice(m, n - m) for m, n in zip(margin, size, strict=True))] = True
    deep = np.where(inner & tissue, room, 0.0)
    if not deep.any():
        deep = np.where(tissue, room, 0.0)
    candidates = np.argwhere(deep > SMALLEST_ROOM * deep.max())
    centre = candidates[rng.integers(len(candidates))]

    axes = [(np.arange(n) - c) * s for n, c, s in zip(size, centre, step, strict=True)]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    distance = np.linalg.norm((offsets @ turn) / (radius * stretch), axis=-1)
    distance = distance + lesions.irregularity * smooth_noise(rng, tissue.shape, 0.4 * radius / step)
    profile = expit((1 - distance) / rng.uniform(*lesions.edge))
    profile = profile * np.clip(gaussian_filter(tissue.astype(float), 0.7), 0, 1)
    grain = np.clip(1 + lesions.texture * smooth_noise(rng, tissue.shape, 0.2 * radius / step), 0.3, 1.7)
    sign = 1.0 if rng.random() < lesions.brighter else -1.0
    return sign * rng.uniform(*lesions.contrast) * profile * grain, profile > VISIBLE


class RandPlantLesiond(RandomizableTransform, MapTransform):
    """Plant lesions into an image and add their place to its mask.

    A lesion is an ellipsoid (2D: ellipse) of any direction with an irregular edge that fades, brighter or darker than
    its surroundings and with a texture of its own. It lies in the tissue, which is what exceeds Otsu's threshold, and
    its height is relative to the tissue's spread of intensities, so that the unit of the image does not matter.

    Args:
        keys: the image, (1, *spatial), 2D or 3D; sizes are in mm when it is a MetaTensor, else in voxels.
        mask_key: mask (1, *spatial) of all lesions, float32, 0 or 1; made when missing, else lesions are added to it.
        count: fewest and most lesions.
        lesions: what they are drawn from.
        prob: probability that the image gets any.

    Raises:
        ValueError: for a wrong ``count`` or more than one key.

    Example::

        plant = RandPlantLesiond("image", lesions=LesionRange(radius=(4, 8))).set_random_state(0)
        plant({"image": image})["mask"].sum()
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        mask_key: str = "mask",
        count: tuple[int, int] = (1, 2),
        lesions: LesionRange | None = None,
        prob: float = 1.0,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        if len(self.keys) != 1:
            raise ValueError(f"keys must be one image, since lesions are drawn for it, got {self.keys}.")
        if not 1 <= count[0] <= count[1]:
            raise ValueError(f"count must be (fewest, most) with 1 <= fewest <= most, got {count}.")
        self.mask_key = mask_key
        self.count = count
        self.lesions = lesions or LesionRange()
        self._rng = np.random.default_rng(0)
        self._number = 0

    def randomize(self, data: Any = None) -> None:
        """Draw whether there are lesions, how many, and the seed of their drawing."""
        super().randomize(None)
        self._number = int(self.R.randint(self.count[0], self.count[1] + 1))
        self._rng = np.random.default_rng(self.R.randint(2**31, size=4))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item.

        Args:
            data: the item.

        Returns:
            A copy of the item with the changed image and the mask; neither tensor of the item is changed.

        Raises:
            ValueError: when the image has several channels or shows no tissue.
        """
        item = dict(data)
        image = item[self.keys[0]]
        if image.ndim not in (3, 4) or image.shape[0] != 1:
            raise ValueError(f"the image must have shape (1, *spatial), 2D or 3D, got {tuple(image.shape)}.")
        self.randomize()
        planted = torch.as_tensor(image)[0].detach().cpu().double().numpy().copy()
        marked = np.zeros(planted.shape, dtype=bool)
        if self._do_transform:
            tissue, floor, dims = tissue_of(planted), planted.min(), planted.ndim
            low, high = np.percentile(planted[tissue], (5, 95))
            spacing = image.pixdim[:dims].tolist() if isinstance(image, MetaTensor) else [1.0] * dims
            for _ in range(self._number):
                free = tissue & ~marked
                height, lesion = draw_lesion(self._rng, free if free.any() else tissue, spacing, self.lesions)
                planted += (high - low) * height
                marked |= lesion
            planted = np.maximum(planted, floor)
        item[self.keys[0]] = convert_to_dst_type(planted[None], image)[0]
        mask = torch.from_numpy(marked[None]).float()
        if self.mask_key in item:
            mask = torch.maximum(mask, torch.as_tensor(item[self.mask_key]).float().cpu())
        item[self.mask_key] = convert_to_dst_type(mask, image, dtype=torch.float32)[0]
        return item
