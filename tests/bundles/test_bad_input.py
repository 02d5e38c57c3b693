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

"""Bad input to the bundle: one clear sentence before long work, and no file in the folder of the weights."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.bundles.bundle_runs import command, messages, run

IMAGES, LABELS = "stage_2_train_images", "stage_2_train_labels.csv"
TRAININGS = ("train_classifier", "train")


@pytest.fixture
def data(phantom_dir, tmp_path) -> Path:
    """A copy of the phantom to spoil."""
    return Path(shutil.copytree(phantom_dir, tmp_path / "data"))


@pytest.fixture
def refused(trained, tmp_path):
    """Run a training that must fail and leave no weights; returns everything that the error says."""

    def run_and_read(config: str, dataset_dir: Path, **overrides) -> str:
        models = tmp_path / "models"
        options = {"classifier_path": trained.model_dir / "classifier.pt"} if config == "train" else {}
        with pytest.raises(RuntimeError) as raised:
            run(
                config,
                **{"image_size": [64, 64], "epochs": 1, **options, **overrides},
                dataset_dir=dataset_dir,
                model_dir=models,
                output_dir=tmp_path / "output",
            )
        assert not models.exists() or not list(models.iterdir())
        assert not list((tmp_path / "output").rglob("*.pt"))
        return messages(raised.value)

    return run_and_read


def rewrite(path: Path, change) -> None:
    """Write a CSV anew, every row (a dictionary) as ``change`` gives it back; None leaves it out."""
    with path.open(newline="") as file:
        rows = [row for row in map(change, csv.DictReader(file)) if row is not None]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def spoil(data: Path, **changes) -> Path:
    """Make one image of the folder RGB, or another kind of file; returns its path."""
    path = sorted((data / IMAGES).iterdir())[3]
    image = pydicom.dcmread(path)
    for name, value in changes.items():
        setattr(image, name, value)
    image.save_as(path)
    return path


@pytest.mark.parametrize("config", TRAININGS)
def test_a_missing_folder_is_named(refused, tmp_path, config):
    assert f"{tmp_path / 'gone'}: no such folder; wanted {IMAGES}/ and {LABELS}" in refused(config, tmp_path / "gone")


def test_a_folder_without_images_is_named(refused, data):
    shutil.rmtree(data / IMAGES)
    assert f"{data / IMAGES}: no such folder" in refused("train", data)


def test_a_missing_column_is_named_with_those_found(refused, data):
    rewrite(data / LABELS, lambda row: {key: value for key, value in row.items() if key != "Target"})
    said = refused("train_classifier", data)
    assert f"{data / LABELS}: column(s) Target missing; found: patientId, x, y, width, height." in said


@pytest.mark.parametrize("config", TRAININGS)
def test_a_truncated_dicom_is_named_with_what_it_lacks(refused, data, config):
    path = sorted((data / IMAGES).iterdir())[0]
    path.write_bytes(path.read_bytes()[:-1000])
    said = refused(config, data)
    assert f"{path}: cannot" in said
    assert "64 x 64 pixels of" in said


def test_a_dicom_that_breaks_off_in_its_header_is_named(refused, data):
    path = sorted((data / IMAGES).iterdir())[0]
    path.write_bytes(path.read_bytes()[:100])
    assert f"{path}: cannot read the DICOM header" in refused("train", data)


def test_an_image_of_another_number_of_channels_is_named(refused, data):
    pixels = np.zeros((64, 64, 3), np.uint8)
    path = spoil(
        data,
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=0,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelData=pixels.tobytes(),
    )
    said = refused("train", data)
    assert f"{path}: 3 channels found (shape (3, 64, 64)), wanted 1." in said


def test_an_image_size_that_the_network_cannot_take_is_refused_before_images_are_read(refused, tmp_path):
    said = refused("train", tmp_path / "never looked for", image_size=[72, 64])
    assert "image_size [72, 64]" in said
    assert "every spatial size must be a multiple of 32; got shape [1, 1, 72, 64]" in said
    assert not (tmp_path / "output").exists()


def test_a_network_of_more_channels_than_the_classifier_is_refused_before_images_are_read(refused, tmp_path):
    said = refused(
        "train",
        tmp_path / "never looked for",
        **{
            "network_def#channels": 3,
            "network_def#generator#channels": 3,
            "network_def#generator#trunk#in_channels": 3,
        },
    )
    assert "image_size [64, 64] with 3 channel(s) does not fit" in said
    assert "to have 1 channels, but got 3 channels" in said


def test_a_decision_that_the_classifier_has_no_head_for_is_refused_before_images_are_read(refused, tmp_path):
    said = refused(
        "train",
        tmp_path / "never looked for",
        decision={"_target_": "monai_advexplain.Decision", "head": "softmax", "index": 1},
    )
    assert "the classifier's output has shape (1, 1), which does not fit head='softmax'" in said


def test_a_classifier_checkpoint_that_does_not_fit_is_refused_before_images_are_read(refused, trained, tmp_path):
    path = trained.model_dir / "classifier.pt"
    said = refused("train", tmp_path / "never looked for", **{"classifier_def#num_classes": 2})
    assert f"the weights in {path} do not fit ResNet: fc.weight has shape (1, 256), wanted (2, 256)" in said


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut"])
def test_a_classifier_file_that_holds_no_weights_is_named(refused, tmp_path, content):
    path = tmp_path / "classifier.pt"
    path.write_bytes(content)
    assert f"{path} cannot be read as a state dict" in refused("train", tmp_path / "gone", classifier_path=path)


def test_a_missing_classifier_is_named(refused, tmp_path):
    path = tmp_path / "classifier.pt"
    assert f"no weights at {path}: train them first" in refused("train", tmp_path / "gone", classifier_path=path)


def test_a_missing_critic_is_named_before_images_are_read(refused, tmp_path):
    path = tmp_path / "critic.pt"
    assert f"no weights at {path}: train them first" in refused("train", tmp_path / "gone", critic_paths=[str(path)])


def test_a_state_dict_without_its_network_is_no_torchscript_file(refused, trained, tmp_path):
    said = refused("train", tmp_path / "gone", classifier_def=None)
    assert f"{trained.model_dir / 'classifier.pt'} is not a TorchScript file" in said


@pytest.mark.parametrize("config", TRAININGS)
def test_labels_of_one_class_only_are_counted(refused, data, config):
    rewrite(data / LABELS, lambda row: row if row["Target"] == "1" else None)
    said = refused(config, data)
    assert "split has only label 1. Found by label:" in said


def test_an_empty_split_is_named_with_what_the_others_hold(refused, data):
    kept: dict[str, set[str]] = {"0": set(), "1": set()}

    def two_of_each(row):
        ids = kept[row["Target"]]
        if len(ids) < 2:
            ids.add(row["patientId"])
        return row if row["patientId"] in ids else None

    rewrite(data / LABELS, two_of_each)
    said = refused("train", data)
    assert "the validation split is empty. Found by label: training: {0: 2, 1: 2}; validation: no items" in said


def test_evaluation_of_an_image_size_that_does_not_fit_leaves_no_metrics(trained, tmp_path):
    with pytest.raises(RuntimeError) as raised:
        run(
            "evaluate",
            "inference",
            **{**trained.options, "image_size": [64, 60]},
            dataset_dir=tmp_path / "gone",
            output_dir=tmp_path / "output",
        )
    assert "got shape [1, 1, 64, 60]" in messages(raised.value)
    assert not (tmp_path / "output").exists()


def test_earlier_weights_survive_a_run_that_fails(trained, data, tmp_path):
    models = Path(shutil.copytree(trained.model_dir, tmp_path / "models"))
    before = {path.name: path.read_bytes() for path in models.iterdir()}
    options = {"image_size": [64, 64], "epochs": 1, "dataset_dir": data, "model_dir": models}
    with pytest.raises(RuntimeError) as raised:
        run("train", **options, output_dir=tmp_path / "output", learning_rate=1e30, batch_size=8)
    assert "is nan at epoch 1, iteration 2" in messages(raised.value)
    assert {path.name: path.read_bytes() for path in models.iterdir()} == before


def test_the_terminal_shows_the_sentence(tmp_path):
    done = command(
        "training",
        "train_classifier",
        dataset_dir=tmp_path / "gone",
        model_dir=tmp_path / "models",
        output_dir=tmp_path / "output",
    )
    assert done.returncode != 0
    assert f"FileNotFoundError: {tmp_path / 'gone'}: no such folder; wanted {IMAGES}/ and {LABELS}" in done.stderr
    assert list(tmp_path.iterdir()) == []
