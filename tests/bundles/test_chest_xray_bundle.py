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

"""The chest radiograph bundle: what MONAI checks of it, what its commands leave, what its configs let one change."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import monai.bundle
import pytest
import torch
from ignite.engine import Events
from monai.utils import set_determinism
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_advexplain.losses import Area, DecisionReinforcement, Distance
from monai_advexplain.losses.recipes import RECIPES
from monai_advexplain.networks import ExplainerNet
from tests.bundles.bundle_runs import BUNDLE, RUN_IDS, SMALL, command, messages, run, workflow

CONFIGS = BUNDLE / "configs"
METHODS = {"proposed", "naive", "gradient", "random"}


@pytest.mark.parametrize("config", RUN_IDS)
def test_no_property_that_monai_requires_is_missing(config, trained):
    flow = workflow(config, RUN_IDS[config][1], dataset_dir=trained.dataset_dir, **trained.options)
    flow.initialize()
    assert flow.check_properties() == []


@pytest.mark.parametrize("config", RUN_IDS)
def test_the_command_works_with_and_without_the_name_of_what_is_run(config):
    content = json.loads((CONFIGS / f"{config}.json").read_text())
    assert content["run"] == content[RUN_IDS[config][0]] != []


def test_metadata_follow_monais_schema(schema):
    monai.bundle.verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=str(schema))


def test_metadata_without_a_version_do_not_follow_monais_schema(schema, tmp_path):
    metadata = json.loads((CONFIGS / "metadata.json").read_text())
    del metadata["version"]
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="'version' is a required property"):
        monai.bundle.verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(schema))


def verify_network(**overrides):
    meta, config = (str(CONFIGS / f"{name}.json") for name in ("metadata", "inference"))
    monai.bundle.verify_net_in_out("network_def", meta, config, device="cpu", n=3, **overrides)


def test_the_network_takes_and_gives_what_the_metadata_say():
    verify_network()


def test_a_network_of_more_channels_than_the_metadata_say_is_noticed():
    with pytest.raises(ValueError, match="1 channel"):
        verify_network(**{"_meta_#network_data_format#inputs#image#num_channels": 3})


def test_networks_of_training_evaluation_and_inference_are_the_same():
    contents = {name: json.loads((CONFIGS / f"{name}.json").read_text()) for name in RUN_IDS}
    for name in ("evaluate", "inference"):
        assert contents[name]["network_def"] == contents["train"]["network_def"]
        assert contents[name]["classifier_def"] == contents["train_classifier"]["network_def"]
    assert contents["train"]["classifier_def"] == contents["train_classifier"]["network_def"]


def test_training_leaves_flat_state_dicts_and_checkpoints_to_resume_from(trained):
    for name in ("classifier.pt", "model.pt"):
        state = torch.load(trained.model_dir / name, weights_only=True)
        assert len(state) > 10
        assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert sorted(path.name for path in trained.model_dir.iterdir()) == ["classifier.pt", "model.pt"]
    assert [path.name for path in (trained.output_dir / "train_classifier").glob("*.pt")] == ["checkpoint_epoch=1.pt"]
    checkpoints = list((trained.output_dir / "train").glob("*.pt"))
    assert [path.name for path in checkpoints] == ["checkpoint_epoch=2.pt"]
    assert set(torch.load(checkpoints[0])) == {"model", "optimizer", "lr_scheduler", "trainer"}


def test_training_and_evaluation_leave_pictures(trained):
    for path in ("train/pictures/epoch_002.png", "eval/pictures.png"):
        with Image.open(trained.output_dir / path) as picture:
            assert min(picture.size) > 100
            assert picture.convert("L").getextrema() != (255, 255)


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_evaluation_leaves_the_metrics_as_strict_json(trained):
    metrics = json.loads((trained.output_dir / "eval" / "metrics.json").read_text(), parse_constant=refuse)
    assert metrics["n_images"] == 10
    for name in ("classifier_auc", "flip_rate", "preservation_rate"):
        assert 0.0 <= metrics[name] <= 1.0
    assert set(metrics["auc_loc"]) == METHODS
    for values in metrics["auc_loc"].values():
        assert 0.0 < values["partial"] <= values["total"] <= 1.0
    assert set(metrics["ms_per_image"]) == METHODS


class StoppedError(Exception):
    """A run that someone stopped."""


def stop():
    raise StoppedError


def test_training_that_was_stopped_and_resumed_ends_as_training_that_was_not(trained, tmp_path):
    shutil.copytree(trained.model_dir, tmp_path / "models", ignore=shutil.ignore_patterns("model.pt"))
    options = {
        **SMALL,
        "dataset_dir": trained.dataset_dir,
        "model_dir": tmp_path / "models",
        "output_dir": tmp_path / "output",
        "epochs": 2,
        "val_interval": 2,
    }
    first = workflow("train", **options)
    first.initialize()
    first.parser.get_parsed_content("classifier")  # as the run does, which then seeds and builds the network
    set_determinism(seed=0)
    trainer = first.parser.get_parsed_content("train#trainer")
    trainer.add_event_handler(Events.EPOCH_STARTED(once=2), stop)
    with pytest.raises(RuntimeError) as stopped:
        first.run()
    assert isinstance(stopped.value.__cause__, StoppedError)
    assert (tmp_path / "output" / "train" / "checkpoint_epoch=1.pt").is_file()

    second = workflow("train", **options, resume=True)
    second.initialize()
    epochs = []
    trainer = second.parser.get_parsed_content("train#trainer")
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: epochs.append(engine.state.epoch))
    second.run()
    assert epochs == [2]
    resumed, whole = (
        torch.load(folder / "model.pt", weights_only=True) for folder in (tmp_path / "models", trained.model_dir)
    )
    torch.testing.assert_close(resumed, whole)


@pytest.fixture
def torchscript(trained, tmp_path) -> Path:
    """The trained classifier as a TorchScript file."""
    classifier = workflow("evaluate", "inference", **trained.options).parser.get_parsed_content("classifier")
    torch.jit.script(classifier).save(tmp_path / "classifier.ts")
    return tmp_path / "classifier.ts"


@pytest.mark.parametrize("nothing", [None, "$None"], ids=str)  # only the second gets through MONAI's command line
def test_the_classifier_may_be_a_torchscript_file(trained, torchscript, tmp_path, nothing):
    options = {**trained.options, "dataset_dir": trained.dataset_dir, "output_dir": tmp_path, "n_pictures": 0}
    run("evaluate", "inference", **options, classifier_path=torchscript, classifier_def=nothing)
    scripted, defined = (
        json.loads((folder / "eval" / "metrics.json").read_text()) for folder in (tmp_path, trained.output_dir)
    )
    assert scripted["classifier_auc"] == pytest.approx(defined["classifier_auc"])
    assert scripted["auc_loc"]["gradient"]["total"] == pytest.approx(defined["auc_loc"]["gradient"]["total"], rel=1e-3)


def test_the_command_trains_against_a_torchscript_file_and_with_other_weights(trained, torchscript, tmp_path):
    done = command(
        "",
        "train",
        **SMALL,
        **{"loss#weights#flip": 3, "loss#weights#sparsity": 0.25},
        dataset_dir=trained.dataset_dir,
        model_dir=tmp_path / "models",
        output_dir=tmp_path / "output",
        classifier_path=torchscript,
        classifier_def="$None",
        epochs=1,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / "models" / "model.pt").is_file()
    scalars = EventAccumulator(str(tmp_path / "output" / "train" / "tensorboard")).Reload().Tags()["scalars"]
    assert {"loss", "loss/flip", "loss/sparsity"} <= set(scalars)


@pytest.mark.parametrize("name", RECIPES["similar_adversarial"])
def test_every_loss_weight_can_be_overridden(name):
    flow = workflow("train", **{f"loss#weights#{name}": 3})
    assert flow.parser.get_parsed_content("loss").terms[name].weight == 3.0


@pytest.mark.parametrize("bundle", sorted(BUNDLE.parent.glob("*_advexplain")), ids=lambda path: path.name)
def test_terms_are_set_and_added_in_a_bundles_config_one_at_a_time(bundle):
    flow = workflow(
        "train",
        root=bundle,
        **{
            "loss#terms#reinforcement#gain": 1.5,
            "loss#terms#similar_adversarial#norm": "l1",
            "loss#terms#brightness": {"_target_": "monai_advexplain.losses.Area", "image": "similar"},
            "loss#weights#brightness": 2.0,
        },
    )
    terms = flow.parser.get_parsed_content("loss").terms
    assert terms["reinforcement"].term == DecisionReinforcement("similar", gain=1.5)
    assert terms["similar_adversarial"].term == Distance("similar", "adversarial", "l1")
    assert terms["image_similar"].term == Distance("image", "similar", "l1+l2")
    assert terms["brightness"] == (2.0, Area("similar"))


def test_critics_are_further_classifiers_by_their_paths(trained):
    options = {**trained.options, "dataset_dir": trained.dataset_dir}
    path = str(trained.model_dir / "classifier.pt")
    trainer = workflow("train", **options, critic_paths=[path]).parser.get_parsed_content("train#trainer")
    [critic] = trainer.critics
    assert critic is not trainer.classifier
    assert all(torch.equal(value, critic.state_dict()[name]) for name, value in trainer.classifier.state_dict().items())
    for bundle in BUNDLE.parent.iterdir():
        config = json.loads((bundle / "configs" / "train.json").read_text())
        assert (config["critic_paths"], config["train"]["trainer"]["critics"]) == ([], "@critics")


def test_a_copied_bundle_works_from_any_folder(trained, tmp_path, monkeypatch):
    root = tmp_path / "somewhere" / "renamed_bundle"
    shutil.copytree(BUNDLE, root, ignore=shutil.ignore_patterns("models", "output"))
    shutil.copytree(trained.model_dir, root / "models")
    image = next((trained.dataset_dir / "stage_2_train_images").iterdir())
    monkeypatch.chdir(tmp_path)
    run("inference", "inference", root=Path("somewhere/renamed_bundle"), input=str(image), **SMALL)
    assert (root / "output" / "inference" / f"{image.stem}_explanation.nii.gz").is_file()

    network = monai.bundle.load(
        "renamed_bundle", bundle_dir=str(tmp_path / "somewhere"), workflow_type="inference", device="cpu"
    )
    assert isinstance(network, ExplainerNet)
    torch.testing.assert_close(
        network.state_dict(), torch.load(trained.model_dir / "model.pt", weights_only=True), rtol=0, atol=0
    )


def test_weights_of_another_classifier_are_refused_before_any_image_is_read(trained, tmp_path):
    with pytest.raises(RuntimeError) as refused:
        run(
            "train",
            **{**trained.options, "classifier_def#layers": [2, 1, 1, 1]},
            dataset_dir=tmp_path / "no images are looked for",
            output_dir=tmp_path / "output",
        )
    said = messages(refused.value)
    assert f"the weights in {trained.model_dir / 'classifier.pt'} do not fit ResNet: missing layer1.1." in said
    assert not (tmp_path / "output").exists()


def test_learning_rate_schedules_span_the_epochs_asked_for(trained):
    flow = workflow("train", **trained.options, dataset_dir=trained.dataset_dir, epochs=7)
    steps = flow.parser.get_parsed_content("lr_scheduler").total_steps
    assert steps == 7 * math.ceil(32 / 16)
