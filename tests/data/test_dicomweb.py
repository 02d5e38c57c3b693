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

"""Images from a real PACS and results back into it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import BasicTextSRStorage, generate_uid

from monai_advexplain.data import list_images
from monai_advexplain.data.dicomweb import fetch_study, store
from monai_advexplain.dicom import write_segmentation
from monai_advexplain.transforms import LoadMedicalImage
from tests.hard_dicom import write_dicom, write_series
from tests.orthanc import free_port, orthanc

STUDY, VOLUME, FLAT = "1.2.3", "1.2.3.4", "1.2.3.9"


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A study of a volume of five slices and a single image."""
    folder = tmp_path_factory.mktemp("sources")
    stored = np.random.default_rng(0).integers(0, 1000, (5, 16, 12))
    write_series(folder / "volume", stored)
    write_dicom(folder / "flat.dcm", stored[0], SeriesInstanceUID=FLAT, SOPInstanceUID=generate_uid())
    return folder


@pytest.fixture(scope="module")
def pacs(sources, tmp_path_factory):
    with orthanc(tmp_path_factory.mktemp("orthanc"), [path for path in sources.rglob("*") if path.is_file()]) as url:
        yield f"{url}/dicom-web"


def test_a_study_comes_as_it_was_sent(pacs, sources, tmp_path):
    paths = fetch_study(pacs, STUDY, tmp_path)
    sent = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, filter(Path.is_file, sources.rglob("*")))}
    assert len(paths) == len(sent) == 6
    for path in paths:
        came = pydicom.dcmread(path)
        assert path == tmp_path / came.SeriesInstanceUID / f"{came.SOPInstanceUID}.dcm"
        assert came == sent[came.SOPInstanceUID]
    images = [item["image"] for item in list_images(tmp_path)]
    assert sorted(len(image) if isinstance(image, list) else 1 for image in images) == [1, 5]


def test_one_series_can_be_fetched_alone(pacs, sources, tmp_path):
    assert {path.parent.name for path in fetch_study(pacs, STUDY, tmp_path, [FLAT])} == {FLAT}


def test_a_result_is_stored_in_its_study_and_not_fetched_as_an_image(pacs, sources, tmp_path):
    volume = sorted((sources / "volume").iterdir())
    image = LoadMedicalImage()(volume)
    result = write_segmentation(torch.abs(image), volume, tmp_path / "result.dcm", share=0.1)
    uid = pydicom.dcmread(result).SOPInstanceUID
    report = write_dicom(
        tmp_path / "report.dcm", np.zeros((1, 1)), SOPClassUID=BasicTextSRStorage, SeriesInstanceUID="1.2.8"
    )
    assert store(pacs, [result, report])[0] == uid
    stored = pydicom.dcmread(fetch_all(pacs, tmp_path / "all", uid))
    assert stored.StudyInstanceUID == STUDY
    assert stored.ReferencedSeriesSequence[0].SeriesInstanceUID == VOLUME
    assert uid not in {path.stem for path in fetch_study(pacs, STUDY, tmp_path / "images")}


def fetch_all(pacs, folder, uid):
    """The file of an instance as the server's own interface gives it."""
    import requests

    root = pacs.removesuffix("/dicom-web")
    found = requests.post(f"{root}/tools/lookup", data=str(uid), timeout=30).json()
    folder.mkdir()
    path = folder / "stored.dcm"
    path.write_bytes(requests.get(f"{root}{found[0]['Path']}/file", timeout=30).content)
    return path


def test_what_is_not_there_is_named(pacs, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dicom-web: no study 1\.2\.99\."):
        fetch_study(pacs, "1.2.99", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no series 1\.7 in study 1\.2\.3; there are 1\.2\.3\."):
        fetch_study(pacs, STUDY, tmp_path, ["1.7"])
    with pytest.raises(ValueError, match=r"'\.\./x' is no DICOM UID"):
        fetch_study(pacs, "../x", tmp_path)


def test_a_service_that_does_not_answer_or_refuses_is_told_in_one_line(pacs, tmp_path):
    closed = f"http://127.0.0.1:{free_port()}/dicom-web"
    with pytest.raises(ConnectionError, match=rf"^{closed}: no DICOMweb service answers \(ConnectionError\)\.$"):
        fetch_study(closed, STUDY, tmp_path)
    wrong = pacs.replace("dicom-web", "elsewhere")
    with pytest.raises(ConnectionError, match=rf"^{wrong}: the DICOMweb service answered: 404 .*$"):
        fetch_study(wrong, STUDY, tmp_path)


def test_the_package_can_do_without_the_client():
    code = """
import sys
sys.modules["dicomweb_client"] = None
from monai_advexplain.data import dicomweb
dicomweb.store("x", [])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "pip install 'monai_advexplain[dicomweb]'" in done.stderr
