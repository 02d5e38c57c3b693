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

"""Inference of the bundle: files of every kind in, maps, images, overlay and scores out; the same from Python."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from PIL import Image

import monai_advexplain
from monai_advexplain.__main__ import main
from monai_advexplain.transforms import LoadMedicalImage
from tests.bundles.bundle_runs import BUNDLE, command, messages, run, workflow

ROLES = ("explanation", "similar", "adversarial")
NAMES = ("chest.dcm", "photo.jpg", "scan.png", "slice.nii.gz")


@pytest.fixture(scope="module")
def images(phantom_dir, tmp_path_factory) -> Path:
    """A folder with a DICOM, a JPEG, a PNG and a 2D NIfTI file, none of the network's size or square."""
    folder = tmp_path_factory.mktemp("images")
    source = pydicom.dcmread(sorted((phantom_dir / "stage_2_train_images").iterdir())[0])
    pixels = source.pixel_array[:50]
    source.Rows, source.PixelSpacing = 50, [0.7, 0.4]
    source.PixelData = pixels.tobytes()
    source.save_as(folder / "chest.dcm")
    grey = (255.0 * pixels / pixels.max()).astype(np.uint8)
    Image.fromarray(grey).resize((45, 60)).save(folder / "scan.png")
    Image.fromarray(grey).convert("RGB").resize((90, 70)).save(folder / "photo.jpg")
    affine = np.diag([0.5, 2.0, 1.0, 1.0])
    affine[:2, 3] = (-7.0, 11.0)
    nib.save(nib.Nifti1Image(grey[:40, :56].astype(np.float32), affine), folder / "slice.nii.gz")
    return folder


def lines_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def written(trained, images, tmp_path_factory) -> Path:
    """What the command ``run inferring`` wrote for the folder of images."""
    folder = tmp_path_factory.mktemp("inference")
    done = command("inferring", "inference", **trained.options, input=str(images), output_dir=str(folder))
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_every_image_of_a_folder_gets_its_files_and_nothing_else_is_written(written):
    stems = [name.split(".")[0] for name in NAMES]
    wanted = {f"{stem}_{role}.nii.gz" for stem in stems for role in ROLES} | {f"{stem}_overlay.png" for stem in stems}
    assert {path.name for path in written.iterdir()} == wanted | {"results.jsonl"}


@pytest.mark.parametrize("name", NAMES)
def test_maps_and_images_lie_where_the_source_lies(written, images, name):
    source = LoadMedicalImage()(images / name)
    assert source.shape[1:] != (64, 64)
    for role in ROLES:
        file = nib.load(written / f"{name.split('.')[0]}_{role}.nii.gz")
        assert file.shape[:2] == tuple(source.shape[1:])
        np.testing.assert_allclose(file.affine, source.affine.numpy(), atol=1e-5)
        values = file.get_fdata()
        assert np.isfinite(values).all()
        low, high = (0.0, 2.0) if role == "explanation" else (-0.5, 1.5)  # a difference, and the network's value_range
        assert low <= values.min() < values.max() <= high


@pytest.mark.parametrize("name", NAMES)
def test_the_overlay_is_a_colour_picture(written, name):
    with Image.open(written / f"{name.split('.')[0]}_overlay.png") as overlay:
        pixels = np.asarray(overlay.convert("RGB")).astype(int)
    assert min(pixels.shape[:2]) > 100
    assert np.ptp(pixels, axis=2).max() > 50


def test_every_image_has_one_line_of_scores(written, images):
    lines = lines_of(written)
    assert [line["input"] for line in lines] == [str(images / name) for name in NAMES]
    for line in lines:
        for suffix in ("", "_similar", "_adversarial"):
            assert 0.0 < line[f"probability{suffix}"] < 1.0
        assert line["decision"] is (line["probability"] > 0.5)
        assert line["flipped"] is ((line["probability_adversarial"] > 0.5) != line["decision"])
        assert line["preserved"] is ((line["probability_similar"] > 0.5) == line["decision"])
        for role in (*ROLES, "overlay"):
            assert (written / line[role]).is_file()


def test_a_list_is_explained_in_its_order_and_a_single_file_alone(trained, images, written, tmp_path):
    by_input = {line["input"]: line for line in lines_of(written)}
    for inputs in ([str(images / "scan.png"), str(images / "chest.dcm")], str(images / "photo.jpg")):
        run("inference", "inference", **trained.options, input=inputs, output_dir=tmp_path)
        lines = lines_of(tmp_path)
        assert [line["input"] for line in lines] == ([inputs] if isinstance(inputs, str) else inputs)
        for line in lines:
            assert line["probability"] == pytest.approx(by_input[line["input"]]["probability"], abs=1e-5)


