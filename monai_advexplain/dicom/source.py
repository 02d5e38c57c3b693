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

"""The DICOM files that an explanation came from: their headers, and where each of their frames lies."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pydicom
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from monai_advexplain.data.dicom_series import LPS_TO_RAS, POSITION_TOLERANCE, Slice, slices_of

REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns")
MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "SliceThickness",
)
"""What highdicom wants to find in a source, if without a value, and many files lack."""
OF_SERIES = ("StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns", "FrameOfReferenceUID")


@dataclass(frozen=True)
class Source:
    """The frames of one series, or of one multi-frame file.

    Args:
        name: the first file, to be named in errors.
        datasets: headers of the files, without pixel data, completed where results need it (not to be stored).
        frames: the planes, in the order of the files and of the frames in them.
    """

    name: str
    datasets: list[Dataset]
    frames: list[Slice]

    @property
    def first(self) -> Dataset:
        """The header of the first file."""
        return self.datasets[0]

    @property
    def positioned(self) -> bool:
        """Whether all frames have a position and an orientation in the patient, and a frame of reference."""
        placed = all(frame.position is not None and frame.orientation is not None for frame in self.frames)
        return placed and bool(self.first.get("FrameOfReferenceUID"))

    @property
    def spacing(self) -> list[float]:
        """The mm between rows and between columns; 1 where the files do not say."""
        spacing = self.frames[0].spacing
        return [1.0, 1.0] if spacing is None else spacing.tolist()

    @property
    def orientation(self) -> list[float]:
        """The directions of a row and of a column in the patient; ITK's where the files do not say."""
        orientation = self.frames[0].orientation
        return [1.0, 0.0, 0.0, 0.0, 1.0, 0.0] if orientation is None else orientation.ravel().tolist()

    def check_place(self, kind: str) -> None:
        """Raise unless a result that needs positions can be made: a single frame does without."""
        if not self.positioned and len(self.frames) > 1:
            raise ValueError(
                f"{self.name}: {len(self.frames)} frames without position, orientation or frame of reference, which a "
                f"{kind} of several frames must have; a Secondary Capture can do without."
            )

    def slices(self, name: str, volume: MetaTensor) -> list[int]:
        """Find the slice of a volume, in its last axis, that lies where each frame does.

        Frames of one file without positions lie 1 mm apart in the order of the file, as
        :class:`~monai_advexplain.transforms.DicomVolumeReader` puts them.

        Args:
            name: what the volume is called in errors.
            volume: (C, x, y, z), or (C, x, y) of a single frame, with its affine in RAS mm.

        Returns:
            The index of the slice for each frame; each slice occurs once.

        Raises:
            ValueError: when the volume has another grid: another shape, or corners that lie more than 0.01 mm away
                from the frame's.
        """
        if not isinstance(volume, MetaTensor):
            raise ValueError(f"{name} must be a MetaTensor, whose affine says where it lies, got {type(volume)}.")
        size = (*volume.shape[1:], 1)[:3] if volume.ndim in (3, 4) else ()
        rows, columns = self.frames[0].size
        if size != (columns, rows, len(self.frames)):
            raise ValueError(
                f"{name} of shape {tuple(volume.shape)} does not have the grid of {self.name}: wanted (C, x, y, z) "
                f"with x = {columns} columns, y = {rows} rows, z = {len(self.frames)} frames."
            )
        affine = LPS_TO_RAS @ to_affine_nd(3, np.asarray(volume.affine, dtype=float))
        unplaced = all(frame.position is None and frame.header is self.first for frame in self.frames)
        found = []
        for number, frame in enumerate(self.frames):
            wanted = frame.affine()
            wanted[2, 3] += number if unplaced else 0
            found.append(_slice(name, frame, affine, wanted, size[2]))
        if len(set(found)) < len(found):
            twice = max(found, key=found.count)
            raise ValueError(
                f"{self.name}: {found.count(twice)} frames lie in slice {twice} of the {name}, wanted one."
            )
        return found

    def planes(self, name: str, volume: MetaTensor) -> np.ndarray:
        """The slices of a volume that lie where the frames do.

        Args:
            name: what the volume is called in errors.
            volume: as for :meth:`slices`.

        Returns:
            (frames, rows, columns, C), float32.

        Raises:
            ValueError: when the volume has another grid.
        """
        found = self.slices(name, volume)
        values = volume.as_tensor().detach().cpu().float().numpy()
        values = values[..., None] if values.ndim == 3 else values
        return np.ascontiguousarray(values[..., found].transpose(3, 2, 1, 0))

    def map_planes(self, explanation: MetaTensor) -> np.ndarray:
        """The slices of an explanation that lie where the frames do.

        Args:
            explanation: (1, x, y, z), or (1, x, y) of a single frame.

        Returns:
            (frames, rows, columns), float32.

        Raises:
            ValueError: when it has another grid, several channels, or values that are not finite.
        """
        values = self.planes("explanation", explanation)
        if values.shape[-1] != 1:
            raise ValueError(f"explanation must have one channel, got shape {tuple(explanation.shape)}.")
        if not np.isfinite(values).all():
            raise ValueError(f"explanation has {np.sum(~np.isfinite(values))} values that are not finite numbers.")
        return values[..., 0]

    @contextmanager
    def referred_by(self, kind: str) -> Iterator[None]:
        """Name the source in what highdicom raises when a header does not allow a result to refer to it."""
        try:
            yield
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"{self.name}: no {kind} can refer to this source: {error}") from error


