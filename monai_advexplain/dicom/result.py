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

"""What all results have in common: who made them, in which series, under which private codes, how they are stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from highdicom import UID, PixelMeasuresSequence
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.spatial import get_volume_positions
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from monai_advexplain._version import __version__
from monai_advexplain.dicom.source import Source

MANUFACTURER = "MONAI AdvExplain"
MODEL = "monai_advexplain"
SCHEME = "99ADVEXPLAIN"
"""Designator of the private coding scheme: no standard code means a saliency map."""
EXPLANATION = CodedConcept("EXPLANATION", SCHEME, "Importance for the decision of an image classifier")
HIGH_EXPLANATION = CodedConcept("HIGH_EXPLANATION", SCHEME, "Region important for the decision of an image classifier")
EXPLAINING = CodedConcept("EXPLAINING", SCHEME, "Visual explanation of the decision of an image classifier")
DESCRIPTION = "Visual explanation of an image classifier's decision"

SERIES_OFFSETS = {"Parametric Map": 1, "Segmentation": 2, "Secondary Capture": 3}


def new_series(source: Source, kind: str, description: str) -> dict[str, Any]:
    """Arguments of highdicom's constructors for the first instance of a new series in the source's study.

    Args:
        source: what was explained.
        kind: a key of ``SERIES_OFFSETS``.
        description: of the series, at most 64 characters.

    Returns:
        The arguments that identify series, instance, equipment and coding scheme. The series number is the source's
        times 100, plus 1, 2 or 3 for the kind.

    Raises:
        ValueError: when the description is too long.
    """
    if len(description) > 64 or "\\" in description:
        raise ValueError(f"description must have at most 64 characters and no backslash, got {description!r}.")
    number = int(source.first.get("SeriesNumber") or 0) % 10_000_000
    return {
        "series_instance_uid": UID(),
        "series_number": 100 * max(number, 0) + SERIES_OFFSETS[kind],
        "series_description": description,
        "sop_instance_uid": UID(),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL,
        "software_versions": __version__,
        "device_serial_number": __version__,  # software has no other
        "coding_schemes": [
            CodingSchemeIdentificationItem(
                SCHEME, name=MANUFACTURER, responsible_organization=f"{MANUFACTURER} maintainers"
            )
        ],
        "transfer_syntax_uid": ExplicitVRLittleEndian,
    }


def pixel_measures(source: Source) -> PixelMeasuresSequence:
    """Spacing of the source's pixels, and of its slices as their positions say it.

    highdicom takes the source's own group, where Spacing Between Slices is what the scanner was told.

    Args:
        source: what was explained.

    Returns:
        The functional group. Without a slice thickness in the source it has the distance of the slices, or a nominal
        1 mm, since readers want one.
    """
    between = None
    if source.positioned and len(source.frames) > 1:
        positions = [frame.affine()[:3, 3].tolist() for frame in source.frames]
        between, _ = get_volume_positions(positions, source.orientation)
    groups = source.first.get("SharedFunctionalGroupsSequence")
    measures = groups[0].get("PixelMeasuresSequence") if groups else None
    header = measures[0] if measures else source.first
    return PixelMeasuresSequence(source.spacing, header.get("SliceThickness") or between or 1.0, between)


def save(result: Dataset, path: str | os.PathLike[str]) -> Path:
    """Write a file atomically: a file of that name is either whole or what it was before.

    Args:
        result: what to write.
        path: where to; missing folders are made.

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        result.save_as(temporary, enforce_file_format=True)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