@pytest.fixture(scope="module")
def explainer(trained):
    return monai_advexplain.load(BUNDLE, **trained.options)


@pytest.mark.parametrize("name", NAMES)
def test_python_gives_for_a_file_and_for_a_tensor_what_the_command_wrote(explainer, written, images, name):
    line = {line["input"]: line for line in lines_of(written)}[str(images / name)]
    loaded = LoadMedicalImage()(images / name)
    for given in (str(images / name), images / name, loaded, loaded.numpy(), loaded.as_tensor().clone()):
        result = explainer(given)
        for role, image in (
            ("explanation", result.map),
            ("similar", result.similar),
            ("adversarial", result.adversarial),
        ):
            assert image.shape == loaded.shape
            file = nib.load(written / line[role]).get_fdata(dtype=np.float32).reshape(image.shape)
            np.testing.assert_allclose(image.numpy(), file, rtol=0, atol=1e-6)
        for score in ("probability", "probability_similar", "probability_adversarial"):
            assert getattr(result, score) == pytest.approx(line[score], abs=1e-6)
        for answer in ("decision", "flipped", "preserved"):
            assert getattr(result, answer) is line[answer]
        assert result.scores().keys() <= line.keys()


def test_the_command_explain_gives_what_the_bundles_own_command_wrote(trained, written, images, tmp_path):
    settings = [part for name, value in trained.options.items() for part in ("--set", f"{name}={json_or_text(value)}")]
    assert main(["explain", str(images), "--bundle", str(BUNDLE), "--output", str(tmp_path), *settings]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written.iterdir()}
    for line, wanted in zip(lines_of(tmp_path), lines_of(written), strict=True):
        assert line == pytest.approx(wanted, abs=1e-6)
        maps = [nib.load(folder / line["explanation"]).get_fdata() for folder in (tmp_path, written)]
        np.testing.assert_allclose(*maps, rtol=0, atol=1e-6)


def json_or_text(value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def test_a_result_keeps_the_file_and_the_place_of_its_image(explainer, images):
    path = images / "slice.nii.gz"
    result = explainer(path)
    assert result.input == str(path)
    torch.testing.assert_close(result.map.affine, LoadMedicalImage()(path).affine)
    torch.testing.assert_close(result.image, LoadMedicalImage()(path))
    assert explainer(torch.rand(1, 40, 50)).input == ""


def test_explaining_a_tensor_does_not_change_it(explainer, images):
    image = LoadMedicalImage()(images / "scan.png")
    before = image.clone()
    explainer(image)
    torch.testing.assert_close(image, before, rtol=0, atol=0)
    assert image.applied_operations == before.applied_operations


def test_a_tensor_of_other_channels_is_refused(explainer):
    with pytest.raises(ValueError, match=r"1 channel\(s\), shape \(batch, 1, ...\); got shape \[1, 3, 64, 64\]"):
        explainer(torch.rand(3, 40, 50))


def test_a_missing_image_is_named(explainer, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image at .*missing\.dcm"):
        explainer(tmp_path / "missing.dcm")


@pytest.mark.parametrize("missing", ["model", "classifier"])
def test_missing_weights_are_named(trained, tmp_path, missing):
    with pytest.raises(FileNotFoundError, match=r"no weights at .*none\.pt: train them first"):
        monai_advexplain.load(BUNDLE, **trained.options, **{f"{missing}_path": str(tmp_path / "none.pt")})


def test_weights_that_do_not_fit_are_named(trained):
    with pytest.raises(ValueError, match=r"the weights in .*classifier\.pt do not fit GatedExplainerNet: missing"):
        monai_advexplain.load(BUNDLE, **trained.options, model_path=str(trained.model_dir / "classifier.pt"))


def test_a_folder_that_is_no_bundle_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a bundle of this package: there is no .*inference\.json"):
        monai_advexplain.load(tmp_path)


@pytest.mark.parametrize(("inputs", "said"), [("gone.png", "no image file or folder at"), (".", "no image in")])
def test_inference_without_an_image_says_where_it_looked(trained, tmp_path, inputs, said):
    flow = workflow("inference", "inference", **trained.options, input=tmp_path / inputs, output_dir=tmp_path / "out")
    with pytest.raises(RuntimeError) as raised:
        flow.run()
    assert f"{said} {tmp_path / inputs}" in messages(raised.value)
    assert not (tmp_path / "out").exists()
