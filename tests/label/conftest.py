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

"""Bundles and images for MONAI Label. Its server is tested by `make test-label` only, which has its environment."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.hard_dicom import write_dicom, write_series
from tests.label.serving import explain, make_bundle

collect_ignore = [] if "ADVEXPLAIN_LABEL_ENV" in os.environ else ["test_app.py", "test_monaibundle.py", "test_pacs.py"]

FLAT, VOLUME = "brain_flat", "brain_volume"
SERIES = "1.2.3.4"
FILES = {FLAT: ("slice.nii.gz", "scan.png", "chest.dcm"), VOLUME: ("volume.nii.gz",)}


@pytest.fixture(scope="session")
def bundles(tmp_path_factory) -> dict[str, Path]:
    """A 2D and a 3D bundle, one without weights, and one with weights of another shape."""
    folder = tmp_path_factory.mktemp("bundles")
    found = {
        FLAT: make_bundle(folder / FLAT, "brain_mri_advexplain"),
        VOLUME: make_bundle(folder / VOLUME, "mri_volume_advexplain"),
        "untrained": make_bundle(folder / "untrained", "brain_mri_advexplain"),
        "misfit": make_bundle(folder / "misfit", "brain_mri_advexplain"),
    }
    for weights in (found["untrained"] / "models").iterdir():
        weights.unlink()
    (found["misfit"] / "models" / "model.pt").write_bytes((found[FLAT] / "models" / "classifier.pt").read_bytes())
    return found


def oblique(spacing: tuple[float, float, float]) -> np.ndarray:
    """An affine whose axes are turned in the patient."""
    turn = np.linalg.qr(np.array([[1.0, 0.2, 0.1], [-0.2, 1.0, 0.3], [0.0, -0.3, 1.0]]))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing)
    affine[:3, 3] = (-12.5, 30.25, 7.0)
    return affine


@pytest.fixture(scope="session")
def studies(tmp_path_factory) -> Path:
    """A folder of 2D and 3D images, none of a network's size, and of files that cannot be read."""
    folder = tmp_path_factory.mktemp("studies")
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(size=(50, 44, 20)), axis=0)
    grey = np.interp(smooth[..., 0], (smooth.min(), smooth.max()), (0, 255))
    nib.save(nib.Nifti1Image(smooth[..., 1].astype(np.float32), oblique((0.5, 0.75, 1.0))), folder / "slice.nii.gz")
    nib.save(nib.Nifti1Image(smooth.astype(np.float32), oblique((0.5, 0.75, 3.0))), folder / "volume.nii.gz")
    Image.fromarray(grey.astype(np.uint8)).save(folder / "scan.png")
    write_dicom(folder / "chest.dcm", grey.astype(int), PixelSpacing=[0.7, 0.4])
    (folder / "broken_dicom.dcm").write_bytes((folder / "chest.dcm").read_bytes()[:-1000])
    (folder / "broken_nifti.nii.gz").write_bytes((folder / "volume.nii.gz").read_bytes()[:2000])
    (folder / "broken_png.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="session")
def series(tmp_path_factory) -> list[Path]:
    """The files of an oblique DICOM series."""
    folder = tmp_path_factory.mktemp("series")
    stored = np.cumsum(np.random.default_rng(1).normal(size=(12, 40, 36)), axis=1)
    paths = write_series(folder, np.interp(stored, (stored.min(), stored.max()), (0, 4000)).astype(int))
    assert {pydicom.dcmread(path).SeriesInstanceUID for path in paths} == {SERIES}
    return paths


@pytest.fixture(scope="session")
def explained(bundles, studies, tmp_path_factory) -> dict[str, dict]:
    """By the images' ids, what the package's own command gives."""
    found = {}
    for bundle, names in FILES.items():
        lines = explain(bundles[bundle], [studies / name for name in names], tmp_path_factory.mktemp(bundle))
        found |= {Path(name).name.split(".")[0]: line for name, line in lines.items()}
    return found
