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

"""An explanation drawn over its image as DICOM Secondary Capture."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from highdicom import UID
from highdicom.sc import SCImage
from highdicom.spatial import get_closest_patient_orientation
from highdicom.sr import CodedConcept
from matplotlib.colors import Normalize
from monai.data import MetaTensor
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import format_number_as_ds

from monai_advexplain.data.dicom_series import Slice
from monai_advexplain.dicom.result import DESCRIPTION, EXPLAINING, new_series, pixel_measures, save
from monai_advexplain.dicom.source import Source, read_source
from monai_advexplain.transforms.drawing import grey_window, heat_colours, heat_window

KIND = "Secondary Capture"
COMPRESSION = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


def write_secondary_capture(
    explanation: MetaTensor,
    image: MetaTensor,
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    *,
    window: tuple[float, float] | None = None,
    description: str = DESCRIPTION,
) -> list[Path]:
    """Write an explanation as heat over the grey image, as DICOM Secondary Capture that every viewer shows.

    One RGB image a source frame, pixel for pixel, at the frame's position in the patient. Heat runs from 0 to the
    explanation's 99.5th percentile, over all frames, and is as opaque as it is high.

    Args:
        explanation: (1, x, y, z), or (1, x, y) of a single frame, in the source's grid; affine in RAS mm.
        image: (C, x, y, z) or (C, x, y), in that grid too; of several channels the mean is drawn.
        sources: the DICOM files that it explains, in any order.
        path: for a source of one frame the file to write; of several frames the folder to write the series to, as
            ``0001.dcm``, ``0002.dcm``, ... in the order of the explanation's slices. A folder of an earlier run is
            replaced.
        window: values of ``image`` that are black and white; from its 0.5th to its 99.5th percentile when None.
        description: of the derivation and the series, at most 64 characters.

    Returns:
        The files.

    Raises:
        FileExistsError: when the folder to write holds anything but an earlier run's files.
        FileNotFoundError: when a source is missing.
        ValueError: when explanation or image do not lie in the source's grid, a source cannot be referred to, or an
            argument is outside its range.
    """
    if window is not None and not window[0] < window[1]:
        raise ValueError(f"window must be two values, the lower first, got {window}.")
    source, path = read_source(sources), Path(path)
    heat, grey = source.map_planes(explanation), source.planes("image", image).mean(axis=-1)
    if len(source.frames) > 1:
        _check_replaceable(path)
    grey_scale = grey_window(grey) if window is None else Normalize(*window, clip=True)
    heat_scale = heat_window(heat)
    series = new_series(source, KIND, description)
    text = (
        f"{description}: heat from {heat_scale.vmin:.4g} to {heat_scale.vmax:.4g} "
        f"over grey from {grey_scale.vmin:.4g} to {grey_scale.vmax:.4g}"
    )
    folder = path.with_name(f".{path.name}.{os.getpid()}")  # becomes the path once it is whole
    single = len(source.frames) == 1
    try:
        for number, index in enumerate(np.argsort(source.slices("explanation", explanation)), 1):
            pixels = _overlay(grey[index], heat[index], grey_scale, heat_scale)
            with source.referred_by(KIND):
                result = _capture(source, source.frames[index], pixels, series | {"instance_number": number})
            result.DerivationDescription = text
            save(result, path if single else folder / f"{number:04d}.dcm")
        if not single:
            if path.exists():
                shutil.rmtree(path)
            os.replace(folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return [path] if single else sorted(path.iterdir())


def _check_replaceable(folder: Path) -> None:
    """Raise when replacing the folder would lose anything but an earlier run's files."""
    if not folder.exists():
        return
    names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else [folder.name]
    foreign = [n for n in names if not (folder.is_dir() and n.endswith(".dcm") and n[:-4].isdecimal() and len(n) == 8)]
    if foreign:
        raise FileExistsError(f"{folder} holds {foreign[0]}, not only an earlier series; name another folder.")


def _overlay(grey: np.ndarray, heat: np.ndarray, grey_scale: Normalize, heat_scale: Normalize) -> np.ndarray:
    """(rows, columns, 3), uint8, as :func:`~monai_advexplain.transforms.overlay_figure` draws it."""
    colours = heat_colours(np.ma.getdata(heat_scale(heat)).astype(float))
    opacity = colours[..., 3:]
    shade = np.ma.getdata(grey_scale(grey)).astype(float)[..., None]
    return np.rint(255 * (opacity * colours[..., :3] + (1 - opacity) * shade)).astype(np.uint8)


def _capture(source: Source, frame: Slice, pixels: np.ndarray, series: dict) -> SCImage:
    """One image, with the plane and the references that highdicom leaves to its user."""
    header = frame.header
    along_row, down_column, _ = get_closest_patient_orientation(frame.affine())
    result = SCImage.from_ref_dataset(
        header,
        pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=(along_row, down_column),
        **(series | {"sop_instance_uid": UID()}),
    )
    result.copy_patient_and_study_information(header)
    result.PixelSpacing = [format_number_as_ds(mm) for mm in source.spacing]
    if source.positioned and frame.position is not None and frame.orientation is not None:
        result.FrameOfReferenceUID = header.FrameOfReferenceUID
        result.PositionReferenceIndicator = header.get("PositionReferenceIndicator", "")
        result.ImagePositionPatient = [format_number_as_ds(float(mm)) for mm in frame.position]
        result.ImageOrientationPatient = [format_number_as_ds(float(cosine)) for cosine in frame.orientation.ravel()]
        result.SliceThickness = pixel_measures(source)[0].SliceThickness
    else:
        result["PatientOrientation"].value = header.get("PatientOrientation") or ""
    # Required while Body Part Examined is absent; of that, many sources do not say the side that it needs.
    result.Laterality = header.get("Laterality") or header.get("ImageLaterality") or ""
    for keyword in (*COMPRESSION, "BurnedInAnnotation"):
        if header.get(keyword):
            setattr(result, keyword, header[keyword].value)
    result.DerivationCodeSequence = [EXPLAINING]
    instance, image, series_item = Dataset(), Dataset(), Dataset()
    for item in (instance, image):
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    series_item.SeriesInstanceUID, series_item.ReferencedInstanceSequence = header.SeriesInstanceUID, [instance]
    result.ReferencedSeriesSequence = [series_item]
    if int(header.get("NumberOfFrames") or 1) > 1:
        image.ReferencedFrameNumber = frame.frame + 1
    image.SpatialLocationsPreserved = "YES"
    purpose = CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    image.PurposeOfReferenceCodeSequence = [purpose]
    result.SourceImageSequence = [image]
    return result
