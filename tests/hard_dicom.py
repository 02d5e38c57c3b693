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

"""DICOM files that scanners and archives do produce and that readers get wrong, made of known numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
COSINES = [0.8, 0.6, 0.0, -0.36, 0.48, -0.8]  # an oblique plane
NORMAL = np.cross(COSINES[:3], COSINES[3:])
SPACING = [0.75, 0.5]  # mm between rows, between columns


def header(shape: Sequence[int] = (4, 6), **tags) -> pydicom.Dataset:
    """An image of (rows, columns) or (frames, rows, columns) without pixels; tags of value None are left out."""
    ds = pydicom.Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    ds.PatientID, ds.PatientName = "1", "Hard^File"
    ds.Rows, ds.Columns = shape[-2:]
    if len(shape) == 3:
        ds.NumberOfFrames = shape[0]
    ds.PhotometricInterpretation, ds.SamplesPerPixel = "MONOCHROME2", 1
    for name, value in tags.items():
        if value is None:
            ds.pop(name, None)
        else:
            setattr(ds, name, value)
    return ds


def plane(distance: float = 0.0, shift: Sequence[float] = (0.0, 0.0, 0.0), **tags) -> dict:
    """Tags of a slice: ``distance`` mm along the normal of an oblique plane, shifted in the patient."""
    position = np.array([-97.25, 12.5, 90.75]) + distance * NORMAL + shift
    tags = {"ImageOrientationPatient": COSINES, "PixelSpacing": SPACING, **tags}
    return {"ImagePositionPatient": [round(float(x), 9) for x in position], **tags}


def write_dicom(path: Path, stored: np.ndarray, bits: int = 16, syntax: str = ExplicitVRLittleEndian, **tags) -> Path:
    """Write stored values, (rows, columns) or (frames, rows, columns), with the tags of :func:`header`."""
    ds = header(stored.shape, **tags)
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = syntax if syntax in NATIVE else ExplicitVRLittleEndian
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * stored.itemsize, bits, bits - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    ds.PixelData = stored.astype(stored.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes()
    ds["PixelData"].VR = "OB" if stored.itemsize == 1 else "OW"
    if syntax not in NATIVE:
        ds.compress(syntax, generate_instance_uid=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, stored: np.ndarray, step: float = 2.5, prefix: str = "", **kwargs) -> list[Path]:
    """Write (slices, rows, columns), ``step`` mm apart, as a file each under names in another order.

    An argument ``each_NAME`` gives NAME of :func:`write_dicom` one value a slice.
    """
    order = np.random.default_rng(len(stored)).permutation(len(stored))
    each = {name.removeprefix("each_"): kwargs.pop(name) for name in list(kwargs) if name.startswith("each_")}
    paths = []
    for i, values in enumerate(stored):
        tags = plane(i * step) | kwargs | {name: per_slice[i] for name, per_slice in each.items()}
        paths.append(write_dicom(folder / f"{prefix}{'cab'[order[i] % 3]}.{order[i]}", values, **tags))
    return sorted(paths)
