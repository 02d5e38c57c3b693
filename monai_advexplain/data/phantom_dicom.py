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

"""Writing of chest phantoms as DICOM and CSV in the layout of the RSNA Pneumonia Detection Challenge."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid
from tqdm import tqdm

from monai_advexplain.data.phantom import render_chest
from monai_advexplain.data.rsna import COLUMNS, IMAGES, LABELS

CLASSES = "stage_2_detailed_class_info.csv"
PARAMETERS = "phantom.json"
LESIONS = "lesions"
VERSION = 2  # of the drawing; a folder drawn by another version is not reused
FIELD_MM = 400.0
SLOPE, INTERCEPT = 9 / 128, -16.0  # 12-bit files: 0 to 4095 covers -16 to 272, so that all files read as 0 to 255


@dataclass(frozen=True)
class _Plan:
    """What one file is to hold."""

    patient: int
    visit: int
    label: int
    marker: bool
    inverted: bool
    deep: bool

    @property
    def name(self) -> str:
        return f"P{self.patient:05d}_{self.visit}"


def _plans(n_images: int, prevalence: float, confounder: float, seed: int) -> Iterator[_Plan]:
    rng = np.random.default_rng([seed, 0])
    labels = rng.permutation(np.arange(n_images) < round(n_images * prevalence))
    patient, visit, visits = 0, 0, rng.integers(1, 4)
    for label in labels:
        if visit == visits:
            patient, visit, visits = patient + 1, 0, rng.integers(1, 4)
        share = (1 + confounder if label else 1 - confounder) / 2
        marker, inverted, deep = rng.random(3) < (share if confounder > 0 else 0.0, 0.1, 0.2)
        yield _Plan(patient, visit, int(label), bool(marker), bool(inverted), bool(deep))
        visit += 1


def _dataset(plan: _Plan, image: np.ndarray, seed: int) -> pydicom.Dataset:
    """Make a CR image whose values, once rescaled, are 0 to 255 and whose every byte follows from the arguments."""
    bits = 12 if plan.deep else 8
    values = (255.0 * image - INTERCEPT) / SLOPE if plan.deep else 255.0 * image
    stored = np.rint(values).astype(np.uint16 if plan.deep else np.uint8)
    if plan.inverted:
        stored = (2**bits - 1) - stored

    def uid(*names: str) -> pydicom.uid.UID:
        return generate_uid(entropy_srcs=["monai_advexplain phantom", str(VERSION), str(seed), *names])

    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = uid("image", plan.name)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("implementation")
    meta.ImplementationVersionName = "ADVEXPLAIN"

    ds = pydicom.Dataset()
    ds.file_meta = meta
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.StudyDate = ds.ContentDate = "20200101"
    ds.StudyTime = ds.ContentTime = f"12{plan.visit:02d}00"
    ds.Modality = "CR"
    ds.Manufacturer = "monai_advexplain phantom"
    ds.PatientName, ds.PatientID = f"Phantom^{plan.patient:05d}", f"P{plan.patient:05d}"
    ds.PatientSex = "O"
    ds.AccessionNumber = ds.ReferringPhysicianName = ds.PatientBirthDate = ds.PatientOrientation = ""
    ds.BodyPartExamined, ds.ViewPosition = "CHEST", "PA"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid("study", plan.name), uid("series", plan.name)
    ds.StudyID = ds.SeriesNumber = ds.InstanceNumber = "1"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if plan.inverted else "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.PixelSpacing = [round(FIELD_MM / stored.shape[0], 4)] * 2
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8 * stored.itemsize, bits, bits - 1, 0
    if plan.deep:
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = SLOPE, INTERCEPT, "US"
    ds.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
    ds["PixelData"].VR = "OW" if plan.deep else "OB"
    return ds


def _write(folder: Path, parameters: dict, progress: bool) -> None:
    """Write the whole data set into an empty folder."""
    seed, size = parameters["seed"], parameters["size"]
    for name in (IMAGES, LESIONS):
        (folder / name).mkdir()
    labels: list[tuple] = [COLUMNS]
    classes: list[tuple] = [("patientId", "class")]
    plans = list(_plans(parameters["n_images"], parameters["prevalence"], parameters["confounder"], seed))
    for plan in tqdm(plans, desc="Drawing phantoms", unit="image", disable=not progress):
        patient, visit = [seed, 1, plan.patient], [seed, 2, plan.patient, plan.visit]
        chest = render_chest(patient, visit, size, lesion=bool(plan.label), marker=plan.marker)
        _dataset(plan, chest.image, seed).save_as(folder / IMAGES / f"{plan.name}.dcm", enforce_file_format=True)
        if chest.boxes:
            Image.fromarray(np.uint8(255) * chest.lesions).save(folder / LESIONS / f"{plan.name}.png")
        boxes: list[tuple] = [*chest.boxes] or [("", "", "", "")]
        labels += [(plan.name, *box, plan.label) for box in boxes]
        classes.append((plan.name, "Lung Opacity" if plan.label else "Normal"))
    for name, rows in ((LABELS, labels), (CLASSES, classes)):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    (folder / PARAMETERS).write_text(json.dumps(parameters, indent=2) + "\n", encoding="utf-8")


def _holds(folder: Path, parameters: dict) -> bool:
    """Tell whether the folder holds this very phantom; raise when it holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    found = json.loads((folder / PARAMETERS).read_text(encoding="utf-8")) if (folder / PARAMETERS).is_file() else None
    if found == parameters:
        return True
    raise FileExistsError(
        f"{folder} is not empty and holds {f'a phantom made with {found}' if found else 'no phantom'}; wanted one made "
        f"with {parameters}. Remove the folder or name another one."
    )


