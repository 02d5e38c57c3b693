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

"""A classifier of several outputs, from its training to the comparison, by nothing but entries of a bundle's JSON."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
import torch

from monai_advexplain.__main__ import main
from monai_advexplain.data import load_datalist, write_shapes_phantom
from tests.bundles.bundle_runs import BUNDLE as CHEST
from tests.bundles.bundle_runs import SMALL, command

BUNDLE = CHEST.parent / "brain_mri_advexplain"
CROSS_ENTROPY = {"_target_": "torch.nn.CrossEntropyLoss"}
CASES = {  # multi-label data?, outputs, the classifier's further entries, the decision
    "softmax": (False, 3, {"loss": CROSS_ENTROPY}, {"decision#head": "softmax", "decision#index": 2}),
    "multilabel": (True, 2, {}, {"decision#head": "multilabel", "decision#index": 1}),
}


@pytest.fixture(scope="module", params=CASES)
def explained(request, tmp_path_factory):
    """What the three commands left behind, and the entries with which they ran."""
    multi_label, outputs, classifier, decision = CASES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    data = write_shapes_phantom(folder / "data", 36, 64, multi_label=multi_label, progress=False)
    folders = {"dataset_dir": data, "model_dir": folder / "models", "output_dir": folder / "output"}
    about = {"classifier_def#num_classes": outputs, **decision}
    for run_id, config, options in (
        (
            "training",
            "train_classifier",
            {"epochs": 1, "val_interval": 1, "network_def#num_classes": outputs, **classifier},
        ),
        ("training", "train", {"epochs": 1, "val_interval": 1, **about}),
        ("evaluating", "evaluate", {"n_pictures": 2, **about}),
    ):
        done = command(run_id, config, BUNDLE, **SMALL, **folders, **options)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return request.param, folders, about


def test_the_classifier_has_its_outputs_and_the_evaluation_counts_the_class_explained(explained):
    kind, folders, about = explained
    weights = torch.load(folders["model_dir"] / "classifier.pt", weights_only=True)
    assert len(weights["fc.bias"]) == CASES[kind][1]
    metrics = json.loads((folders["output_dir"] / "eval" / "metrics.json").read_text())
    items = load_datalist(folders["dataset_dir"])["test"]
    index = about["decision#index"]
    positives = [item["label"] == index if kind == "softmax" else item["label"][index] for item in items]
    assert metrics["n_images"] == len(items)
    assert 0 < sum(positives) < len(items)
    assert 0 <= metrics["classifier_auc"] <= 1
    assert all(0 < area["total"] < 1 for area in metrics["auc_loc"].values())


def test_methods_are_compared_on_the_images_of_the_class_explained(explained, tmp_path):
    kind, folders, about = explained
    settings = [f"--set={name}={json.dumps(value)}" for name, value in {**SMALL, **about}.items()]
    settings += [f"--set=model_dir={folders['model_dir']}", "--set=speed=null", "--set=n_resamples=20"]
    arguments = ["--bundle", BUNDLE, "--dataset_dir", folders["dataset_dir"], "--output", tmp_path, "--n", 1]
    fast = ("bbmp#iterations=2", "rise#n_masks=8", "occlusion#window=0.25", "occlusion#stride=0.25")
    quick = [f"--set=methods#{entry}" for entry in fast]
    assert main(["compare", *map(str, arguments), *settings, *quick]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    index, items = about["decision#index"], load_datalist(folders["dataset_dir"])["test"]
    wanted = [item["id"] for item in items if (item["label"] == index if kind == "softmax" else item["label"][index])]
    assert [
        row["id"] for row in results["images"] if (row["method"], row["regularised"]) == ("gradient", False)
    ] == wanted
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    ran = {row["method"] for row in rows if not row["error"]}
    without_weights = {"mask_generator", "syce", "cyce", "realism", "supervised"}
    assert ran == {row["method"] for row in rows} - without_weights


def test_an_image_is_explained_for_the_class_by_the_command(explained, tmp_path):
    _, folders, about = explained
    settings = [f"--set={name}={json.dumps(value)}" for name, value in {**SMALL, **about}.items()]
    image = sorted((folders["dataset_dir"] / "images").iterdir())[0]
    arguments = ["explain", str(image), "--bundle", str(BUNDLE), "--output", str(tmp_path), "--formats", "nifti"]
    assert main([*arguments, f"--set=model_dir={folders['model_dir']}", *settings]) == 0
    assert list(tmp_path.glob("*_explanation.nii.gz"))


@pytest.mark.parametrize(("base", "method"), [("train_classifier", "supervised"), ("train", "mask_generator")])
def test_other_methods_train_for_the_class_too(base, method, explained, tmp_path):
    _, folders, about = explained
    models = shutil.copytree(folders["model_dir"], tmp_path / "models")
    done = command(
        "training",
        base,
        BUNDLE,
        **SMALL,
        **{name: value for name, value in about.items() if base == "train" or name.startswith("decision")},
        config_file=str([str(BUNDLE / "configs" / f"{name}.json") for name in (base, f"train_{method}")]),
        dataset_dir=folders["dataset_dir"],
        model_dir=models,
        output_dir=tmp_path / "output",
        epochs=1,
        val_interval=1,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert (models / f"{method}.pt").is_file()
