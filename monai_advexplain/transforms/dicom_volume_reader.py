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

"""Reader of DICOM series and multi-frame files as volumes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.utils import ensure_tuple

from monai_advexplain.data.dicom_series import Slice, find_dicom_images, stack_slices
from monai_advexplain.transforms.radiograph_reader import RadiographReader


class DicomVolumeReader(RadiographReader):
    """Reader of any DICOM image: what :class:`RadiographReader` reads, and slices stacked to a volume.

    * The single-frame files of one series, given as a folder (searched with its sub-folders) or as a list, or the
      frames of an enhanced multi-frame file, become a volume (x, y, slice). Slices are ordered along their normal, so
      that the affine is right-handed; their distance is that of their positions. Voxel centres lie within 0.01 mm of
      where the files say, else the series is refused: a missing slice, two slices in one plane, different sizes or
      orientations, two series. Slices stacked askew (a tilted gantry) keep their place: the affine then has a shear.
    * The frames of a cine or multi-frame radiograph, which have no positions, are all kept, in the order of the file,
      as the third axis (x, y, frame) with a nominal 1 mm a frame: each is an image that can be explained by itself.

    Values are those of :class:`RadiographReader`, rescaled by every slice's own slope and intercept.

    Args:
        voi: see :class:`RadiographReader`.

    Example::

        LoadImage(reader=DicomVolumeReader(), ensure_channel_first=True)("series_folder")  # (1, x, y, slice)
    """

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> list[Slice]:
        """Read a file, a folder, or a list of files.

        Args:
            data: file name, folder of one DICOM series, or a list of them.
            kwargs: arguments of :func:`pydicom.dcmread`.

        Returns:
            The frames of all files.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when a folder has no DICOM file, or a file is empty, is not DICOM, or breaks off in its header.
        """
        files: list[PathLike] = []
        for name in ensure_tuple(data):
            found = find_dicom_images(name) if os.path.isdir(name) else [name]
            if not found:
                raise ValueError(f"{name}: no DICOM image in the folder.")
            files += found
        return super().read(files, **kwargs)

    def get_data(self, data: list[Slice]) -> tuple[np.ndarray, dict]:
        """Return the array and its metadata, reduced to what describes the grid.

        Args:
            data: what :meth:`read` returned.

        Returns:
            The image, (x, y) of one frame or (x, y, z) of several, for colour with channels last, float32, and its
            metadata with the keys ``affine``, ``original_affine``, ``spatial_shape``, ``space`` and
            ``original_channel_dim``.

        Raises:
            ValueError: when the frames do not make one even grid, or cannot be decoded.
        """
        if len(data) == 1:
            return super().get_data(data)
        is_cine = all(plane.position is None and plane.file is data[0].file for plane in data)
        slices, affine = (data, data[0].affine()) if is_cine else stack_slices(data)
        first = self.values(slices[0]).swapaxes(0, 1)
        volume = np.empty((*first.shape[:2], len(slices), *first.shape[2:]), dtype=np.float32)
        for index, plane in enumerate(slices):
            volume[:, :, index] = self.values(plane).swapaxes(0, 1)
        return self.with_metadata(volume, affine, n_spatial=3)
