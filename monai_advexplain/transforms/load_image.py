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

from monai_advexplain.transforms.radiograph_reader import KEPT_METADATA, RadiographReader

# MONAI says at every construction of a loader, twice, that this optional accelerator is not installed.
warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader: nvImageCodec decoder plugin did not register")
logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)

# MONAI's DICOM reader keeps the files that it reads as its state, and pydicom switches global settings: loaders that
# read in threads (CacheDataset with several workers) take turns.
_READING = threading.Lock()

DEEP_GREY_MODES = ("I", "I;16", "I;16B", "I;16L", "F")  # Pillow's names for grey of more than 8 bits


def _to_grey(image: Image.Image) -> Image.Image:
    return image if image.mode in DEEP_GREY_MODES else image.convert("L")


def _from_palette(image: Image.Image) -> Image.Image:
    return image.convert("RGB") if image.mode == "P" else image


class LoadMedicalImage(LoadImage):
    """Load one image file as a channel-first float32 MetaTensor, with the reader that its format needs.

    DICOM is read by :class:`RadiographReader`, PNG, JPEG and BMP by :class:`monai.data.PILReader`, NIfTI by
    :class:`monai.data.NibabelReader`, anything else by MONAI's default readers. Spatial dimension 0 is x (columns),
    1 is y (rows). A NIfTI volume with a single slice is a 2D image.

    Args:
        channels: channels the image must have. With 1, colour PNG and JPEG are converted to grey (16-bit grey keeps
            its values).
    """

    def __init__(self, channels: int = 1) -> None:
        super().__init__(ensure_channel_first=True)
        self.channels = channels
        self.register(PILReader(converter=_to_grey if channels == 1 else _from_palette))
        self.register(NibabelReader())
        self.register(RadiographReader())

    def __call__(self, filename: Sequence[PathLike] | PathLike, reader: ImageReader | None = None) -> Any:
        """Load a file.

        Args:
            filename: the file, or the folder of a DICOM series.
            reader: a reader to use instead of the one that the format needs.

        Returns:
            MetaTensor (channels, *spatial), float32, with its affine.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when it cannot be read, or has another number of channels; names the file and the reason.
        """
        for name in ensure_tuple(filename):
            if not Path(name).expanduser().exists():
                raise FileNotFoundError(f"{name}: no such image file.")
        try:
            with _READING:
                loaded = super().__call__(filename, reader)
        except Exception as error:  # every library behind the readers has its own kinds
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            reason = reason if f"{filename}" in reason else f"{filename}: cannot load the image: {reason}"
            raise ValueError(reason) from error
        image = loaded if self.image_only else loaded[0]
        if image.shape[0] != self.channels:
            raise ValueError(
                f"{filename}: {image.shape[0]} channels found (shape {tuple(image.shape)}), wanted {self.channels}."
            )
        image = _normalised(image)
        return image if self.image_only else (image, getattr(image, "meta", {}))


def _normalised(image: torch.Tensor) -> torch.Tensor:
    """Drop the slice axis of a one-slice volume and the metadata that do not describe the grid."""
    if image.ndim == 4 and image.shape[-1] == 1:
        image = image[..., 0]
    if isinstance(image, MetaTensor):
        meta = {key: image.meta[key] for key in (*KEPT_METADATA, "filename_or_obj") if key in image.meta}
        meta["original_affine"] = torch.as_tensor(meta.get("original_affine", image.affine)).clone()
        meta.setdefault("space", "RAS")
        meta["spatial_shape"] = torch.tensor(image.shape[1:])
        meta["original_channel_dim"] = float(meta["original_channel_dim"])
        image.meta = meta
    return image


class LoadMedicalImaged(LoadImaged):
    """Dictionary version of :class:`LoadMedicalImage`.

    Args:
        keys: keys of the file names, which are replaced with the images.
        channels: channels the images must have.
        allow_missing_keys: whether an item may lack a key.

    Example::

        LoadMedicalImaged("image")({"image": "chest.dcm"})["image"].shape  # (1, columns, rows)
    """

    def __init__(self, keys: KeysCollection, channels: int = 1, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys=allow_missing_keys)
        self._loader = LoadMedicalImage(channels)
