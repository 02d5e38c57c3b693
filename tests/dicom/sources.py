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

"""DICOM sources of known geometry, small and valid: series of MR and CT slices, a multi-frame file, a radiograph."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
import torch
from highdicom.legacy import LegacyConvertedEnhancedMRImage
from monai.data import MetaTensor
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

COLUMNS, ROWS, SLICES = 10, 12, 4
ANGLES = (0.3, -0.2, 0.5)  # radians about x, y, z


class Source(NamedTuple):
    """Files, in an order that says nothing, and what they show in which place, from the numbers they were made of."""

    files: list[Path]
    image: MetaTensor
    """(1, x, y, z) or (1, x, y), the true values; affine in RAS mm."""

    @property
    def first(self) -> pydicom.Dataset:
        return pydicom.dcmread(self.files[0])


def rotation(x: float, y: float, z: float) -> np.ndarray:
    def about(axis: int, angle: float) -> np.ndarray:
        i, j = [k for k in range(3) if k != axis]
        matrix = np.eye(3)
        matrix[[i, j], [i, j]], matrix[i, j], matrix[j, i] = np.cos(angle), -np.sin(angle), np.sin(angle)
        return matrix

    return about(2, z) @ about(1, y) @ about(0, x)


def random_map(source: Source, seed: int = 0) -> MetaTensor:
    """An explanation on the source's grid: (1, *spatial), float32, at least 0."""
    generator = torch.Generator().manual_seed(seed)
    return MetaTensor(torch.rand(source.image.shape, generator=generator) ** 3, affine=source.image.affine)


def _dataset(sop_class: str, study: pydicom.Dataset, pixels: np.ndarray, number: int) -> pydicom.Dataset:
    ds = pydicom.Dataset()
    ds.update(study)
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, generate_uid()
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.InstanceNumber = number
    ds.ContentDate, ds.ContentTime = "20200101", "120000"
    ds.AcquisitionDate, ds.AcquisitionTime, ds.AcquisitionNumber = "20200101", "120000", 1
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    return ds


def _study(modality: str) -> pydicom.Dataset:
    ds = pydicom.Dataset()
    ds.PatientName, ds.PatientID = "Test^Case", "T1"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "19700101", "O", "050Y"
    ds.StudyInstanceUID, ds.StudyID, ds.AccessionNumber = generate_uid(), "1", "A1"
    ds.StudyDate, ds.StudyTime, ds.ReferringPhysicianName = "20200101", "110000", ""
    ds.SeriesInstanceUID, ds.SeriesNumber, ds.Modality = generate_uid(), 7, modality
    ds.Manufacturer, ds.PatientPosition = "Test", "HFS"
    ds.ManufacturerModelName, ds.DeviceSerialNumber, ds.SoftwareVersions = "Model", "1", "1"
    ds.BodyPartExamined, ds.WindowCenter, ds.WindowWidth = "HEAD", 600, 1200
    return ds


def _slices(
    sop_class: str, study: pydicom.Dataset, stored: np.ndarray, directions: np.ndarray, spacing, origin
) -> tuple[list[pydicom.Dataset], np.ndarray]:
    """The slices of ``stored`` (x, y, z) and the affine of the volume in RAS mm; spacing of x, y, z."""
    lps = np.eye(4)
    lps[:3, :3], lps[:3, 3] = directions * spacing, origin
    study.FrameOfReferenceUID, study.PositionReferenceIndicator = generate_uid(), ""
    slices = []
    for z in range(stored.shape[2]):
        ds = _dataset(sop_class, study, np.ascontiguousarray(stored[..., z].T), z + 1)
        ds.ImagePositionPatient = [f"{v:.8g}" for v in lps[:3, :3] @ [0, 0, z] + lps[:3, 3]]
        ds.ImageOrientationPatient = [f"{v:.12g}" for v in (*directions[:, 0], *directions[:, 1])]
        ds.PixelSpacing = [spacing[1], spacing[0]]  # between rows, between columns
        ds.SliceThickness = spacing[2]
        slices.append(ds)
    return slices, np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


