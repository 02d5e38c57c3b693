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

"""Where the voxels of read images lie, in mm, and the values there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813
from highdicom import Image
from monai.data import MetaTensor

TOLERANCE_MM = 0.01


def voxels(image: MetaTensor) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 3) in LPS mm and values (N,) of all voxels of a (1, *spatial) image."""
    array = image[0].numpy().reshape(*image.shape[1:3], -1)
    indices = np.stack([*np.indices(array.shape), np.ones(array.shape)], axis=-1).reshape(-1, 4)
    return (indices @ image.affine.numpy().T)[:, :3] * [-1, -1, 1], array.ravel()


def values_at(positions: np.ndarray, affine: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Values of an array at positions in mm, each of which must be the centre of a voxel, and each voxel be taken."""
    assert len(positions) == np.prod(array.shape[:3])
    homogeneous = np.column_stack([positions, np.ones(len(positions))])
    indices = np.rint(homogeneous @ np.linalg.inv(affine).T)
    np.testing.assert_allclose((indices @ affine.T)[:, :3], positions, atol=TOLERANCE_MM)
    return array[tuple(indices[:, :3].astype(int).T)]


def read_itk(path: Path | list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """LPS affine and array (x, y, z) of a file or a series, as SimpleITK reads it."""
    image = sitk.ReadImage([str(p) for p in path] if isinstance(path, list) else str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return affine, np.moveaxis(sitk.GetArrayFromImage(image), [0, 1, 2], [2, 1, 0])


def read_highdicom(path: Path, **kwargs) -> tuple[np.ndarray, np.ndarray]:
    """LPS affine and array (frame, row, column) of a multi-frame file, as highdicom reads it."""
    volume = Image.from_file(path).get_volume(**kwargs)
    return volume.affine, volume.array


def read_frames(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 3) in LPS mm and stored values (N,) of all pixels of a multi-frame file, as its header says."""
    ds = pydicom.dcmread(path)
    shared = ds.SharedFunctionalGroupsSequence[0]
    rows_apart, columns_apart = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    rows, columns = np.mgrid[: ds.Rows, : ds.Columns]
    in_plane = columns[..., None] * columns_apart * cosines[:3] + rows[..., None] * rows_apart * cosines[3:]
    groups = ds.PerFrameFunctionalGroupsSequence
    origins = [group.PlanePositionSequence[0].ImagePositionPatient for group in groups]
    positions = np.concatenate([(in_plane + np.array(origin, dtype=float)).reshape(-1, 3) for origin in origins])
    return positions, ds.pixel_array.ravel()
