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

"""The command ``compare`` on the bundle: every method of its config, its options, and what it refuses."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_advexplain.__main__ import main
from monai_advexplain.benchmark.command import CONFIGS
from monai_advexplain.data import load_rsna
from tests.bundles.bundle_runs import BUNDLE, SMALL

CONFIG = json.loads((BUNDLE / "configs" / "compare.json").read_text())
METHODS = list(CONFIG["methods"])
OPTIONAL = ("mask_generator", "syce", "cyce", "realism", "supervised")  # the tests have not trained their weights
DEEP = {**CONFIG["realism"], "latent_space": {**CONFIG["realism"]["latent_space"], "features": [4] * 7}}
QUICK = (
    "methods#bbmp#iterations=2",
    "methods#rise#n_masks=8",
    "methods#occlusion#window=0.25",
    "methods#occlusion#stride=0.25",
)


@pytest.fixture
def arguments(trained, tmp_path):
    """The arguments of a command on the trained bundle."""

    def made(*more: str, settings: tuple[str, ...] = ()) -> list[str]:
        pairs = [
            f"model_dir={trained.model_dir}",
            f"image_size={SMALL['image_size']}",
            "speed=null",
            "realism=null",
            *settings,
        ]
        return [
            *("compare", "--bundle", str(BUNDLE), "--dataset_dir", str(trained.dataset_dir)),
            *("--output", str(tmp_path / "out"), "--n", "1"),
            *(part for pair in pairs for part in ("--set", pair)),
            *more,
        ]

    return made


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open() as file:
        return list(csv.DictReader(file))


def test_one_command_fills_the_table_with_every_method(arguments, tmp_path, capsys):
    assert main(arguments("--limit", "1", settings=QUICK)) == 0
    rows = table(tmp_path / "out")
    assert [(row["method"], row["regularised"]) for row in rows] == [
        (name, regularised) for name in METHODS for regularised in ("false", "true")
    ]
    for row in rows:
        if row["method"] in OPTIONAL:
            assert f"no weights {row['method']}.pt: train them with configs/train_{row['method']}.json" in row["error"]
        else:
            assert (row["error"], row["n_images"]) == ("", "1")
            assert 0 < float(row["auc_loc_total"]) < 1
    assert next(row["note"] for row in rows if row["method"] == "naive").startswith("the adversarial image of the prop")
    printed = capsys.readouterr().out
    assert "proposed takes " in printed
    assert str(tmp_path / "out" / "report.html") in printed


def test_monais_command_goes_on_where_this_one_stopped(arguments, trained, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "monai_advexplain", *arguments("--methods", "random,gradient")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        while running.poll() is None and not ((out / "rows.jsonl").is_file() and (out / "rows.jsonl").stat().st_size):
            time.sleep(0.01)
        running.kill()
    kept = (out / "rows.jsonl").read_text()
    kept = kept[: kept.rindex("\n") + 1]
    flow = ConfigWorkflow(
        [str(BUNDLE / "configs" / name) for name in CONFIGS],
        workflow_type="inference",
        logging_file=False,
        run_id="comparing",
        bundle_root=str(BUNDLE),
        dataset_dir=str(trained.dataset_dir),
        comparison_dir=str(out),
        methods={name: CONFIG["methods"][name] for name in ("proposed", "gradient", "random")},
        n_transforms=1,
        speed=None,
        realism=None,
        **trained.options,
    )
    flow.initialize()
    flow.run()
    assert (out / "rows.jsonl").read_text().startswith(kept)
    assert {row["method"] for row in table(out)} == {"proposed", "gradient", "random"}
    assert {row["error"] for row in table(out)} == {""}


def test_another_parameter_of_a_method_is_set_on_the_command_line(arguments, tmp_path):
    assert (
        main(arguments("--methods", "rise", "--limit", "1", settings=("methods#rise#n_masks=5", "n_resamples=7"))) == 0
    )
    settings = json.loads((tmp_path / "out" / "results.json").read_text())["settings"]
    assert settings["methods"]["rise"]["n_masks"] == 5
    assert settings["n_resamples"] == 7
    assert list(settings["methods"]) == ["proposed", "rise"]  # the reference is always there


def test_the_same_run_times_the_methods_of_the_paper_on_a_large_classifier(arguments, tmp_path):
    config = json.dumps({**CONFIG["speed"], "size": 64, "repeats": 2})
    few = arguments("--methods", "gradient,random", "--limit", "1", settings=(f"speed={config}",))
    assert main(few) == 0
    rows = {(row["method"], row["regularised"]): row for row in table(tmp_path / "out")}
    assert rows["proposed", "false"]["speed_ratio"] == "1"
    assert float(rows["gradient", "false"]["speed_ratio"]) > 0.5  # measured as 1.04, and noisy
    assert rows["random", "false"]["speed_ratio"] == rows["gradient", "true"]["speed_ratio"] == ""
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Time at 64 x 64, ResNet-50 classifier" in report
    [ratio] = [
        row["speed_ratio"]
        for row in json.loads((tmp_path / "out" / "results.json").read_text())["methods"]
        if row["method"] == "gradient" and not row["regularised"]
    ]
    kind = "faster" if ratio < 0.95 else "about as fast" if ratio < 1.05 else "slower"  # the machine's load decides
    assert f"the same for all data, next to proposed; {kind}: gradient (x " in report
    kept = (tmp_path / "out" / "speed.json").read_text()
    assert main(few) == 0
    assert (tmp_path / "out" / "speed.json").read_text() == kept  # not measured again


def test_the_same_run_measures_realism_on_the_whole_split_and_once(arguments, trained, tmp_path):
    space = {**CONFIG["realism"]["latent_space"], "epochs": 1}
    config = json.dumps({**CONFIG["realism"], "latent_space": space, "n_draws": 3})
    split = load_rsna(trained.dataset_dir)["test"]
    few = arguments("--methods", "naive,gradient,similar_residual", "--limit", "1", settings=(f"realism={config}",))
    assert main(few) == 0
    out = tmp_path / "out"
    realism = json.loads((out / "results.json").read_text())["realism"]
    assert realism["n_images"] == len(split) > len([item for item in split if item["boxes"]]) > 0
    assert [(row["towards"], row["row"]) for row in realism["rows"]] == [
        (towards, row)
        for towards in ("no", "yes")
        for row in ("real against real", "unchanged images", "proposed", "naive")
    ]
    with (out / "realism.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8
    assert "<h2>Realism</h2>" in (out / "report.html").read_text()
    kept = [(out / name).stat().st_mtime_ns for name in ("realism.json", "latent_space.pt")]
    assert main(few) == 0
    assert [(out / name).stat().st_mtime_ns for name in ("realism.json", "latent_space.pt")] == kept
    assert main(arguments(*few[few.index("--methods") : few.index("--limit")], "--limit", "1", "--overwrite")) == 0
    assert not list(out.glob("realism.*"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--methods", "gradcam,none"), "unknown method(s) none; known: proposed, naive, gradient"),
        (("--split", "training"), "belong to groups (patients) that were trained on"),
        (("--limit", "0"), "there is no image to compare"),
        (("--set", "seed"), "--set takes KEY=VALUE, got 'seed'"),
        (("--set", "model_dir=/none"), "no weights at /none/classifier.pt"),
        (("--dataset_dir", "/none"), "/none: no such folder"),
        (("--bundle", "/none"), "/none is not a bundle that can be compared: there is no /none/configs/evaluate.json"),
        (("--set", "image_size=[64,60]"), "does not fit the explainer or the classifier"),
        (("--set", f"realism={json.dumps(DEEP)}"), "spatial_shape must be two or three multiples of 128 for 7 levels"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2_before_anything_is_written(arguments, tmp_path, capsys, more, message):
    assert main(arguments(*more)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "out").exists()


def test_training_images_and_another_comparisons_folder_need_their_options(arguments, tmp_path, capsys):
    few = ("--methods", "random", "--limit", "1")
    assert main(arguments(*few)) == 0
    allowed = (*few, "--split", "training", "--allow-training-images")
    assert main(arguments(*allowed)) == 2
    assert "(different: first_image, images)" in capsys.readouterr().err
    assert main(arguments(*allowed, "--overwrite")) == 0
    assert "trained on: scores are too good" in (tmp_path / "out" / "report.html").read_text()


def test_networks_of_the_comparison_are_those_of_training():
    training = json.loads((BUNDLE / "configs" / "train_mask_generator.json").read_text())
    generator = json.loads(json.dumps(CONFIG["mask_generator_def"]["generator"]))
    # A copy: the weights file holds a classifier too, which must not become that of the other methods.
    assert generator["score"].pop("network") == "$copy.deepcopy(@frozen)"
    assert training["network_def#generator"]["score"].pop("network") == "@classifier"
    assert generator == training["network_def#generator"]
    assert CONFIG["mask_generator_def"]["_target_"] == training["network_def#_target_"]
    assert CONFIG["mask_generator_path"].endswith(f"/{training['model_filename']}'")


@pytest.mark.parametrize("bundle", sorted(BUNDLE.parent.glob("*_advexplain")), ids=lambda path: path.name)
@pytest.mark.parametrize("method", ["syce", "cyce"])
def test_syce_and_cyce_are_compared_as_they_are_trained(bundle, method):
    """The arguments of the network, its trunks and its heads; the gate is a copy of the classifier in both."""
    made = {}
    for name, files, id in (
        ("trained", ("train.json", f"train_{method}.json"), "network_def"),
        ("compared", CONFIGS, f"{method}_def"),
    ):
        parser = ConfigParser(ConfigParser.load_config_files([str(bundle / "configs" / file) for file in files]))
        parser.parse()
        network = parser[id]
        generator = parser["domain_generators"] if name == "compared" else network["generator"]
        assert generator.pop("gate")["_target_"].endswith("Frozen")
        network["rule"] = network.get("rule", "similar_adversarial")
        made[name] = {**network, "generator": generator}
    assert made["compared"] == made["trained"]


def test_weights_that_are_there_fill_the_rows_of_syce_cyce_and_realism(arguments, trained, tmp_path):
    models = Path(shutil.copytree(trained.model_dir, tmp_path / "models"))
    parser = ConfigParser(ConfigParser.load_config_files([str(BUNDLE / "configs" / f) for f in CONFIGS]))
    parser.update({"model_dir": str(models), "device": "cpu"})
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for name, id in {"syce": "syce_def", "cyce": "cyce_def", "realism": "network_def"}.items():
            network = parser.get_parsed_content(id)
            for parameter in network.parameters():
                if not parameter.any() and parameter.ndim > 1:
                    parameter.normal_(0.0, 0.3)
            torch.save(network.state_dict(), models / f"{name}.pt")
    few = ("--methods", "syce,cyce,realism", "--limit", "1")
    assert main(arguments(*few, settings=(f"model_dir={models}",))) == 0
    rows = table(tmp_path / "out")
    assert [row["method"] for row in rows] == [m for m in ("proposed", "syce", "cyce", "realism") for _ in range(2)]
    for row in rows:
        assert (row["error"], row["n_images"]) == ("", "1")
        assert (row["flip_rate"] != "") == (row["regularised"] == "false")  # averaged maps have no generated images
    assert len({row["auc_loc_total"] for row in rows}) == 8


def test_weights_of_a_mask_generator_do_not_replace_the_classifier_of_the_others(arguments, trained, tmp_path):
    models = Path(shutil.copytree(trained.model_dir, tmp_path / "models"))
    parser = ConfigParser(ConfigParser.load_config_files([str(BUNDLE / "configs" / f) for f in CONFIGS]))
    parser.update({"model_dir": str(models), "device": "cpu"})
    network = parser.get_parsed_content("mask_generator_def")
    other = {name: value + 0.01 for name, value in network.state_dict().items()}
    torch.save(other, models / "mask_generator.pt")
    few = ("--methods", "gradient", "--limit", "1")
    assert main(arguments(*few, settings=(f"model_dir={models}",))) == 0
    alone = json.loads((tmp_path / "out" / "results.json").read_text())
    both = ("--methods", "gradient,mask_generator", "--limit", "1", "--overwrite")
    assert main(arguments(*both, settings=(f"model_dir={models}",))) == 0
    together = json.loads((tmp_path / "out" / "results.json").read_text())
    assert together["methods"][-1]["n_images"] == 1
    assert together["settings"]["classifier"] == alone["settings"]["classifier"]
    assert together["images"][0]["probability"] == alone["images"][0]["probability"]