def _save(datasets: list[pydicom.Dataset], folder: Path, seed: int = 0) -> list[Path]:
    """Write under names whose order is not that of the slices."""
    folder.mkdir(parents=True, exist_ok=True)
    names = np.random.default_rng(seed).permutation(len(datasets))
    paths = [folder / f"{name:02d}.dcm" for name in names]
    for ds, path in zip(datasets, paths, strict=True):
        ds.save_as(path, enforce_file_format=True)
    return sorted(paths)


def _mr_slices(seed: int) -> tuple[list[pydicom.Dataset], np.ndarray, np.ndarray]:
    stored = np.random.default_rng(seed).integers(-200, 1500, (COLUMNS, ROWS, SLICES)).astype(np.int16)
    study = _study("MR")
    study.ScanningSequence, study.SequenceVariant, study.ScanOptions, study.MRAcquisitionType = "SE", "NONE", "", "2D"
    study.EchoTime, study.RepetitionTime, study.EchoTrainLength = 10, 500, 1
    slices, affine = _slices(
        MRImageStorage, study, stored, rotation(*ANGLES), (0.7, 0.8, 3.3), (-97.151429, -63.686833, 90.735715)
    )
    for ds in slices:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    return slices, stored, affine


def mr_series(folder: Path, seed: int = 0) -> Source:
    """An oblique series, signed 16 bit, a file a slice."""
    slices, stored, affine = _mr_slices(seed)
    return Source(_save(slices, folder), MetaTensor(stored[None].astype(np.float32), affine=affine))


def ct_series(folder: Path, seed: int = 1) -> Source:
    """An axial series with rescale, whose slices go towards the feet."""
    stored = np.random.default_rng(seed).integers(0, 3000, (COLUMNS, ROWS, SLICES)).astype(np.uint16)
    study = _study("CT")
    study.RescaleIntercept, study.RescaleSlope, study.RescaleType, study.KVP = -1024, 1, "HU", 120
    down = np.diag([1.0, 1.0, -1.0])
    slices, affine = _slices(CTImageStorage, study, stored, down, (0.5, 0.5, 2.0), (-2.5, -3.0, 700.25))
    return Source(_save(slices, folder), MetaTensor(stored[None].astype(np.float32) - 1024, affine=affine))


def multi_frame(folder: Path, seed: int = 2) -> Source:
    """The slices of an oblique MR series in one file, its frames in an order that is not theirs in space."""
    slices, stored, affine = _mr_slices(seed)
    slices = [slices[z] for z in np.random.default_rng(seed).permutation(len(slices))]
    enhanced = LegacyConvertedEnhancedMRImage(
        slices,
        series_instance_uid=generate_uid(),
        series_number=7,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        include_dimension_index=False,
    )
    del enhanced.ReferencedSeriesSequence  # to instances that are nowhere
    return Source(_save([enhanced], folder), MetaTensor(stored[None].astype(np.float32), affine=affine))


def radiograph(folder: Path, seed: int = 3, spacing: str = "PixelSpacing") -> Source:
    """A CR image: neither frame of reference nor position, read as ITK reads it."""
    stored = np.random.default_rng(seed).integers(0, 4096, (COLUMNS, ROWS)).astype(np.uint16)
    study = _study("CR")
    del study.PatientPosition
    ds = _dataset(ComputedRadiographyImageStorage, study, np.ascontiguousarray(stored.T), 1)
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.BitsStored, ds.HighBit = 12, 11
    ds.PatientOrientation, ds.BodyPartExamined, ds.ViewPosition = ["L", "F"], "CHEST", "PA"
    setattr(ds, spacing, [0.2, 0.15])
    affine = np.diag([-0.15, -0.2, 1.0, 1.0])
    return Source(_save([ds], folder), MetaTensor(stored[None].astype(np.float32), affine=affine))
