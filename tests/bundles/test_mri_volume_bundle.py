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

"""The volumetric bundle: the other bundles' configs in 3D, on head phantoms, from NIfTI to NIfTI."""

from __future__ import annotations

import csv
import json

import monai.bundle
import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

import monai_advexplain
from monai_advexplain.__main__ import main
from monai_advexplain.data import load_datalist, write_head_phantom
from tests.bundles.bundle_runs import BUNDLE as CHEST
from tests.bundles.bundle_runs import RUN_IDS, command, three_commands, workflow

BUNDLE = CHEST.parent / "mri_volume_advexplain"
CONFIGS = BUNDLE / "configs"
SMALL = {"image_size": [24, 24, 24]}


@pytest.fixture(scope="module")
def head_dir(tmp_path_factory):
    return write_head_phantom(tmp_path_factory.mktemp("heads") / "data", n_volumes=40, size=20, progress=False)


@pytest.fixture(scope="module")
def volume(head_dir, tmp_path_factory):
    """Folders that the three commands left behind."""
    return three_commands(tmp_path_factory.mktemp("volume"), head_dir, BUNDLE, SMALL)


def test_the_three_commands_measure_every_method_on_the_masked_volumes_of_the_test_split(volume):
    metrics = json.loads((volume["output_dir"] / "eval" / "metrics.json").read_text())
    assert metrics["n_images"] == len(load_datalist(volume["dataset_dir"])["test"])
    assert set(metrics["auc_loc"]) == {"proposed", "naive", "gradient", "random"}
    assert all(0 < area["total"] < 1 for area in metrics["auc_loc"].values())


@pytest.mark.parametrize("config", RUN_IDS)
def test_no_property_that_monai_requires_is_missing(config, volume):
    options = {"dataset_dir": volume["dataset_dir"], "model_dir": volume["model_dir"]}
    flow = workflow(config, RUN_IDS[config][1], root=BUNDLE, **SMALL, **options)
    flow.initialize()
    assert flow.check_properties() == []


def test_metadata_follow_monais_schema_and_the_network(schema):
    monai.bundle.verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=str(schema))
    files = (str(CONFIGS / f"{name}.json") for name in ("metadata", "inference"))
    monai.bundle.verify_net_in_out("network_def", *files, device="cpu", n=3)


def test_networks_and_classifiers_of_all_configs_are_the_same():
    training, *others = (json.loads((CONFIGS / f"{n}.json").read_text()) for n in ("train", "evaluate", "inference"))
    for other in others:
        assert other["network_def"] == training["network_def"]
        assert other["classifier_def"] == training["classifier_def"]
        assert other["image_size"] == training["image_size"]
    classifier = json.loads((CONFIGS / "train_classifier.json").read_text())
    assert classifier["network_def"] == training["classifier_def"]
    mask = json.loads((CONFIGS / "train_mask_generator.json").read_text())["network_def#generator"]
    assert mask["trunk"] == {**training["network_def"]["generator"]["trunk"], "in_channels": 2}


def test_the_naive_method_has_the_weights_of_the_proposed_one():
    proposed, naive = (json.loads((CONFIGS / f"{n}.json").read_text())["loss"] for n in ("train", "train_naive"))
    wanted = dict(proposed["weights"])
    wanted["image_adversarial"] = wanted.pop("similar_adversarial")
    del wanted["preservation"], wanted["reinforcement"], wanted["image_similar"]
    assert naive["weights"] == wanted


def test_the_gate_is_the_classifier_and_does_not_follow_the_classifier_file(volume):
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "inference.json"))
    parser["model_dir"] = str(volume["model_dir"])
    network, classifier = (parser.get_parsed_content(name) for name in ("network", "classifier"))
    gate = network.generator.gate.network
    assert gate is not classifier
    pairs = zip(gate.state_dict().items(), classifier.state_dict().items(), strict=True)
    assert all(name == other and torch.equal(a, b) for (name, a), (other, b) in pairs)


@pytest.mark.parametrize("resize", [True, False])
def test_the_map_of_a_volume_lies_in_its_own_grid_whatever_its_orientation_and_spacing(volume, tmp_path, resize):
    affine = np.array([[0, 0, 2.0, -20], [-1.5, 0, 0, 10], [0, 1.0, 0, 5], [0, 0, 0, 1]])  # PSR, anisotropic
    values = np.random.default_rng(0).random((22, 34, 18)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "volume.nii.gz")
    done = command(
        "inferring",
        "inference",
        BUNDLE,
        **SMALL,
        resize=resize,
        model_dir=volume["model_dir"],
        output_dir=tmp_path / "out",
        input=tmp_path / "volume.nii.gz",
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    (map_file,) = (tmp_path / "out").glob("*_explanation.nii.gz")
    explanation = nibabel.load(map_file)
    assert explanation.shape == values.shape
    np.testing.assert_allclose(explanation.affine, affine, atol=1e-5)
    assert (explanation.get_fdata() > 0).mean() > 0.5


def test_a_flat_image_is_refused_saying_what_was_found(volume, tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.ones((22, 34), dtype=np.float32), np.eye(4)), tmp_path / "flat.nii.gz")
    explainer = monai_advexplain.load(BUNDLE, model_dir=str(volume["model_dir"]), device="cpu", **SMALL)
    with pytest.raises(Exception, match=r"flat\.nii\.gz.*2"):
        explainer(tmp_path / "flat.nii.gz")


def test_the_methods_are_compared_in_3d(volume, tmp_path):
    quick = {**SMALL, "realism#latent_space#epochs": 1, "realism#n_draws": 3}
    settings = [f"--set={name}={json.dumps(value)}" for name, value in quick.items()]
    arguments = ["--bundle", BUNDLE, "--dataset_dir", volume["dataset_dir"], "--output", tmp_path, "--n", 1]
    chosen = ["--methods", "naive,gradient,gradcam", "--limit", "2", f"--set=model_dir={volume['model_dir']}"]
    assert main(["compare", *map(str, arguments), *chosen, *settings]) == 0
    with (tmp_path / "table.csv").open() as file:
        rows = {(row["method"], row["regularised"]): row for row in csv.DictReader(file)}
    assert len(rows) == 8
    assert {row["n_masked"] for row in rows.values()} == {"2"}
    assert (tmp_path / "report.html").stat().st_size > 10_000
    realism = json.loads((tmp_path / "results.json").read_text())["realism"]
    assert realism["n_images"] == len(load_datalist(volume["dataset_dir"])["test"])
    assert {row["row"] for row in realism["rows"]} == {"real against real", "unchanged images", "proposed", "naive"}
    assert {len(points[0]) for points in realism["points"].values()} == {2}
