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

"""Tests of the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from monai_advexplain.__main__ import main
from monai_advexplain.data import load_rsna

BUNDLE = Path(__file__).parents[1] / "bundles" / "chest_xray_advexplain"


def test_phantom_writes_a_data_set_that_the_reader_reads(tmp_path, capsys):
    assert main(["phantom", str(tmp_path / "data"), "--images", "40", "--size", "32"]) == 0
    assert "40 images" in capsys.readouterr().out
    assert sum(len(items) for items in load_rsna(tmp_path / "data").values()) == 40


def test_demo_ends_with_the_table_of_what_it_measured_and_says_where_the_pictures_are(tmp_path, capsys):
    assert main(["demo", "--quick", "--output", str(tmp_path), "--bundle", str(BUNDLE)]) == 0
    metrics = json.loads((tmp_path / "eval" / "metrics.json").read_text())
    printed = capsys.readouterr().out
    assert f"| proposed | {metrics['auc_loc']['proposed']['total']:.3f} |" in printed
    assert str(tmp_path / "eval" / "pictures.png") in printed
    assert (tmp_path / "eval" / "pictures.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_bundle_is_one_line_and_exit_code_2(tmp_path, capsys):
    assert main(["demo", "--output", str(tmp_path / "out"), "--bundle", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith(f"error: no bundle at {tmp_path / 'none'}")
    assert not (tmp_path / "out").exists()


def test_the_module_runs_as_a_command_and_needs_a_command_name():
    done = subprocess.run([sys.executable, "-m", "monai_advexplain"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "demo" in done.stderr


@pytest.mark.parametrize("name", ["ExplainerNet", "JointExplainerTrainer", "load", "auc_loc"])
def test_the_public_names_are_found_and_importing_the_package_does_not_import_monai(name):
    code = (
        f"import sys, monai_advexplain as m; assert 'monai' not in sys.modules; m.{name}; assert 'monai' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    import monai_advexplain

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        monai_advexplain.nothing  # noqa: B018
