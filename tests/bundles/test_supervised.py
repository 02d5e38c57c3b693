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

"""The ceiling: a segmentation network trained by a config laid over ``train_classifier.json``, and its row."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from monai_advexplain.__main__ import main
from tests.bundles.bundle_runs import BUNDLE, SMALL, command

BUNDLES = pytest.mark.parametrize("name", ["brain_mri_advexplain", "chest_xray_advexplain", "mri_volume_advexplain"])


def test_one_command_trains_the_ceiling_and_the_comparison_tells_the_share_of_it(trained, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(trained.model_dir, models)
    configs = BUNDLE / "configs"
    done = command(
        "training",
        "train_classifier",
        **SMALL,
        config_file=str([str(configs / f"train_{name}.json") for name in ("classifier", "supervised")]),
        dataset_dir=trained.dataset_dir,
        model_dir=models,
        output_dir=tmp_path / "output",
        epochs=1,
        val_interval=1,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "val_dice" in done.stdout + done.stderr
    assert (models / "classifier.pt").read_bytes() == (trained.model_dir / "classifier.pt").read_bytes()
    assert [path.name for path in (tmp_path / "output").iterdir()] == ["train_supervised"]

    options = [f"model_dir={models}", f"image_size={SMALL['image_size']}", "speed=null", "n_resamples=50"]
    arguments = ["--bundle", BUNDLE, "--dataset_dir", trained.dataset_dir, "--output", tmp_path / "out", "--n", 1]
    chosen = ["--methods", "gradient,supervised", "--limit", "3", *(f"--set={option}" for option in options)]
    assert main(["compare", *map(str, arguments), *chosen]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["settings"]["ceiling"] == results["ceiling"]["method"] == "supervised"
    assert [share["regularised"] for share in results["ceiling"]["shares"]] == [False, True]
    assert all(share["share"] > 0 for share in results["ceiling"]["shares"])
    with (tmp_path / "out" / "table.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "supervised"]
    assert [(row["difference"], row["p_value_holm"], row["error"]) for row in rows] == [("", "", "")] * 2
    assert rows[0]["note"].endswith("the ceiling, not an explanation")


@BUNDLES
def test_the_network_of_the_comparison_is_that_of_training(name):
    configs = BUNDLE.parent / name / "configs"
    training, comparing = (
        json.loads((configs / f"{file}.json").read_text()) for file in ("train_supervised", "compare")
    )
    assert comparing["supervised_def"] == training["network_def"]
    assert comparing["supervised_path"].endswith(f"/{training['task']}.pt'")


@BUNDLES
def test_images_and_masks_are_turned_together(name):
    configs = BUNDLE.parent / name / "configs"
    base, over = (json.loads((configs / f"train_{file}.json").read_text()) for file in ("classifier", "supervised"))
    for index, transform in enumerate(base["train"]["random_transforms"]):
        moves = transform["_target_"] in ("RandFlipd", "RandAffined")
        assert over.get(f"train#random_transforms#{index}#keys", "image") == (["image", "label"] if moves else "image")
