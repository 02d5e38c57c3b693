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

"""Slices of DICOM files: which files make one volume, in which order, and where its voxels lie in the patient."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.filereader import read_file_meta_info
from pydicom.misc import is_dicom
from pydicom.uid import UID

DICOM_SUFFIXES = (".dcm", ".dicom")
POSITION_TOLERANCE = 0.01  # mm between a voxel's centre by its own slice's header and by the volume's affine
UNIT_TOLERANCE = 1e-3  # of direction cosines: scanners round them, some to four decimals
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

_GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
# Enhanced multi-frame files keep here, frame by frame, what other files have at the top level.
_FUNCTIONAL_GROUPS = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
)
_SERIES_TAGS = [
    "SOPClassUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
]


@dataclass(frozen=True)
class Slice:
    """One frame of a DICOM file and the plane in which it lies.

    Attributes:
        name: the file; for a frame of several, also its number.
        file: the data set of the file.
        frame: index of the frame in the file, from 0.
        header: the data set of the frame, what an enhanced file says about it alone at the top level.
        position: centre of the first voxel in the patient (x, y, z in LPS mm), None when the file does not say.
        orientation: directions of growing column and of growing row, (2, 3), None when the file does not say.
        spacing: mm between rows and mm between columns, None when the file does not say.
    """

    name: str
    file: pydicom.Dataset = field(repr=False)
    frame: int
    header: pydicom.Dataset = field(repr=False)
    position: np.ndarray | None
    orientation: np.ndarray | None
    spacing: np.ndarray | None

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.header.Rows), int(self.header.Columns)

    def affine(self) -> np.ndarray:
        """Affine (4, 4) from (column, row, 0) to LPS mm; the third axis is the unit normal.

        What the file does not say is taken as ITK does: orientation ``1\\0\\0\\0\\1\\0``, origin 0, spacing 1 mm.
        """
        along_columns, along_rows = np.eye(3)[:2] if self.orientation is None else self.orientation
        rows_apart, columns_apart = (1.0, 1.0) if self.spacing is None else self.spacing
        affine = np.eye(4)
        affine[:3, 0] = along_columns * columns_apart
        affine[:3, 1] = along_rows * rows_apart
        affine[:3, 2] = np.cross(along_columns, along_rows)
        affine[:3, 3] = 0.0 if self.position is None else self.position
        return affine


def find_dicom_images(folder: str | os.PathLike) -> list[Path]:
    """DICOM image files of a folder and its sub-folders, sorted by path.

    Files named ``.dcm`` or ``.dicom`` count whatever they hold, so that a broken one is not passed over in silence;
    other files count when their content is DICOM. Hidden files are left out, and objects that are no images: DICOMDIR,
    structured reports, presentation states, segmentations.

    Args:
        folder: where to look.
    """
    files = sorted(p for p in Path(folder).rglob("*") if p.is_file() and not p.name.startswith("."))
    return [p for p in files if _may_be_dicom(p) and not _is_no_image(p)]


def group_slices(paths: Sequence[Path]) -> list[list[Path]]:
    """Group files into those of one volume each, by their headers alone.

    One volume are the single-frame files of one series, frame of reference, orientation and size that have positions in
    the patient, at two places at least. Every other file stays alone: radiographs, multi-frame files, and files that
    cannot be read, which the reader refuses with the reason.

    Args:
        paths: DICOM files.

    Returns:
        The groups in the order of their first files, each in the given order.
    """
    groups: list[list[tuple[Path, Slice | None]]] = []
    candidates: dict[tuple, list[list[tuple[Path, Slice | None]]]] = {}
    for path in paths:
        plane, key = _plane_in_series(path)
        for group in candidates.get(key, []):
            first = group[0][1]
            if plane is not None and first is not None and _same_orientation(plane, first):
                group.append((path, plane))
                break
        else:
            groups.append([(path, plane)])
            if plane is not None:
                candidates.setdefault(key, []).append(groups[-1])
    return [part for group in groups for part in _split_unless_volume(group)]


def slices_of(file: pydicom.Dataset, name: str) -> list[Slice]:
    """The frames of a DICOM file with their planes.

    Args:
        file: its data set.
        name: its name, for messages.

    Returns:
        One slice a frame, in the order of the file.

    Raises:
        ValueError: when an orientation is no pair of orthogonal unit vectors, or a spacing is not positive.
    """
    count = int(file.get("NumberOfFrames") or 1)
    slices = []
    for frame in range(count):
        label = name if count == 1 else f"{name} (frame {frame + 1})"
        header = _frame_header(file, frame)
        position, orientation, spacing = (_numbers(header.get(keyword)) for keyword in _GEOMETRY)
        if orientation is not None:
            orientation = orientation.reshape(2, 3)
            if not np.abs(orientation @ orientation.T - np.eye(2)).max() <= UNIT_TOLERANCE:
                raise ValueError(
                    f"{label}: ImageOrientationPatient {orientation.ravel().tolist()} found, "
                    "two orthogonal unit vectors wanted."
                )
        if spacing is None:
            spacing = _numbers(header.get("ImagerPixelSpacing"))
        if spacing is not None and not (spacing > 0).all():
            raise ValueError(f"{label}: pixel spacing {spacing.tolist()} mm found, positive numbers wanted.")
        slices.append(Slice(label, file, frame, header, position, orientation, spacing))
    return slices


def stack_slices(slices: Sequence[Slice]) -> tuple[list[Slice], np.ndarray]:
    """Order the slices of a volume along their normal and find the affine of their voxels.

    The distance of the slices comes from their positions alone. Planes that are stacked askew (a tilted gantry) are
    represented exactly: the third column of the affine is then not perpendicular to the first two.

    Args:
        slices: at least two, in any order.

    Returns:
        The slices in order, and the affine (4, 4) from (column, row, slice) to LPS mm, right-handed.

    Raises:
        ValueError: when the slices are not of one series, frame of reference, size and orientation, lack a position,
            share one, are not evenly spaced, or are otherwise off a common grid by more than ``POSITION_TOLERANCE``.
    """
    _check_common(slices)
    first = slices[0]
    normal = first.affine()[:3, 2]
    slices = sorted(slices, key=lambda s: float(s.affine()[:3, 3] @ normal))
    positions = np.stack([s.affine()[:3, 3] for s in slices])
    _check_even(slices, positions @ normal)

    affine = slices[0].affine()
    affine[:3, 2] = (positions[-1] - positions[0]) / (len(slices) - 1)
    rows, columns = first.size
    corners = np.array([[x, y, 0.0, 1.0] for x in (0, columns - 1) for y in (0, rows - 1)]).T
    for index, plane in enumerate(slices):
        wanted = plane.affine() @ corners
        found = affine @ (corners + np.array([[0.0], [0.0], [index], [0.0]]))
        distance = np.linalg.norm(wanted - found, axis=0).max()
        if not distance <= POSITION_TOLERANCE:
            raise ValueError(
                f"{plane.name}: its voxels lie up to {distance:.3f} mm off the even grid of the {len(slices)} slices, "
                f"at most {POSITION_TOLERANCE} mm wanted (position, orientation or pixel spacing differ)."
            )
    return slices, affine


def _may_be_dicom(path: Path) -> bool:
    return path.suffix.lower() in DICOM_SUFFIXES or is_dicom(path)


def _is_no_image(path: Path) -> bool:
    """Whether a readable DICOM file is of a known class that holds no image."""
    try:
        kind = UID(read_file_meta_info(path).MediaStorageSOPClassUID)
    except Exception:  # broken in whatever way: the reader will tell
        return False
    return kind.name != kind and "Image Storage" not in kind.name


def _plane_in_series(path: Path) -> tuple[Slice | None, tuple]:
    """The plane of a file that can be a slice of a series, else None; and what all slices of its volume share."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_SERIES_TAGS)
        (plane,) = slices_of(header, str(path))
        key = (header.SeriesInstanceUID, header.get("FrameOfReferenceUID"), plane.size)
    except Exception:  # broken, of several frames, or of no series: an item of its own
        return None, ()
    return (plane, key) if plane.position is not None and plane.orientation is not None else (None, ())


