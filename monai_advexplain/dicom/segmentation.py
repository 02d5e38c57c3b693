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

"""A thresholded explanation as DICOM Segmentation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from monai.data import MetaTensor
from pydicom.sr.codedict import codes

from monai_advexplain._version import __version__
from monai_advexplain.dicom.result import (
    DESCRIPTION,
    HIGH_EXPLANATION,
    MANUFACTURER,
    MODEL,
    new_series,
    pixel_measures,
    save,
)
from monai_advexplain.dicom.source import read_source
from monai_advexplain.transforms.region import check_limits, region_limit

KIND = "Segmentation"
LABEL = "High explanation"
ORANGE = CIELabColor.from_rgb(255, 140, 0)


def write_segmentation(
    explanation: MetaTensor,
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    *,
    threshold: float | None = None,
    share: float = 0.05,
    description: str = DESCRIPTION,
) -> Path:
    """Write where an explanation is high as a binary DICOM Segmentation with one segment.

    It has a frame for every frame of the source, empty ones too, so that it covers the source's grid. The segment's
    description and its algorithm's parameters state the threshold.

    Args:
        explanation: (1, x, y, z), or (1, x, y) of a single frame, in the source's grid; affine in RAS mm.
        sources: the DICOM files that it explains, in any order.
        path: the file to write.
        threshold: keep the voxels whose value is above it.
        share: without a threshold, keep the highest voxels, at most this share of the image, in (0, 1); fewer where
            values at the limit are equal.
        description: of the content and the series, at most 64 characters.

    Returns:
        The path.

    Raises:
        FileNotFoundError: when a source is missing.
        ValueError: when the explanation does not lie in the source's grid, a source cannot be referred to, or an
            argument is outside its range.
    """
    check_limits(threshold, share)
    source = read_source(sources)
    source.check_place(KIND)
    values = source.map_planes(explanation)
    limit = region_limit(torch.from_numpy(values), threshold, share)
    text, parameters = f"Explanation above {limit:.6g}", {"threshold": f"{limit:.6g}"}
    if threshold is None:
        text, parameters = f"{text}, the highest {100 * share:g} % of the image", parameters | {"share": f"{share:g}"}
    segment = SegmentDescription(
        segment_number=1,
        segment_label=LABEL,
        segmented_property_category=codes.SCT.SpatialAndRelationalConcept,
        segmented_property_type=HIGH_EXPLANATION,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            MODEL,
            codes.DCM.ArtificialIntelligence,
            __version__,
            source=MANUFACTURER,
            parameters=parameters,
        ),
        display_color=ORANGE,
    )
    segment.SegmentDescription = text
    with source.referred_by(KIND):
        result = Segmentation(
            source.datasets,
            values > limit,
            SegmentationTypeValues.BINARY,
            [segment],
            content_label="EXPLANATION",
            content_description=description,
            omit_empty_frames=False,
            **new_series(source, KIND, description),
        )
    result.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = pixel_measures(source)
    if not source.positioned:
        result.PatientOrientation = source.first.get("PatientOrientation") or ""
    return save(result, path)
