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

"""The brain MRI bundle: the chest bundle's configs on a MONAI datalist of JPEG images and masks."""

from __future__ import annotations

import csv
import json

import monai.bundle
import numpy as np
import pytest
from PIL import Image

from monai_advexplain.__main__ import main
from tests.bundles.bundle_runs import BUNDLE as CHEST
from tests.bundles.bundle_runs import RUN_IDS, SMALL, three_commands, workflow

BUNDLE = CHEST.parent / "brain_mri_advexplain"
CONFIGS = BUNDLE / "configs"


@pytest.fixture(scope="module")
def datalist_dir(tmp_path_factory):
    """Grey slices, half of them with a bright spot and its mask, two of each group."""
    folder = tmp_path_factory.mktemp("datalist")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    random = np.random.default_rng(0)
    sections = {}
    for section, n in (("training", 16), ("validation", 8), ("test", 8)):
        sections[section] = []
        for i in range(n):
            slice_, mask, label = random.integers(40, 90, (64, 64)), np.zeros((64, 64)), i % 2
            if label:
                x, y = random.integers(8, 48, 2)
                slice_[x : x + 10, y : y + 10], mask[x : x + 10, y : y + 10] = 220, 255
            name = f"{section}_{i}"
            Image.fromarray(slice_.astype(np.uint8)).save(folder / "images" / f"{name}.jpg")
            Image.fromarray(mask.astype(np.uint8)).save(folder / "masks" / f"{name}.png")
            item = {"image": f"images/{name}.jpg", "label": label, "group": f"{section} {i // 2}"}
            sections[section].append(item | ({"mask": f"masks/{name}.png"} if label else {}))
    (folder / "datalist.json").write_text(json.dumps(sections))
    return folder


@pytest.fixture(scope="module")
def brain(datalist_dir, tmp_path_factory):
    """Folders that the three commands left behind."""
    return three_commands(tmp_path_factory.mktemp("brain"), datalist_dir, BUNDLE)


def test_the_three_commands_measure_every_method_on_the_masked_images_of_the_test_split(brain):
    metrics = json.loads((brain["output_dir"] / "eval" / "metrics.json").read_text())
    assert metrics["n_images"] == 8
    assert set(metrics["auc_loc"]) == {"proposed", "naive", "gradient", "random"}
    assert all(0 < area["total"] < 1 for area in metrics["auc_loc"].values())


@pytest.mark.parametrize("config", RUN_IDS)
def test_no_property_that_monai_requires_is_missing(config, brain):
    options = {"dataset_dir": brain["dataset_dir"], "model_dir": brain["model_dir"]}
    flow = workflow(config, RUN_IDS[config][1], root=BUNDLE, **SMALL, **options)
    flow.initialize()
    assert flow.check_properties() == []


def test_metadata_follow_monais_schema_and_the_network(schema):
    monai.bundle.verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=str(schema))
    files = (str(CONFIGS / f"{name}.json") for name in ("metadata", "inference"))
    monai.bundle.verify_net_in_out("network_def", *files, device="cpu", n=1)


def test_networks_and_classifiers_of_all_configs_are_the_same():
    training, *others = (json.loads((CONFIGS / f"{n}.json").read_text()) for n in ("train", "evaluate", "inference"))
    for other in others:
        assert other["network_def"] == training["network_def"]
        assert other["classifier_def"] == training["classifier_def"]
        assert other["image_size"] == training["image_size"]


def test_the_methods_are_compared_on_masks_too(brain, tmp_path):
    settings = [f"--set={name}={json.dumps(value)}" for name, value in SMALL.items()]
    arguments = ["--bundle", BUNDLE, "--dataset_dir", brain["dataset_dir"], "--output", tmp_path, "--n", 1]
    chosen = ["--methods", "naive,gradient,mask_generator", f"--set=model_dir={brain['model_dir']}"]
    assert main(["compare", *map(str, arguments), *chosen, *settings]) == 0
    with (tmp_path / "table.csv").open() as file:
        rows = {(row["method"], row["regularised"]): row for row in csv.DictReader(file)}
    assert len(rows) == 8
    proposed = next(row for (method, _), row in rows.items() if method == "proposed")
    assert proposed["n_masked"] == "4"
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert "mask_generator.pt" in json.dumps(json.loads((tmp_path / "results.json").read_text()))
