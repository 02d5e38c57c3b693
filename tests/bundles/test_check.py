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

"""The command ``check`` on a bundle, end to end in its quick form, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_advexplain.__main__ import main
from monai_advexplain.networks import load_classifier
from monai_advexplain.sanity.command import CHECKS
from monai_advexplain.sanity.randomised import layers
from tests.bundles.untrained import BUNDLES, FLAT, untrained_copy

SMALL = "bundle#image_size=[64,64]"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return untrained_copy("chest_xray_advexplain", tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def checked(bundle, phantom_dir, tmp_path_factory) -> Path:
    """The folder of a quick run of every check."""
    out = tmp_path_factory.mktemp("check") / "out"
    assert main(arguments(bundle, phantom_dir, out)) == 0
    return out


def arguments(bundle: Path, data: Path, out: Path, *settings: str) -> list[str]:
    given = (SMALL, f"bundle#model_dir={bundle / 'models'}", *settings)
    return [
        *("check", "--quick", "--bundle", str(bundle), "--dataset_dir", str(data), "--output", str(out)),
        *(part for setting in given for part in ("--set", setting)),
    ]


def only(*names: str) -> list[str]:
    return [f"checks#{name}=false" for name in CHECKS if name not in names]


def written(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}


def test_every_check_is_measured_on_the_images_and_shown_on_the_page(checked):
    card = json.loads((checked / "scorecard.json").read_text())
    assert list(card["checks"]) == list(CHECKS)
    assert card["n_images"] == 8
    assert {score["name"] for score in card["scores"]} == {"consistency", "plausibility", "fidelity", "usefulness"}
    assert {part["name"] for score in card["scores"] for part in score["parts"]} >= {"noise", "flip", "separation"}
    mean, low, high = card["checks"]["model_randomisation"]["retrained"]["spearman"]
    assert -1 <= low <= mean <= high <= 1
    page = (checked / "scorecard.html").read_text()
    assert all(f"<h2>{name.replace('_', ' ').capitalize()}</h2>" in page for name in CHECKS)
    assert page.count("data:image/png;base64,") == 4


def test_no_training_and_no_check_is_made_twice(checked, bundle, phantom_dir, monkeypatch):
    before, measured = written(checked), (checked / "checks" / "confounder.json").read_text()
    for name in CHECKS:
        monkeypatch.setitem(CHECKS, name, None)  # none is called
    assert main(arguments(bundle, phantom_dir, checked, "limits#noise_spearman=0.123")) == 0
    assert written(checked) == before
    assert (checked / "checks" / "confounder.json").read_text() == measured
    card = json.loads((checked / "scorecard.json").read_text())
    assert card["scores"][0]["parts"][0]["limit"] == 0.123


def test_another_setting_measures_anew_with_the_trainings_that_there_are(checked, bundle, phantom_dir, tmp_path):
    out = Path(shutil.copytree(checked, tmp_path / "out"))
    before = written(out)
    few = only("noise_stability", "seed_stability")
    assert main(arguments(bundle, phantom_dir, out, "noise=0.3", *few)) == 0
    assert written(out) == before
    noise = "noise_stability"
    first, second = (json.loads((folder / "scorecard.json").read_text())["checks"] for folder in (checked, out))
    assert set(second) == {noise, "seed_stability"}
    assert second[noise]["gradient"]["spearman"][0] < first[noise]["gradient"]["spearman"][0]
    once, again = (card["seed_stability"] for card in (first, second))
    assert set(again) == set(once)
    for part in once:  # the maps are made anew, and their last digits depend on the number of threads
        assert again[part] == {name: pytest.approx(values, abs=1e-4) for name, values in once[part].items()}


def test_a_training_that_was_stopped_goes_on(checked, bundle, phantom_dir, tmp_path, monkeypatch):
    settings = ("explainer#epochs=2", *only("seed_stability"))
    saved = torch.save

    def stopped_after_the_first_epoch(state, *args, **kwargs):
        saved(state, *args, **kwargs)
        if isinstance(state, dict) and state.get("trainer", {}).get("epoch_length"):
            monkeypatch.setattr(torch, "save", saved)
            raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", stopped_after_the_first_epoch)
    assert main(arguments(bundle, phantom_dir, tmp_path / "a", *settings)) == 130
    assert not list((tmp_path / "a").rglob("model.pt"))
    assert main(arguments(bundle, phantom_dir, tmp_path / "a", *settings)) == 0
    assert len(list((tmp_path / "a").rglob("model.pt"))) == 2
    assert not list((tmp_path / "a").rglob("work"))


def test_the_confounded_classifier_and_the_clean_one_are_tested_on_the_same_images(checked):
    found = json.loads((checked / "checks" / "confounder.json").read_text())["result"]
    assert {"clean gradient", "confounded gradient", "separation"} <= set(found)
    box = np.array(found["chance"]["marker"])
    assert box == pytest.approx(np.full(len(box), (round(0.24 * 64) - round(0.08 * 64)) ** 2 / 64**2))
    assert len(found["clean"]["accuracy"]) == len(found["confounded"]["agreement"]) == len(box)
    in_marker, in_empty_box = (np.array(found["clean gradient"][part], float) for part in ("marker", "empty_box"))
    assert (np.isnan(in_marker) ^ np.isnan(in_empty_box)).all()  # an image has a marker or has none
    assert np.array_equal(np.isnan(in_marker), np.isnan(np.array(found["separation"]["marker"], float)))


def test_the_labels_are_dealt_out_for_the_classifier_and_the_bundles_own_files_stay(checked, bundle):
    own = load_classifier(bundle / "models" / "classifier.pt", _network(bundle)).state_dict()
    files = [path for path in checked.rglob("classifier.pt") if path.parent.name.startswith("randomised-all")]
    assert len(files) == 1
    drawn = load_classifier(files[0], _network(bundle)).state_dict()
    assert not torch.equal(own["fc.weight"], drawn["fc.weight"])
    assert sorted(path.name for path in (bundle / "models").iterdir()) == ["classifier.pt", "model.pt"]
    assert not (bundle / "output").exists()


def _network(bundle: Path) -> torch.nn.Module:
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "evaluate.json"))
    network = parser.get_parsed_content("classifier_def")
    assert layers(network)[-1] == "fc"
    return network


def test_a_classifier_that_is_declared_in_another_way_is_refused_before_any_training(bundle, phantom_dir, tmp_path,
                                                                                   capsys):  # fmt: skip
    scripted = torch.jit.script(load_classifier(bundle / "models" / "classifier.pt", _network(bundle)))
    scripted.save(str(tmp_path / "classifier.ts"))
    entry = {"_target_": "monai_advexplain.networks.load_classifier", "path": str(tmp_path / "classifier.ts")}
    settings = (f"bundle#classifier={json.dumps(entry)}", *only("model_randomisation"))
    assert main(arguments(bundle, phantom_dir, tmp_path / "out", *settings)) == 2
    assert "does not follow the entries classifier_path and classifier_def" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("model.pt"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("images_=3", "has no setting 'images_'; it has attribution_methods"),
        ("checks#none=true", "has no setting 'checks#none'"),
        ("training_seeds=[1]", "training_seeds"),
        ("bundle#model_dir=/none", "no weights at /none/"),
        ("bundle#dataset_dir=/none", "/none: no such folder"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_2(bundle, phantom_dir, tmp_path, capsys, setting, message):
    given = arguments(bundle, phantom_dir, tmp_path / "out", setting)
    if "dataset_dir" in setting:
        del given[given.index("--dataset_dir") : given.index("--dataset_dir") + 2]
    assert main(given) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_folder_without_check_json_is_named(tmp_path, capsys):
    assert main(["check", "--bundle", str(tmp_path)]) == 2
    assert "is not a bundle that can be checked: there is no" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*FLAT, "mri_volume_advexplain"])
def test_the_settings_of_all_bundles_name_the_same_checks_limits_and_known_methods(name):
    chest, own = (
        json.loads((BUNDLES / one / "configs" / "check.json").read_text()) for one in ("chest_xray_advexplain", name)
    )
    methods = json.loads((BUNDLES / name / "configs" / "compare.json").read_text())["methods"]
    assert set(own) == set(chest)
    assert own["checks"] == dict.fromkeys(CHECKS, True)
    assert own["limits"].keys() == chest["limits"].keys()
    assert set(own["attribution_methods"]) <= set(methods)
