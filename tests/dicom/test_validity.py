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

"""What is written, and what it is written from, is valid DICOM by the judgement of dciodvfy of Debian's dicom3tools."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pydicom
import pytest


def errors(path: Path) -> list[str]:
    """The error lines of dciodvfy; the test is skipped where it is not installed."""
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("no dciodvfy; `make system-tools` installs it where apt-get can")
    run = subprocess.run([tool, str(path)], capture_output=True, text=True, check=False)
    return [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")]


def test_results_and_sources_have_no_errors(written):
    assert {path.name: errors(path) for path in (*written.source.files, *written.files) if errors(path)} == {}


def test_the_judge_finds_errors(written, tmp_path):
    ds = pydicom.dcmread(written.map32)
    del ds.FrameOfReferenceUID
    ds.save_as(tmp_path / "bad.dcm")
    assert "FrameOfReferenceUID" in "".join(errors(tmp_path / "bad.dcm"))
