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

"""Reader of DICOM radiographs in which dense tissue is always bright."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from monai.config import PathLike
from monai.data import PydicomReader
from monai.data.image_reader import is_dicom_path
from monai.utils import ensure_tuple
from pydicom.errors import InvalidDicomError
from pydicom.misc import is_dicom

KEPT_METADATA = ("affine", "original_affine", "spatial_shape", "space", "original_channel_dim")


def _check_content(name: str) -> None:
    """Raise unless the file begins like a DICOM file."""
    size = os.path.getsize(name)  # FileNotFoundError names the file
    if size == 0:
        raise ValueError(f"{name}: the file is empty (0 bytes); a DICOM file was wanted.")
    if not is_dicom(name):
        raise ValueError(f"{name}: not a DICOM file: its {size} bytes have no 'DICM' marker at byte 128.")


class RadiographReader(PydicomReader):
    """What :class:`monai.data.PydicomReader` gives, and bright means dense in every file.

    Rescale slope and intercept are applied and, by default, the first spatial axis is x (columns). Beyond that:

    * MONOCHROME1 is inverted, within the range that the stored values can have (Bits Stored, Pixel Representation);
    * a single image without a position in the patient, as radiographs are, lies where ITK puts it: orientation
      ``1\\0\\0\\0\\1\\0``, origin 0, in-plane spacing from Pixel Spacing, else Imager Pixel Spacing, else 1 mm;
    * only the metadata that describes the grid is kept, so that images of different kinds collate to one batch.

    Args:
        kwargs: arguments of :class:`monai.data.PydicomReader`.

    Example::

        LoadImaged("image", reader=RadiographReader(), ensure_channel_first=True)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Tell whether this reader is the one for a file.

        Args:
            filename: file name, folder of a DICOM series, or a list of them.

        Returns:
            True when each is named ``.dcm`` or ``.dicom``, has DICOM content, or is a folder.
        """
        return all(Path(name).suffix.lower() == ".dicom" or is_dicom_path(name) for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> Any:
        """Read files as :meth:`monai.data.PydicomReader.read` does.

        Args:
            data: file name, folder of a DICOM series, or a list of them.
            kwargs: arguments of :func:`pydicom.dcmread`.

        Returns:
            A pydicom data set, or a list of them.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when a file is empty, is not DICOM, or breaks off in its header.
        """
        names = [f"{name}" for name in ensure_tuple(data)]
        for name in names:
            if not os.path.isdir(name):
                _check_content(name)
        try:
            return super().read(data, **kwargs)
        except (InvalidDicomError, EOFError, ValueError) as error:
            raise ValueError(f"{', '.join(names)}: cannot read the DICOM header: {error}") from error

    def get_data(self, data: Any) -> tuple[np.ndarray, dict]:
        """Return the array and its metadata, reduced to what describes the grid.

        Args:
            data: what :meth:`read` returned.

        Returns:
            The image, (x, y) for a single radiograph, and its metadata with the keys ``affine``, ``original_affine``,
            ``spatial_shape``, ``space`` and ``original_channel_dim``.

        Raises:
            ValueError: when the pixel data are missing, shorter than the header says, or cannot be decoded.
        """
        array, metadata = super().get_data(data)
        first = data[0] if isinstance(data, list) else data
        if isinstance(first, pydicom.Dataset) and int(first.get("SamplesPerPixel") or 1) > 1:  # colour, channel last
            metadata["original_channel_dim"], metadata["spatial_shape"] = -1, array.shape[:-1]
        return array, {key: metadata[key] for key in KEPT_METADATA if key in metadata}

    def _get_meta_dict(self, img: pydicom.Dataset) -> dict:
        metadata = super()._get_meta_dict(img)
        if int(img.get("NumberOfFrames") or 1) == 1:
            metadata.setdefault("00200037", {"Value": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]})
            metadata.setdefault("00200032", {"Value": [0.0, 0.0, 0.0]})
            spacing = img.get("PixelSpacing") or img.get("ImagerPixelSpacing")
            if spacing:  # the JSON form that MONAI reads loses numbers of more than 16 characters
                metadata["00280030"] = {"Value": [float(step) for step in spacing]}
        return metadata

    def _get_array_data(self, img: pydicom.Dataset, filename: PathLike) -> np.ndarray:
        try:
            values = super()._get_array_data(img, filename)
        except Exception as error:  # pydicom's decoders raise whatever their libraries raise
            wanted = f"{img.get('Rows')} x {img.get('Columns')} pixels of {img.get('BitsAllocated')} bits"
            raise ValueError(f"{filename}: cannot decode the pixel data, {wanted} wanted: {error}") from error
        if img.PhotometricInterpretation != "MONOCHROME1":
            return values
        bits, signed = int(img.BitsStored), int(img.PixelRepresentation) == 1
        lowest_plus_highest = -1 if signed else 2**bits - 1
        slope, intercept = float(img.get("RescaleSlope", 1.0)), float(img.get("RescaleIntercept", 0.0))
        return np.float32(lowest_plus_highest * slope + 2.0 * intercept) - values.astype(np.float32)
