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

"""An explanation as DICOM Parametric Map: its values, voxel by voxel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from highdicom import UID, VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodedConcept
from monai.data import MetaTensor
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from monai_advexplain.dicom.result import (
    DESCRIPTION,
    EXPLAINING,
    EXPLANATION,
    new_series,
    pixel_measures,
    save,
)
from monai_advexplain.dicom.source import Source, read_source

KIND = "Parametric Map"
LABEL = "EXPLANATION"
LATERALITIES = ("R", "L", "U", "B")
DIRECTIONS = {
    "L": (1.0, 0.0, 0.0),
    "R": (-1.0, 0.0, 0.0),
    "P": (0.0, 1.0, 0.0),
    "A": (0.0, -1.0, 0.0),
    "H": (0.0, 0.0, 1.0),
    "F": (0.0, 0.0, -1.0),
}
"""Letters of Patient Orientation as vectors in the patient (LPS)."""


def write_parametric_map(
    explanation: MetaTensor,
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    *,
    bits: int = 32,
    description: str = DESCRIPTION,
) -> Path:
    """Write an explanation as a DICOM Parametric Map in the study and frame of reference of its source.

    A Parametric Map must have a frame of reference and a position. For a source without frame of reference, as
    radiographs are, it gets a new one; without a position it lies at its origin, in the directions of the source's
    Patient Orientation, or in those of ITK (rows to the left, columns to the back) when there is none. Pixel (column,
    row) is in any case that of the image it refers to.

    Args:
        explanation: (1, x, y, z), or (1, x, y) of a single frame, in the source's grid; affine in RAS mm.
        sources: the DICOM files that it explains, in any order.
        path: the file to write.
        bits: 32 stores the values as float32; 16 stores unsigned integers whose real world value mapping restores them
            within half a step, (maximum - minimum) / 65535 / 2.
        description: of the content and the series, at most 64 characters.

    Returns:
        The path.

    Raises:
        FileNotFoundError: when a source is missing.
        ValueError: when the explanation does not lie in the source's grid, a source cannot be referred to, or an
            argument is outside its range.
    """
    if bits not in (16, 32):
        raise ValueError(f"bits must be 16 or 32, got {bits}.")
    source = read_source(sources)
    source.check_place(KIND)
    values = source.map_planes(explanation)
    pixels, slope, intercept = (values, 1.0, 0.0) if bits == 32 else _quantised(values)
    low, high = pixels.min().item(), pixels.max().item()
    mapping = RealWorldValueMapping(
        lut_label=LABEL,
        lut_explanation="Explanation map, high is important",
        unit=codes.UCUM.NoUnits,
        value_range=(low, high),
        slope=slope,
        intercept=intercept,
        quantity_definition=EXPLANATION,
    )
    with source.referred_by(KIND):
        result = ParametricMap(
            source.datasets if source.positioned else [_placed(source)],
            pixels,
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[mapping],
            voi_lut_transformations=[
                VOILUTTransformation((low + high) / 2, (high - low) or 1.0, voi_lut_function="LINEAR_EXACT")
            ],
            content_label=LABEL,
            content_description=description,
            derivation=EXPLAINING,
            **new_series(source, KIND, description),
        )
    shared = result.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence = pixel_measures(source)
    shared.FrameAnatomySequence = [_anatomy(source.first)]
    return save(result, path)


def _quantised(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Stored uint16 values, slope and intercept."""
    intercept = float(values.min())
    slope = (float(values.max()) - intercept) / np.iinfo(np.uint16).max or 1.0
    return np.rint((values.astype(np.float64) - intercept) / slope).astype(np.uint16), slope, intercept


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def _orientation(source: Source) -> list[float]:
    """Image Orientation (Patient) of an image: its own, else by its Patient Orientation, else ITK's."""
    letters = [name[:1] for name in source.first.get("PatientOrientation") or ()]
    axes = [DIRECTIONS[letter] for letter in letters if letter in DIRECTIONS]
    if source.frames[0].orientation is None and len(axes) == 2 and np.dot(axes[0], axes[1]) == 0:
        return [*axes[0], *axes[1]]
    return source.orientation


def _placed(source: Source) -> Dataset:
    """The header with a new frame of reference and a plane, which radiographs lack and Parametric Maps must have."""
    position = source.frames[0].affine()[:3, 3].tolist()
    orientation, spacing = _orientation(source), source.spacing
    placed = Dataset()
    placed.update(source.first)
    placed.FrameOfReferenceUID = UID()
    placed.ImagePositionPatient, placed.ImageOrientationPatient, placed.PixelSpacing = position, orientation, spacing
    if "NumberOfFrames" in placed:
        measures, plane = _item(PixelSpacing=spacing), _item(ImageOrientationPatient=orientation)
        shared = _item(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[plane])
        frame = _item(PlanePositionSequence=[_item(ImagePositionPatient=position)])
        placed.SharedFunctionalGroupsSequence, placed.PerFrameFunctionalGroupsSequence = [shared], [frame]
    return placed


def _anatomy(header: Dataset) -> Dataset:
    """The Frame Anatomy functional group: the source's own, or made of what its header says about region and side."""
    groups = header.get("SharedFunctionalGroupsSequence")
    if groups and groups[0].get("FrameAnatomySequence"):
        return groups[0].FrameAnatomySequence[0]
    anatomy = Dataset()
    side = header.get("ImageLaterality") or header.get("Laterality")
    anatomy.FrameLaterality = side if side in LATERALITIES else "U"
    region = header.get("AnatomicRegionSequence")
    word = (header.get("BodyPartExamined") or "").strip().capitalize()
    code = getattr(codes.SCT, word, None) or codes.cid4031.EntireBody
    anatomy.AnatomicRegionSequence = [region[0] if region else CodedConcept.from_code(code)]
    return anatomy