def write_chest_phantom(
    output_dir: str | Path,
    n_images: int = 600,
    size: int = 128,
    prevalence: float = 0.5,
    confounder: float = 0.0,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Write a data set of chest phantoms whose lesions, and nothing else, decide about the label.

    Positives have one or two opacities inside the lungs, with their boxes in the CSV and their outlines in
    ``lesions/``, which ``load_rsna(..., masks="lesions")`` takes instead: a map of the lesions alone, without a flaw,
    does not fill their boxes. Both classes share everything else. A patient (PatientID) has one to three images of the
    same anatomy. About one file in ten is MONOCHROME1 and one in five has 12 bits with rescale slope and
    intercept; all read as 0 to 255. The folder appears only when it is complete, and is reused when it holds a phantom
    made with the same arguments.

    Args:
        output_dir: the folder to make, in the layout that :func:`~monai_advexplain.data.load_rsna` reads.
        n_images: number of images.
        size: rows and columns of an image, at least 32.
        prevalence: share of positives, in [0, 1].
        confounder: how strongly a bright letter in a corner goes with the label, in [0, 1]: no image has it at 0, else
            positives have it with probability (1 + confounder) / 2 and negatives with (1 - confounder) / 2.
        seed: same arguments, same bytes.
        progress: whether to show a progress bar.

    Returns:
        The folder.

    Raises:
        FileExistsError: when the folder is not empty and holds anything else than this phantom.
        ValueError: when an argument is outside its range.
    """
    for name, value, low, high in (
        ("n_images", n_images, 1, 10**6),
        ("size", size, 32, 4096),
        ("prevalence", prevalence, 0, 1),
        ("confounder", confounder, 0, 1),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name} must be in [{low}, {high}], got {value}.")
    folder = Path(output_dir)
    parameters = {
        "phantom": "chest",
        "version": VERSION,
        "n_images": n_images,
        "size": size,
        "prevalence": prevalence,
        "confounder": confounder,
        "seed": seed,
    }
    if _holds(folder, parameters):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        unfinished = Path(temporary) / "phantom"  # not the temporary folder itself, which only its owner may read
        unfinished.mkdir()
        _write(unfinished, parameters, progress)
        if folder.exists():
            folder.rmdir()  # empty
        unfinished.rename(folder)
    return folder
