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

"""What the MONAI model zoo checks of a bundle, offline; and the bundles in folders and processes that know no other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from configparser import ConfigParser as SetupConfig
from importlib.metadata import packages_distributions
from pathlib import Path

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle.properties import InferProperties, MetaProperties
from PIL import Image

import monai_advexplain
from monai_advexplain._version import __version__
from tests.bundles.untrained import BUNDLES, FLAT, untrained_copy

NAMES = sorted(path.parents[1].name for path in BUNDLES.glob("*/configs/inference.json"))
FILES = (
    "LICENSE",
    "docs/README.md",
    *(f"configs/{name}" for name in ("metadata.json", "inference.json", "train.json", "evaluate.json", "logging.conf")),
)
LARGEST = 25e6  # bytes of a file that the zoo takes; larger ones are named in large_files.yml
KEYS = {
    "inference": ("bundle_root", "device", "network_def", "inferer", "output_dir"),
    "train": (
        *("bundle_root", "device", "dataset_dir", "output_dir", "val_interval"),
        *(f"train#{key}" for key in ("dataset#data", "handlers", "inferer", "trainer#max_epochs")),
        *(f"validate#{key}" for key in ("dataset#data", "handlers", "inferer", "key_metric", "evaluator")),
    ),
}
OTHER_WRITERS = ("classification", "detection", "deepgrow", "deepedit")  # by which MONAI Label picks its writer
pytestmark = pytest.mark.parametrize("name", NAMES)


def config(name: str, *files: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(BUNDLES / name / "configs" / f"{file}.json") for file in files])
    return parser


def metadata(name: str) -> dict:
    return json.loads((BUNDLES / name / "configs" / "metadata.json").read_text())


def test_the_files_that_the_zoo_wants_are_there_and_the_name_picks_no_other_writer(name):
    assert [file for file in FILES if not (BUNDLES / name / file).is_file()] == []
    assert "Apache License" in (BUNDLES / name / "LICENSE").read_text()
    assert [word for word in OTHER_WRITERS if word in name] == []


def test_the_metadata_follow_the_schema_and_tell_of_this_version(name, schema):
    found = metadata(name)
    monai.bundle.verify_metadata(meta_file=str(BUNDLES / name / "configs" / "metadata.json"), filepath=str(schema))
    assert found["schema"].endswith(schema.name)
    assert found["version"] in found["changelog"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
    assert found["supported_apps"] == {}


def test_the_zoo_installs_the_versions_that_are_tested_here(name):
    """Its CI turns these entries into ``pip install NAME==VERSION``; ours proves those of the constraints."""
    found = metadata(name)
    wanted = {"monai": found["monai_version"], "torch": found["pytorch_version"], "numpy": found["numpy_version"]}
    wanted |= found["required_packages_version"]
    assert wanted.pop("monai_advexplain") == __version__
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)", (BUNDLES.parent / "constraints.txt").read_text(), re.M)[::-1])
    assert {package: pins.get(package) for package in wanted} == wanted


@pytest.mark.parametrize("file", KEYS)
def test_configs_have_the_keys_that_the_zoo_names(name, file):
    parser = config(name, file)
    assert [key for key in KEYS[file] if key not in parser] == []
    if file == "train":
        intervals = [h["interval"] for h in parser["train#handlers"] if h["_target_"] == "ValidationHandler"]
        assert intervals == ["@val_interval"]


def test_no_file_of_the_weights_is_larger_than_the_zoo_takes_or_it_is_named(name):
    parser = config(name, "inference")
    listed = BUNDLES / name / "large_files.yml"
    entries = ConfigParser.load_config_file(str(listed))["large_files"] if listed.is_file() else []
    for entry in entries:
        assert entry.keys() <= {"path", "url", "hash_val", "hash_type"}
        assert entry["url"].startswith("https://")
    for part, file in (("network", "model"), ("classifier", "classifier")):
        state = parser.get_parsed_content(f"{part}_def").state_dict()
        size = sum(value.numel() * value.element_size() for value in state.values())
        assert size < LARGEST or f"models/{file}.pt" in [entry["path"] for entry in entries]


def test_no_path_of_a_config_is_absolute(name):
    for path in (BUNDLES / name / "configs").iterdir():
        assert re.findall(r'"(/[^"]*)"', path.read_text().replace("'/", "")) == []


@pytest.fixture
def moved(name, tmp_path, monkeypatch) -> Path:
    """The bundle with weights and an image in another folder; the working directory is a third."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    root = untrained_copy(name, tmp_path / "else where")
    (root / "data").mkdir()
    dims = config(name, "inference")["network_def#spatial_dims"]
    pixels = np.random.default_rng(0).integers(0, 255, (70, 60) if dims == 2 else (40, 40, 40)).astype(np.uint8)
    if dims == 2:
        Image.fromarray(pixels).save(root / "data" / "image.png")
    else:
        nib.save(nib.Nifti1Image(pixels, np.eye(4)), root / "data" / "image.nii.gz")
    return root