def _same_orientation(a: Slice, b: Slice) -> bool:
    x, y = a.orientation, b.orientation
    return x is not None and y is not None and np.allclose(x, y, rtol=0, atol=UNIT_TOLERANCE)


def _split_unless_volume(group: list[tuple[Path, Slice | None]]) -> Iterator[list[Path]]:
    places = np.array([plane.position for _, plane in group if plane is not None])
    if len(places) > 1 and np.ptp(places, axis=0).max() > POSITION_TOLERANCE:
        yield [path for path, _ in group]
    else:
        yield from ([path] for path, _ in group)


def _frame_header(file: pydicom.Dataset, frame: int) -> pydicom.Dataset:
    """The data set without its pixels, and what it says about one frame at the top level."""
    shared, own, detector = (
        file.get(keyword) or []
        for keyword in (
            "SharedFunctionalGroupsSequence",
            "PerFrameFunctionalGroupsSequence",
            "DetectorInformationSequence",  # nuclear medicine
        )
    )
    if not (shared or own or detector):
        return file
    header = pydicom.Dataset({tag: file.get_item(tag) for tag in file.keys() if tag.group < 0x5200})  # noqa: SIM118
    header.file_meta = file.file_meta
    for item in detector[:1]:
        header.update({tag: item[tag] for tag in item.keys() if item[tag].keyword in _GEOMETRY})  # noqa: SIM118
    for groups in (*shared[:1], *own[frame : frame + 1]):
        for keyword in _FUNCTIONAL_GROUPS:
            for item in (groups.get(keyword) or [])[:1]:
                header.update(item)
    return header


