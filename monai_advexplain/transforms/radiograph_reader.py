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
from monai.data import ImageReader
from monai.data.image_reader import is_dicom_path
from monai.utils import ensure_tuple
from pydicom.misc import is_dicom
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array

from monai_advexplain.data.dicom_series import DICOM_SUFFIXES, LPS_TO_RAS, Slice, slices_of

KEPT_METADATA = ("affine", "original_affine", "spatial_shape", "space", "original_channel_dim")


def _check_content(name: str) -> None:
    """Raise unless the file begins like a DICOM file."""
    size = os.path.getsize(name)  # FileNotFoundError names the file
    if size == 0:
        raise ValueError(f"{name}: the file is empty (0 bytes); a DICOM file was wanted.")
    if not is_dicom(name):
        raise ValueError(f"{name}: not a DICOM file: its {size} bytes have no 'DICM' marker at byte 128.")


def _dense_values(stored: np.ndarray, header: pydicom.Dataset, voi: bool) -> np.ndarray:
    """Modality and VOI transformation of stored values, inverted where low values are bright."""
    slope, intercept = float(header.get("RescaleSlope") or 1.0), float(header.get("RescaleIntercept") or 0.0)
    values = stored
    if header.get("ModalityLUTSequence"):
        values = apply_modality_lut(stored, header)
    elif (slope, intercept) != (1.0, 0.0):
        values = stored.astype(np.float64) * slope + intercept
    if voi:
        values = apply_voi_lut(values, header)
    if header.PhotometricInterpretation != "MONOCHROME1":
        return values
    for keyword in ("VOILUTSequence",) * voi + ("ModalityLUTSequence",):
        if header.get(keyword):
            return 2.0 ** header[keyword].value[0].LUTDescriptor[2] - 1.0 - values
    lowest_plus_highest = -1.0 if int(header.PixelRepresentation) == 1 else 2.0 ** int(header.BitsStored) - 1.0
    return lowest_plus_highest * slope + 2.0 * intercept - values


class RadiographReader(ImageReader):
    """Reader of one DICOM image with the affine and axes of :class:`monai.data.PydicomReader`; bright means dense.

    * Rescale slope and intercept or the Modality LUT are applied; the first axis is x (columns), the affine is RAS;
    * MONOCHROME1 is inverted, within the range that the stored values can have (Bits Stored, Pixel Representation);
    * a single image without a position in the patient, as radiographs are, lies where ITK puts it: orientation
      ``1\\0\\0\\0\\1\\0``, origin 0, in-plane spacing from Pixel Spacing, else Imager Pixel Spacing, else 1 mm;
    * compressed pixel data are decoded as far as pydicom's installed plug-ins do;
    * only the metadata that describes the grid is kept, so that images of different kinds collate to one batch.

    Args:
        voi: whether to apply the first VOI LUT or window of the file with :func:`pydicom.pixels.apply_voi_lut`, which
            spreads what a radiologist would see over the range that the (rescaled) stored values or the LUT can have.
            By default it is not applied: a classifier sees all values. A file without either keeps its values.

    Example::

        LoadImaged("image", reader=RadiographReader(), ensure_channel_first=True)
    """

    def __init__(self, voi: bool = False) -> None:
        super().__init__()
        self.voi = voi

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Tell whether this reader is the one for a file.

        Args:
            filename: file name, folder of a DICOM series, or a list of them.

        Returns:
            True when each is named ``.dcm`` or ``.dicom``, has DICOM content, or is a folder.
        """
        names = ensure_tuple(filename)
        return all(Path(name).suffix.lower() in DICOM_SUFFIXES or is_dicom_path(name) for name in names)

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> list[Slice]:
        """Read DICOM files.

        Args:
            data: file name, or a list of them.
            kwargs: arguments of :func:`pydicom.dcmread`.

        Returns:
            The frames of the files, in the given order.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when a file is empty, is not DICOM, or breaks off in its header.
        """
        slices = []
        for name in [f"{name}" for name in ensure_tuple(data)]:
            _check_content(name)
            try:
                slices += slices_of(pydicom.dcmread(name, **kwargs), name)
            except Exception as error:  # the libraries raise whatever the broken part leads to
                if f"{error}".startswith(name):
                    raise
                raise ValueError(f"{name}: cannot read the DICOM header: {error}") from error
        return slices

    def get_data(self, data: list[Slice]) -> tuple[np.ndarray, dict]:
        """Return the array and its metadata, reduced to what describes the grid.

        Args:
            data: what :meth:`read` returned, one frame.

        Returns:
            The image, (x, y) or for colour (x, y, channels), float32, and its metadata with the keys ``affine``,
            ``original_affine``, ``spatial_shape``, ``space`` and ``original_channel_dim``.

        Raises:
            ValueError: when there are more frames, or the pixel data are missing, shorter than the header says, or
                cannot be decoded.
        """
        if len(data) != 1:
            raise ValueError(f"{data[0].name}: {len(data)} frames found, one wanted.")
        return self.with_metadata(self.values(data[0]).swapaxes(0, 1), data[0].affine(), n_spatial=2)

    def values(self, plane: Slice) -> np.ndarray:
        """Decode a frame.

        Args:
            plane: one of what :meth:`read` returned.

        Returns:
            Its values, (rows, columns) or for colour (rows, columns, channels), float32.

        Raises:
            ValueError: when the pixel data are missing, shorter than the header says, or cannot be decoded.
        """
        header = plane.header
        try:
            stored = pixel_array(plane.file, index=plane.frame)
            if header.PhotometricInterpretation == "PALETTE COLOR":
                stored = apply_color_lut(stored, plane.file)
            return _dense_values(stored, header, self.voi).astype(np.float32)
        except Exception as error:  # pydicom's decoders raise whatever their libraries raise
            wanted = f"{header.get('Rows')} x {header.get('Columns')} pixels of {header.get('BitsAllocated')} bits"
            reason = " ".join(f"{error}".split())  # pydicom lists missing plug-ins over several lines
            raise ValueError(f"{plane.name}: cannot decode the pixel data, {wanted} wanted: {reason}") from error

    @staticmethod
    def with_metadata(array: np.ndarray, affine: np.ndarray, n_spatial: int) -> tuple[np.ndarray, dict]:
        """Pair an array with the metadata that MONAI's loader wants.

        Args:
            array: image (x, y[, z][, channels]).
            affine: (4, 4), from (x, y, z) to LPS mm.
            n_spatial: number of spatial axes of the array.
        """
        affine = LPS_TO_RAS @ affine
        metadata = {
            "affine": affine,
            "original_affine": affine.copy(),
            "spatial_shape": array.shape[:n_spatial],
            "space": "RAS",
            "original_channel_dim": float("nan") if array.ndim == n_spatial else -1,
        }
        return np.ascontiguousarray(array), metadata
