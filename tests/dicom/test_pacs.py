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

"""A PACS accepts what is written and files it in the study of its source."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(url: str, data: bytes | None = None) -> list | dict:
    request = urllib.request.Request(url, data, {"Accept": "application/dicom+json, application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory) -> Iterator[str]:
    """The address of an Orthanc of its own, on this machine only."""
    tool = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if tool is None or not PLUGIN.is_file():
        pytest.skip("no Orthanc with DICOMweb; `make system-tools` installs it where apt-get can")
    folder, port = tmp_path_factory.mktemp("orthanc"), free_port()
    config = {
        "HttpPort": port,
        "DicomPort": free_port(),
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen([tool, str(folder / "config.json")], stdout=log, stderr=subprocess.STDOUT)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
    try:
        while True:
            try:
                ask(f"{url}/system")
                break
            except (urllib.error.URLError, ConnectionError):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"Orthanc did not start: {(folder / 'log.txt').read_text()[-2000:]}")
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_orthanc_lists_the_results_in_the_source_s_study(written, orthanc):
    wanted: dict[str, list[str]] = {}
    for path in (*written.source.files, *written.files):
        assert ask(f"{orthanc}/instances", path.read_bytes())["Status"] == "Success"
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        wanted.setdefault(ds.SeriesInstanceUID, []).append(ds.SOPInstanceUID)
    study = written.source.first.StudyInstanceUID

    studies = [ask(f"{orthanc}/studies/{key}") for key in ask(f"{orthanc}/studies")]
    (filed,) = [found for found in studies if found["MainDicomTags"]["StudyInstanceUID"] == study]
    series = [ask(f"{orthanc}/series/{key}") for key in filed["Series"]]
    assert {s["MainDicomTags"]["SeriesInstanceUID"]: len(s["Instances"]) for s in series} == {
        uid: len(instances) for uid, instances in wanted.items()
    }

    listed = ask(f"{orthanc}/dicom-web/studies/{study}/series")
    assert {item["0020000E"]["Value"][0] for item in listed} == set(wanted)
    assert {item["00080060"]["Value"][0] for item in listed} >= {"SEG", "OT"}
    for uid, instances in wanted.items():
        found = ask(f"{orthanc}/dicom-web/studies/{study}/series/{uid}/instances")
        assert {item["00080018"]["Value"][0] for item in found} == set(instances)
