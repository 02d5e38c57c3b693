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

"""The tutorials run as their readers run them, and find what they say they find."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"


def found(name: str, folder: Path) -> dict[str, float]:
    """What a tutorial measured, by name; its picture is there and shows something."""
    done = subprocess.run(
        [sys.executable, TUTORIALS / f"{name}.py", folder],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert f"picture {folder / name}.png" in done.stdout
    assert np.asarray(Image.open(folder / f"{name}.png").convert("L")).std() > 10
    return {title.rstrip(": "): float(value) for title, value in re.findall(r"^(.+?) (\d\.\d\d)$", done.stdout, re.M)}


@pytest.mark.slow
def test_an_explanation_is_added_to_a_monai_training(tmp_path):
    measured = found("add_to_training", tmp_path / "out")
    assert measured["accuracy of the classifier"] > 0.9
    assert measured["flip rate"] > 0.8
    assert measured["preservation rate"] > 0.8
    assert measured["AUC_Loc of the explanation"] > measured["AUC_Loc of a random map"] + 0.3


def test_the_added_lines_are_few():
    added = re.search(r"# ===== What an explanation adds.*?\n(.*?)# ===== Until here", script("add_to_training"), re.S)
    assert len(added.group(1).splitlines()) <= 20


def script(name: str) -> str:
    return (TUTORIALS / f"{name}.py").read_text()


@pytest.mark.slow
def test_the_classifier_of_a_bundle_is_explained_and_its_entry_written(tmp_path):
    measured = found("explain_a_bundle", tmp_path / "out")
    assert measured["accuracy of the bundle's classifier"] > 0.9
    assert measured["AUC_Loc, gradient, averaged"] > measured["AUC_Loc, gradient"] > measured["AUC_Loc, random map"]
    entry = json.loads((tmp_path / "out" / "classifier.json").read_text())["classifier"]
    assert entry["network"]["path"] == str(tmp_path / "out" / "spot_classification")


@pytest.mark.slow
def test_losses_and_regularisation_work_without_an_engine(tmp_path):
    measured = found("plain_pytorch", tmp_path / "out")
    assert measured["flip rate"] > 0.8
    assert measured["AUC_Loc, ours"] > 0.3
    assert measured["AUC_Loc, captum, averaged"] > measured["AUC_Loc, captum"]


def test_every_tutorial_is_listed():
    listed = (TUTORIALS / "README.md").read_text()
    assert all(f"({path.name})" in listed for path in TUTORIALS.glob("*.py") if path.name != "toy.py")