def read_source(sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Source:
    """Read the headers of an explanation's source.

    Args:
        sources: the files of one series, in any order, or one file, which may have several frames.

    Returns:
        Its frames and where they lie.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when a file is not DICOM or lacks what names it, when the files are not of one series and size, or
            when one of several files has several frames.
    """
    paths = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    if not paths:
        raise ValueError("sources must name at least one DICOM file, got none.")
    names = [os.fspath(path) for path in paths]
    datasets = [_read(name) for name in names]
    frames = [frame for name, dataset in zip(names, datasets, strict=True) for frame in slices_of(dataset, name)]
    for name, dataset in zip(names, datasets, strict=True):
        for keyword in OF_SERIES:
            if dataset.get(keyword) != datasets[0].get(keyword):
                raise ValueError(
                    f"sources must be of one series: {keyword} is {datasets[0].get(keyword)} in {names[0]} and "
                    f"{dataset.get(keyword)} in {name}."
                )
        count = int(dataset.get("NumberOfFrames") or 1)
        if count > 1 and len(names) > 1:
            raise ValueError(f"{name}: {count} frames; wanted this file alone, got {len(names)}.")
    for dataset in datasets:
        _complete(dataset, datasets[0])
    return Source(names[0], datasets, frames)


def _read(name: str) -> Dataset:
    try:
        dataset = pydicom.dcmread(name, stop_before_pixels=True)
    except (InvalidDicomError, EOFError) as error:
        raise ValueError(f"{name}: not a DICOM file: {error}") from error
    for keyword in REQUIRED:
        if dataset.get(keyword) in (None, ""):
            raise ValueError(f"{name}: no {keyword} in the DICOM header, which results must refer to.")
    return dataset


def _slice(name: str, frame: Slice, affine: np.ndarray, wanted: np.ndarray, depth: int) -> int:
    """Index of the slice of a volume with this LPS affine in which a frame of the wanted LPS affine lies."""
    index = 0
    if depth > 1:
        index = int(np.clip(np.rint(np.linalg.lstsq(affine, wanted[:, 3], rcond=None)[0][2]), 0, depth - 1))
    found = np.column_stack([affine[:, :3], affine @ [0, 0, index, 1]])
    rows, columns = frame.size
    corners = np.array([[0, 0, 0, 1], [columns - 1, 0, 0, 1], [0, rows - 1, 0, 1]], dtype=float).T
    gap = np.linalg.norm((found - wanted) @ corners, axis=0).max()
    if not gap <= POSITION_TOLERANCE:
        raise ValueError(
            f"{name} does not have the grid of {frame.name}: that lies up to {gap:.4g} mm from the nearest slice, "
            f"{index}, at most {POSITION_TOLERANCE} wanted. First pixel {_mm(found[:, 3])}, step along a row "
            f"{_mm(found[:, 0])}, down a column {_mm(found[:, 1])}, wanted {_mm(wanted[:, 3])}, {_mm(wanted[:, 0])}, "
            f"{_mm(wanted[:, 1])} mm (LPS)."
        )
    return index


def _mm(vector: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:.5g}" for value in vector[:3]) + ")"


def _complete(dataset: Dataset, first: Dataset) -> None:
    """Fill in what highdicom expects of a source and real files lack or write in another of the permitted ways."""
    for keyword in MAY_BE_EMPTY:
        if keyword not in dataset:
            setattr(dataset, keyword, None)
    if "ImageOrientationPatient" in dataset and "ImageOrientationPatient" in first:
        dataset.ImageOrientationPatient = first.ImageOrientationPatient  # equal within 0.01 mm, wanted digit by digit
    if "NumberOfFrames" in dataset and not dataset.get("SharedFunctionalGroupsSequence"):  # XA, for example
        dataset.SharedFunctionalGroupsSequence = [Dataset()]
        dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = [Dataset()]
    shared, own = dataset.get("SharedFunctionalGroupsSequence"), dataset.get("PerFrameFunctionalGroupsSequence")
    for keyword in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        if shared and own and keyword in own[0] and keyword not in shared[0]:
            shared[0][keyword] = own[0][keyword]
