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

"""Load a medical image of any supported format as one kind of tensor."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection, PathLike
from monai.data import ImageReader, MetaTensor, NibabelReader, PILReader
from monai.transforms import LoadImage, LoadImaged
from monai.utils import ensure_tuple
from PIL import Image

from monai_advexplain.transforms.dicom_volume_reader import DicomVolumeReader
from monai_advexplain.transforms.radiograph_reader import KEPT_METADATA

# MONAI says at every construction of a loader, twice, that this optional accelerator is not installed.
warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader: nvImageCodec decoder plugin did not register")
logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)

# pydicom switches global settings while it reads: loaders in threads (CacheDataset with several workers) take turns.
_READING = threading.Lock()

DEEP_GREY_MODES = ("I", "I;16", "I;16B", "I;16L", "F")  # Pillow's names for grey of more than 8 bits


def _to_grey(image: Image.Image) -> Image.Image:
    return image if image.mode in DEEP_GREY_MODES else image.convert("L")


def _from_palette(image: Image.Image) -> Image.Image:
    return image.convert("RGB") if image.mode == "P" else image


class LoadMedicalImage(LoadImage):
    """Load one image as a channel-first float32 MetaTensor, with the reader that its format needs.

    DICOM (a file, a folder of one series, or a list of its files) is read by :class:`DicomVolumeReader`, PNG, JPEG and
    BMP by :class:`monai.data.PILReader`, NIfTI by :class:`monai.data.NibabelReader`, anything else by MONAI's default
    readers. Spatial dimension 0 is x (columns), 1 is y (rows), 2 the slices; the affine is RAS. The fourth axis of a
    NIfTI file (time, contrasts) is its channels: (x, y, z, c) in the file gives (c, x, y, z).

    Args:
        channels: channels the image must have. With 1, colour PNG and JPEG are converted to grey (16-bit grey keeps
            its values).
        spatial_dims: 2 or 3, the spatial dimensions that the image must have; None takes both. A NIfTI volume with a
            single slice is a 2D image unless 3 is wanted.
        voi: whether to apply the VOI LUT or window of DICOM files, see :class:`RadiographReader`.

    Raises:
        ValueError: when ``spatial_dims`` is none of these.
    """

    def __init__(self, channels: int = 1, spatial_dims: int | None = None, voi: bool = False) -> None:
        super().__init__(ensure_channel_first=True)
        if spatial_dims not in (None, 2, 3):
            raise ValueError(f"spatial_dims={spatial_dims!r} found, wanted 2, 3 or None.")
        self.channels = channels
        self.spatial_dims = spatial_dims
        self.register(PILReader(converter=_to_grey if channels == 1 else _from_palette))
        self.register(NibabelReader())
        self.register(DicomVolumeReader(voi))

    def __call__(self, filename: Sequence[PathLike] | PathLike, reader: ImageReader | None = None) -> Any:
        """Load an image.

        Args:
            filename: the file, or for a DICOM series its folder or the list of its files in any order.
            reader: a reader to use instead of the one that the format needs.

        Returns:
            MetaTensor (channels, *spatial), float32, with its affine.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when it cannot be read, or has another number of channels or of spatial dimensions; names the
                file, what was found and what was wanted, in one line.
        """
        names = [f"{name}" for name in ensure_tuple(filename)]
        for name in names:
            if not Path(name).expanduser().exists():
                raise FileNotFoundError(f"{name}: no such image file.")
        label = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
        try:
            with _READING:
                loaded = super().__call__(filename, reader)
        except Exception as error:  # every library behind the readers has its own kinds
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            reason = reason if any(name in reason for name in names) else f"{label}: cannot load the image: {reason}"
            raise ValueError(reason) from error
        image = loaded if self.image_only else loaded[0]
        if self.spatial_dims != 3 and image.ndim == 4 and image.shape[-1] == 1:
            image = image[..., 0]
        shape = tuple(image.shape)
        if image.ndim - 1 not in (self.spatial_dims or 2, self.spatial_dims or 3):
            wanted = self.spatial_dims or "2 or 3"
            raise ValueError(f"{label}: {image.ndim - 1} spatial dimensions found (shape {shape}), wanted {wanted}.")
        if image.shape[0] != self.channels:
            raise ValueError(f"{label}: {image.shape[0]} channels found (shape {shape}), wanted {self.channels}.")
        _keep_grid_metadata(image)
        return image if self.image_only else (image, getattr(image, "meta", {}))


def _keep_grid_metadata(image: torch.Tensor) -> None:
    """Drop the metadata that do not describe the grid: images of different kinds must collate."""
    if isinstance(image, MetaTensor):
        meta = {key: image.meta[key] for key in (*KEPT_METADATA, "filename_or_obj") if key in image.meta}
        meta["original_affine"] = torch.as_tensor(meta.get("original_affine", image.affine)).clone()
        meta.setdefault("space", "RAS")
        meta["spatial_shape"] = torch.tensor(image.shape[1:])
        meta["original_channel_dim"] = float(meta["original_channel_dim"])
        image.meta = meta


class LoadMedicalImaged(LoadImaged):
    """Dictionary version of :class:`LoadMedicalImage`.

    Args:
        keys: keys of the file names, which are replaced with the images.
        channels: channels the images must have.
        spatial_dims: 2 or 3, the spatial dimensions that the images must have; None takes both.
        voi: whether to apply the VOI LUT or window of DICOM files.
        allow_missing_keys: whether an item may lack a key.

    Example::

        LoadMedicalImaged("image")({"image": "chest.dcm"})["image"].shape  # (1, columns, rows)
        LoadMedicalImaged("image", spatial_dims=3)({"image": "series"})["image"].shape  # (1, columns, rows, slices)
    """

    def __init__(
        self,
        keys: KeysCollection,
        channels: int = 1,
        spatial_dims: int | None = None,
        voi: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys=allow_missing_keys)
        self._loader = LoadMedicalImage(channels, spatial_dims, voi)
