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

"""A PACS of the tests' own: Debian's Orthanc with its DICOMweb plug-in, on free loopback ports."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

PLUGINS = Path("/usr/share/orthanc/plugins")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen, log: Path, seconds: float) -> None:
    """Return when the address answers; fail with the end of the process's log when it ends first, or is too slow."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.2)
    pytest.fail(f"no answer at {url}; exit code {process.poll()}; {log.read_text(errors='replace')[-3000:]}")


@contextmanager
def orthanc(folder: Path, files: Iterable[Path] = ()) -> Iterator[str]:
    """Run a server with its data in ``folder``; gives its address.

    Args:
        folder: empty.
        files: DICOM files to put in first.

    Yields:
        ``http://127.0.0.1:<port>``; DICOMweb is under ``/dicom-web``.
    """
    command = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if command is None or not list(PLUGINS.glob("*OrthancDicomWeb*")):
        pytest.skip("no Orthanc with DICOMweb here: apt-get install orthanc orthanc-dicomweb")
    http = free_port()
    settings = {
        "HttpPort": http,
        "DicomPort": free_port(),
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGINS)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    log = folder / "orthanc.log"
    with log.open("w") as output:
        process = subprocess.Popen([command, str(folder / "orthanc.json")], stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{http}"
        wait_for(f"{url}/dicom-web/studies", process, log, 60)
        for file in files:
            requests.post(f"{url}/instances", data=file.read_bytes(), timeout=30).raise_for_status()
        yield url
    finally:
        process.terminate()
        process.wait(30)