def test_a_moved_bundle_passes_the_zoos_optional_checks(name, moved):
    configs, models = moved / "configs", moved / "models"
    files = {"meta_file": str(configs / "metadata.json"), "config_file": str(configs / "inference.json")}
    monai.bundle.verify_net_in_out("network_def", **files, bundle_root=str(moved))
    paths = {"filepath": str(models / "model.ts"), "ckpt_file": str(models / "model.pt")}
    monai.bundle.ckpt_export("network_def", **paths, **files, bundle_root=str(moved))
    flow = monai.bundle.create_workflow(
        workflow_type="inference", bundle_root=str(moved), logging_file=str(configs / "logging.conf"), **files
    )
    flow.properties = {**MetaProperties, **InferProperties}
    assert flow.check_properties() == []
    assert list(Path.cwd().iterdir()) == []


def test_monais_objects_of_a_moved_bundle_work(name, moved):
    explainer = monai_advexplain.load(moved, device="cpu")
    network = monai.bundle.load(name, bundle_dir=moved.parent, source="github", device="cpu").eval()
    size = json.loads((moved / "configs" / "inference.json").read_text())["image_size"]  # one window
    image = torch.rand(1, explainer.network.channels, *size, generator=torch.Generator().manual_seed(0))
    options = {"workflow_type": "inference", "logging_file": False, "bundle_root": str(moved)}
    flow = ConfigWorkflow(str(moved / "configs" / "inference.json"), **options)
    flow.initialize()
    with torch.no_grad():
        wanted = explainer.network(image)
        assert wanted.max() > 0.01
        for loaded in (network, flow.network_def.eval()):
            assert loaded(image).shape == wanted.shape
        torch.testing.assert_close(network(image), wanted)
        pair = flow.inferer(image, explainer.network)
    torch.testing.assert_close(explainer.network.explain(image, pair), wanted)


ONLY_WHAT_IS_REQUIRED = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None  # as if it were not installed
from monai.bundle import run
run("inferring", bundle_root=sys.argv[1], config_file=sys.argv[1] + "/configs/inference.json")
"""


def test_a_moved_bundle_explains_where_only_what_it_requires_is_installed(name, moved):
    setup = SetupConfig()
    setup.read(BUNDLES.parent / "setup.cfg")
    extras = set(re.findall(r"([\w-]+)>=", "\n".join(setup["options.extras_require"].values())))
    extras -= {"pyjpegls"}  # highdicom requires it
    absent = [module for module, packages in packages_distributions().items() if extras & set(packages)]
    assert {"onnx", "mlflow", "tensorboard", "jsonschema"} <= set(absent)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", ONLY_WHAT_IS_REQUIRED, ",".join(absent), moved],
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    folder = moved / "output" / "inference"
    (line,) = (json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines())
    assert Path(line["input"]).parent == moved / "data"
    assert (folder / line["explanation"]).is_file()
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.slow
def test_two_processes_train_one_network(name, moved, phantom_dir, tmp_path):
    """Each sees its half of the data; after every step their weights are the same, and they load as ever."""
    if name != FLAT[1]:
        pytest.skip("trained on the chest phantom; the other bundles' files say the same")
    configs = moved / "configs"
    keep = f"$torch.save(@plain_network.state_dict(), '{tmp_path}/rank' + str(dist.get_rank()) + '.pt')"
    seen = f"$open('{tmp_path}/rank' + str(dist.get_rank()) + '.txt', 'w').write(str(list(iter(@train#sampler))))"
    options = {
        "bundle_root": moved,
        "config_file": [str(configs / "train.json"), str(configs / "multi_gpu_train.json")],
        "dataset_dir": phantom_dir,
        "image_size": [64, 64],
        "epochs": 1,
        "val_interval": 1,
        "batch_size": 8,
        "training": ["$@train#trainer.run()", keep, seen],
    }
    arguments = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "monai.bundle"]
    done = subprocess.run(
        [sys.executable, *launch, "run", "training", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    learned = [key for key, _ in monai_advexplain.load(moved, device="cpu").network.named_parameters()]
    assert [key for key in learned if not torch.equal(first[key], second[key])] == []
    halves = [set(json.loads((tmp_path / f"rank{rank}.txt").read_text())) for rank in (0, 1)]
    assert halves[0]
    assert not halves[0] & halves[1]
    saved = torch.load(moved / "models" / "model.pt")
    assert [key for key in first if not torch.equal(saved[key], first[key])] == []


def test_only_the_first_process_reports_and_writes(name):
    """multi_gpu_train.json names handlers by their place in train.json."""
    parser = config(name, "train", "multi_gpu_train")
    alone = [
        handler["_target_"].split(".")[-1]
        for part in ("train", "validate")
        for handler in parser[f"{part}#handlers"]
        if "get_rank" in str(handler.get("_disabled_", ""))
    ]
    savers = ["AtomicCheckpointSaver", "AtomicCheckpointSaver"]
    assert alone == ["StatsHandler", "MLFlowHandler", "ProgressBar", *savers, "StatsHandler", "PictureGrid"]
