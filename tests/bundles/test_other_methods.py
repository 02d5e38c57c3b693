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

"""Configs laid over ``train.json``: other methods than the proposed one, trained by the same command."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from monai.bundle import ConfigParser
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_advexplain.losses.recipes import RECIPES
from monai_advexplain.networks import load_weights
from tests.bundles.bundle_runs import BUNDLE, SMALL, command

CONFIGS = BUNDLE / "configs"
BUNDLES = sorted(BUNDLE.parent.glob("*_advexplain"))
ADVERSARIAL = ("realism", "syce", "cyce")  # with a discriminator
TAUGHT = ("mean_teacher", "distilled")
METHODS = pytest.mark.parametrize("method", ["mask_generator", "naive", *TAUGHT, *ADVERSARIAL])
RECIPE = dict.fromkeys(("realism", *TAUGHT), "similar_adversarial")  # where it is not the method's name


def files(method):
    """The config files of a method, as one option of MONAI's command."""
    return str([str(CONFIGS / f"{name}.json") for name in ("train", f"train_{method}")])


def parser_of(method):
    """The merged config, not yet parsed."""
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / f"{name}.json") for name in ("train", f"train_{method}")])
    return parser


@METHODS
def test_the_command_trains_the_method_beside_the_proposed_one_and_overwrites_nothing_of_it(method, trained, tmp_path):
    shutil.copytree(trained.model_dir, tmp_path / "models")
    for i in range(3 if method == "distilled" else 0):  # its teachers
        shutil.copy(tmp_path / "models" / "model.pt", tmp_path / "models" / f"model{i}.pt")
    done = command(
        "training",
        "train",
        **SMALL,
        **{"loss#weights#flip": 3},
        config_file=files(method),
        dataset_dir=trained.dataset_dir,
        model_dir=tmp_path / "models",
        output_dir=tmp_path / "output",
        epochs=1,
        val_interval=1,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert (tmp_path / "models" / "model.pt").read_bytes() == (trained.model_dir / "model.pt").read_bytes()
    assert [path.name for path in (tmp_path / "output").iterdir()] == [f"train_{method}"]
    output = tmp_path / "output" / f"train_{method}"
    assert {path.name for path in output.iterdir()} == {"checkpoint_epoch=1.pt", "pictures", "tensorboard"}
    assert (output / "pictures" / "epoch_001.png").is_file()
    scalars = EventAccumulator(str(output / "tensorboard")).Reload().Tags()["scalars"]
    recipe = RECIPES[RECIPE.get(method, method)]
    weights = {name: one.weight for name, one in recipe.items()} | parser_of(method)["loss#weights"]
    used = {f"loss/{name}" for name, weight in weights.items() if weight}
    if method in ADVERSARIAL:
        used |= {f"loss/discriminator_{name}" for name in RECIPES["discriminator"]}
        checkpoint = torch.load(output / "checkpoint_epoch=1.pt", weights_only=True)
        assert set(checkpoint) >= {"model", "optimizer", "discriminator", "discriminator_optimizer", "trainer"}
    if method == "mean_teacher":
        checkpoint = torch.load(output / "checkpoint_epoch=1.pt", weights_only=True)
        average = {name.removeprefix("module."): value for name, value in checkpoint["average"].items()}
        assert average.pop("n_averaged") > 1
        final = torch.load(tmp_path / "models" / "mean_teacher.pt", weights_only=True)
        assert average.keys() == final.keys()
        assert all(torch.equal(final[name], average[name]) for name in final)
        assert not all(torch.equal(final[name], checkpoint["model"][name]) for name in final)
    assert {name for name in scalars if name.startswith("loss/")} == used

    parser = parser_of(method)
    parser["model_dir"] = str(tmp_path / "models")
    network = parser.get_parsed_content("network_def")
    image = torch.rand(2, 1, 64, 64)
    load_weights(tmp_path / "models" / f"{method}.pt", network).eval()
    pair = network.generate(image)
    reference = image if method in ("naive", "cyce") else pair.similar
    wanted = pair.mask if method == "mask_generator" else (reference - pair.adversarial).abs()
    assert torch.equal(network(image), wanted)
    if method in ("syce", "cyce"):
        gate, classifier = network.generator.gate.network, parser.get_parsed_content("classifier")
        assert all(torch.equal(*pair) for pair in zip(gate.parameters(), classifier.parameters(), strict=True))


def test_the_mask_generator_has_the_trunk_of_the_proposed_method():
    proposed, mask = (json.loads((CONFIGS / f"{name}.json").read_text()) for name in ("train", "train_mask_generator"))
    proposed, mask = proposed["network_def"]["generator"], mask["network_def#generator"]
    assert mask["trunk"] == {**proposed["trunk"], "in_channels": 2}  # the image and the classifier's score
    for entry in ("features", "spatial_dims", "scale"):
        assert mask[entry] == proposed[entry]


@METHODS
def test_every_loss_weight_of_the_method_can_be_overridden(method):
    for name in RECIPES[RECIPE.get(method, method)]:
        parser = parser_of(method)
        parser[f"loss#weights#{name}"] = 7
        assert parser.get_parsed_content("loss").terms[name].weight == 7.0


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_methods_of_a_bundle_share_one_discriminator(bundle):
    configs = [json.loads((bundle / "configs" / f"train_{name}.json").read_text()) for name in ADVERSARIAL]
    parts = [{key: one[key] for key in one if "discriminator" in json.dumps({key: one[key]})} for one in configs]
    assert parts[0] == parts[1] == parts[2]
    assert len(parts[0]) == 7
    assert parts[0]["discriminator_loss"]["recipe"] == "discriminator"


@pytest.mark.parametrize("method", TAUGHT)
def test_the_bundles_share_their_teachers(method):
    assert len({(bundle / "configs" / f"train_{method}.json").read_text() for bundle in BUNDLES}) == 1


def test_the_distilled_network_is_taught_the_mean_of_the_networks_named(tmp_path):
    parser = parser_of("distilled")
    paths = [tmp_path / f"teacher{i}.pt" for i in range(2)]
    image, maps = torch.rand(2, 1, 64, 64), []
    for path in paths:
        network = parser_of("distilled").get_parsed_content("network_def").eval()
        for head in (network.generator.to_no, network.generator.to_yes):  # as they begin, they change nothing
            torch.nn.init.normal_(head.image.weight)
        torch.save(network.state_dict(), path)
        maps.append(network(image).detach())
    parser.update({"teacher_paths": [str(path) for path in paths], "teacher#n": 0})
    taught = parser.get_parsed_content("teacher")(image)
    assert not torch.allclose(*maps)
    torch.testing.assert_close(taught, torch.stack(maps).mean(dim=0))


def test_a_teacher_that_was_not_trained_is_named_before_the_training_begins(trained, tmp_path):
    options = {"dataset_dir": trained.dataset_dir, "model_dir": trained.model_dir, "output_dir": tmp_path / "output"}
    done = command("training", "train", **SMALL, **options, config_file=files("distilled"))
    assert done.returncode != 0
    assert "FileNotFoundError" in done.stderr
    assert "model0.pt" in done.stderr
    assert not (tmp_path / "output").exists()


def test_what_is_kept_of_a_mean_teacher_is_what_the_saver_of_the_result_saves():
    assert parser_of("mean_teacher")["train#handlers#9#final_filename"] == "@model_filename"  # the saver of the result


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
@pytest.mark.parametrize("method", ["syce", "cyce"])
def test_a_bundle_gives_syce_and_cyce_the_weights_of_the_paper(bundle, method):
    weights = json.loads((bundle / "configs" / f"train_{method}.json").read_text())["loss"]["weights"]
    assert weights == {name: one.weight for name, one in RECIPES[method].items() if name in weights}
    assert {name for name, one in RECIPES[method].items() if one.weight} <= set(weights)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
@pytest.mark.parametrize("method", ADVERSARIAL)
@torch.no_grad()
def test_network_and_discriminator_of_every_bundle_take_its_images(bundle, method):
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / f"{name}.json") for name in ("train", f"train_{method}")])
    parser["bundle_root"] = str(bundle)
    dims = parser["network_def#spatial_dims"]
    image = torch.rand(2, 1, *parser["image_size"])
    network, discriminator = (parser.get_parsed_content(f"{part}_def") for part in ("network", "discriminator"))
    made = network.generate(image)
    verdict = discriminator(made.adversarial, torch.tensor([0.0, 1.0]))
    assert verdict.ndim == 1 + dims
    assert min(verdict.shape[1:]) > 1  # patches, not the whole image at once
    if method != "realism":
        generators = network.generator
        pairs = zip(generators.no_trunk.parameters(), generators.yes_trunk.parameters(), strict=True)
        assert any(not torch.equal(*pair) for pair in pairs)