def _numbers(value: Sequence[float] | None) -> np.ndarray | None:
    return np.array([float(number) for number in value]) if value else None


def _check_common(slices: Sequence[Slice]) -> None:
    for keyword in ("SeriesInstanceUID", "FrameOfReferenceUID"):
        found: dict[str, Slice] = {}
        for plane in slices:
            found.setdefault(str(plane.header.get(keyword)), plane)
        if len(found) > 1:
            examples = ", ".join(f"{value} ({plane.name})" for value, plane in list(found.items())[:2])
            raise ValueError(f"{len(found)} values of {keyword} found, one wanted for a volume: {examples}.")
    first = slices[0]
    for plane in slices:
        for attribute, keyword in zip(("position", "orientation", "spacing"), _GEOMETRY, strict=True):
            if getattr(plane, attribute) is None:
                raise ValueError(f"{plane.name}: no {keyword} found, wanted in every slice of a volume.")
        if plane.size != first.size:
            raise ValueError(
                f"{plane.name}: {plane.size[0]} x {plane.size[1]} pixels (rows x columns) found, "
                f"{first.size[0]} x {first.size[1]} wanted as in {first.name}."
            )
        if not _same_orientation(plane, first):
            found_and_wanted = [
                None if s.orientation is None else s.orientation.ravel().tolist() for s in (plane, first)
            ]
            raise ValueError(
                f"{plane.name}: ImageOrientationPatient {found_and_wanted[0]} found, {found_and_wanted[1]} wanted "
                f"as in {first.name}."
            )


def _check_even(slices: Sequence[Slice], heights: np.ndarray) -> None:
    """Raise unless the slices, ordered by their heights along the normal, are apart and evenly spaced."""
    gaps = np.diff(heights)
    nearest = int(gaps.argmin())
    if not gaps[nearest] > POSITION_TOLERANCE:
        raise ValueError(
            f"{slices[nearest].name} and {slices[nearest + 1].name} lie in one plane ({gaps[nearest]:.3f} mm apart); "
            "one slice a plane wanted: give the files of one volume."
        )
    even = np.linspace(heights[0], heights[-1], len(heights))
    if not np.abs(heights - even).max() <= POSITION_TOLERANCE:
        usual = float(np.median(gaps))
        oddest = int(np.abs(gaps - usual).argmax())
        raise ValueError(
            f"{slices[oddest].name} and {slices[oddest + 1].name} are {gaps[oddest]:.3f} mm apart, the other slices "
            f"{usual:.3f} mm; even spacing within {POSITION_TOLERANCE} mm wanted (is a slice missing?)."
        )
