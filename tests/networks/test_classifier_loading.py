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

"""A classifier from anywhere: only the entry ``classifier`` of the chest bundle's real configs is another."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, init_bundle
from monai.networks.nets import DenseNet
from monai.utils import set_determinism

from monai_advexplain.networks import load_classifier
from tests.small import assert_unchanged, classifier, snapshot

CONFIGS = Path(__file__).parents[2] / "bundles" / "chest_xray_advexplain" / "configs"
LOAD = "monai_advexplain.networks.load_classifier"
ADAPT = "monai_advexplain.networks.AdaptedClassifier"
NETS = """
import torch
from torch import nn

class RGBNet(nn.Module):
    def __init__(self, num_classes=1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(self.bn1(self.conv1(x)).relu().mean((2, 3)))

def pretrained(seed):
    torch.manual_seed(seed)
    return RGBNet(1)
"""
DENSENET = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "init_features": 8, "growth_rate": 4,
            "block_config": [1, 1]}  # fmt: skip


@pytest.fixture(autouse=True)
def restored():
    """The configs seed the process, and bundles add to the path; other tests must not notice."""
    threads, state, path = torch.get_num_threads(), torch.get_rng_state(), list(sys.path)
    torch.set_num_threads(1)
    yield
    set_determinism(None)
    torch.set_num_threads(threads)
    torch.set_rng_state(state)
    sys.path[:] = path


@pytest.fixture
def nets(tmp_path, monkeypatch) -> str:
    """The name of an importable module of networks, as torchvision and timm are."""
    (tmp_path / "their_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    yield "their_nets"
    sys.modules.pop("their_nets", None)


def write_bundle(folder: Path) -> Path:
    """A bundle of the model zoo's layout with a small DenseNet."""
    init_bundle(
        folder,
        network=DenseNet(**DENSENET),
        inference_str={
            "imports": ["$import os"],
            "growth": "$len(os.sep) * 4",
            "network_def": {"_target_": "DenseNet", **DENSENET, "growth_rate": "@growth"},
        },
    )
    return folder


def torchscript(folder, nets):
    torch.jit.script(classifier()).save(folder / "classifier.ts")
    return {"_target_": LOAD, "path": str(folder / "classifier.ts")}


def exported(folder, nets):
    """A program of one size, behind an adapter."""
    program = torch.export.export(
        classifier(channels=3), (torch.rand(2, 3, 40, 48),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    )
    torch.export.save(program, folder / "classifier.pt2")
    network = {"_target_": LOAD, "path": str(folder / "classifier.pt2")}
    return {"_target_": ADAPT, "network": network, "channels": 3, "size": [40, 48], "reverse_axes": True}


def state_dict(folder, nets):
    """RGB, with ImageNet's normalisation, from a checkpoint with more in it."""
    from their_nets import RGBNet

    torch.save({"state_dict": RGBNet(1).state_dict(), "epoch": 3}, folder / "weights.pth")
    network = {"_target_": LOAD, "path": str(folder / "weights.pth"),
               "network": {"_target_": f"{nets}.RGBNet", "num_classes": 1}}  # fmt: skip
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    return {"_target_": ADAPT, "network": network, "channels": 3, "mean": mean, "std": std}


def bundle(folder, nets):
    return {"_target_": LOAD, "path": str(write_bundle(folder / "zoo_bundle"))}


def import_path(folder, nets):
    return {"_target_": ADAPT, "network": {"_target_": f"{nets}.pretrained", "seed": 1}, "channels": 3}


@pytest.mark.parametrize("make", [torchscript, exported, state_dict, bundle, import_path])
def test_the_explainer_is_trained_and_the_gradient_shown_when_only_the_entries_change(
    make, phantom_dir, tmp_path, nets
):
    entry = tmp_path / "classifier.json"
    entry.write_text(json.dumps({"classifier": make(tmp_path, nets), "gate_network": "$copy.deepcopy(@classifier)"}))
    paths = {"bundle_root": str(CONFIGS.parent), "dataset_dir": str(phantom_dir), "model_dir": str(tmp_path / "models")}
    small = {"image_size": [64, 64], "output_dir": str(tmp_path / "output"), "device": "cpu"}

    # training: one epoch of four steps
    few = {"epochs": 1, "batch_size": 2, "val_interval": 9, "tensorboard": False}
    few |= {"train#dataset#data": "$@splits['training'][:8]"}
    training = workflow("train", entry, "train", **paths, **small, **few)
    training.initialize()
    explained = training.parser.get_parsed_content("classifier")
    before = snapshot(explained)
    training.run()
    assert training.parser.get_parsed_content("train#trainer").state.iteration == 4
    assert (tmp_path / "models" / "model.pt").is_file()
    assert not any(before[1]), "not in eval mode"
    assert not any(before[2]), "not frozen"
    assert_unchanged(explained, before)

    # evaluation: its gradient explainer has a map of the image's own size
    explainer = workflow("evaluate", entry, "inference", **paths, **small).parser.get_parsed_content(
        "explainers#gradient"
    )
    maps = explainer(torch.rand(2, 1, 64, 64))
    assert maps.shape == (2, 1, 64, 64)
    assert maps.std() > 0


def workflow(config: str, entry: Path, kind: str, **overrides) -> ConfigWorkflow:
    """A real config of the bundle with the user's file after it, as a list of config files does it."""
    return ConfigWorkflow([str(CONFIGS / f"{config}.json"), str(entry)], workflow_type=kind, logging_file=False,
                          meta_file=str(CONFIGS / "metadata.json"), **overrides)  # fmt: skip


# The folder of a bundle, in all its forms.

IMAGES = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def zoo(tmp_path) -> Path:
    return write_bundle(tmp_path / "zoo")


def logits_of(folder: Path) -> torch.Tensor:
    """What the bundle's network with the bundle's weights says, without this package."""
    network = DenseNet(**DENSENET).eval()
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    return network(IMAGES)


def test_a_bundle_is_its_network_def_with_its_weights(zoo):
    loaded = load_classifier(zoo)
    torch.testing.assert_close(loaded(IMAGES), logits_of(zoo))
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_a_bundle_may_have_yaml_a_train_config_alone_and_networks_of_its_own(zoo):
    (zoo / "own_scripts").mkdir()
    (zoo / "own_scripts" / "__init__.py").write_text("")
    (zoo / "own_scripts" / "net.py").write_text("from monai.networks.nets import DenseNet as OwnNet")
    (zoo / "configs" / "inference.json").unlink()
    (zoo / "configs" / "metadata.json").unlink()
    config = {"network_def": {"_target_": "own_scripts.net.OwnNet", **DENSENET}}
    ConfigParser.export_config_file(config, str(zoo / "configs" / "train.yaml"), fmt="yaml")
    before = list(sys.path)
    torch.testing.assert_close(load_classifier(zoo)(IMAGES), logits_of(zoo))
    assert sys.path == before


def test_a_bundle_may_come_as_torchscript_alone(zoo):
    wanted = logits_of(zoo)
    torch.jit.trace(load_classifier(zoo), IMAGES).save(zoo / "models" / "model.ts")
    (zoo / "models" / "model.pt").unlink()
    assert torch.allclose(load_classifier(zoo)(IMAGES), wanted, atol=1e-6)


def test_a_network_given_takes_the_weights_of_the_bundle(zoo):
    (zoo / "configs" / "inference.json").unlink()
    torch.testing.assert_close(load_classifier(zoo, DenseNet(**DENSENET))(IMAGES), logits_of(zoo))


def spoil(zoo: Path, what: str) -> None:
    config = zoo / "configs" / "inference.json"
    if what == "weights":
        (zoo / "models" / "model.pt").unlink()
    elif what == "config":
        config.unlink()
    else:
        other = {"_target_": "DenseNet", **DENSENET, "init_features": 9}
        entry = {"no class": {"_target_": "nowhere.Net"}, "no network": [1], "another": other}.get(what)
        config.write_text(json.dumps({} if entry is None else {"network_def": entry}))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("weights", r"no weights in the bundle .*zoo: wanted models/model\.pt or models/model\.ts"),
        ("config", r"no config in the bundle .*zoo: wanted configs/inference\.json"),
        ("no entry", r"inference\.json has no entry network_def"),
        ("no class", r"network_def in .*inference\.json cannot be built: .*nowhere"),
        ("no network", r"network_def in .*inference\.json is a list, wanted a network"),
        (
            "another",
            r"the weights in .*model\.pt do not fit DenseNet: .*has shape \(8, 1, 7, 7\), wanted \(9, 1",
        ),
    ],
)
def test_what_a_bundle_lacks_is_named_in_one_line(zoo, what, message):
    spoil(zoo, what)
    with pytest.raises((FileNotFoundError, ValueError), match=message) as error:
        load_classifier(zoo)
    assert "\n" not in str(error.value)
