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

"""ExplanationWriter in an evaluator: which files it writes, under which names, and when."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset
from PIL import Image
from torch import nn

from monai_advexplain import ExplainerEvaluator, ExplainerNet, TwoHeadGenerator
from monai_advexplain.handlers import ExplanationWriter
from monai_advexplain.transforms import LoadMedicalImaged
from tests.dicom.sources import mr_series


class MeanClassifier(nn.Module):
    """Says yes to bright images."""

    def forward(self, images):
        return images.flatten(1).mean(dim=1)[:, None] / 100.0 - 1.0


@pytest.fixture
def paths(tmp_path):
    """Three images, two of the same name in different folders, dark, bright and dark."""
    names = ("a/scan.png", "b/scan.png", "b/other.png")
    for name, level in zip(names, (40, 200, 30), strict=True):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(level).integers(0, 20, (8, 16))
        Image.fromarray((noise + level).astype(np.uint8)).save(path)
    return [str(tmp_path / "images" / name) for name in names]


def evaluator(paths, writer, classifier=None, dims=2, channels=1):
    dataset = Dataset([{"image": path} for path in paths], LoadMedicalImaged("image", channels=channels))
    trunk = (nn.Conv2d, nn.Conv3d)[dims - 2](channels, 4, 3, padding=1)
    generator = TwoHeadGenerator(trunk, features=4, spatial_dims=dims, channels=channels)
    network = ExplainerNet(generator, spatial_dims=dims, channels=channels)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)  # the residual of a new network is zero
    return ExplainerEvaluator(
        "cpu",
        DataLoader(dataset, batch_size=1),
        network,
        MeanClassifier() if classifier is None else classifier,
        val_handlers=[writer],
    )


def read_lines(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_images_of_the_same_name_in_different_folders_get_names_of_their_own(paths, tmp_path):
    evaluator(paths, ExplanationWriter(tmp_path / "out")).run()
    lines = read_lines(tmp_path / "out")
    assert [line["explanation"].removesuffix("_explanation.nii.gz") for line in lines] == ["scan", "scan_2", "other"]
    assert [line["input"] for line in lines] == paths
    assert [line["decision"] for line in lines] == [False, True, False]
    assert len(list((tmp_path / "out").iterdir())) == 3 * 4 + 1


def test_a_numbered_name_never_meets_a_file_that_is_called_so(paths, tmp_path):
    (tmp_path / "c").mkdir()
    third = tmp_path / "c" / "scan_2.png"
    Image.fromarray(np.full((8, 16), 9, np.uint8)).save(third)
    for order in ([*paths[:2], str(third)], [str(third), *paths[:2]]):
        folder = tmp_path / f"out_{len(order[0])}"
        evaluator(order, ExplanationWriter(folder)).run()
        assert len({line["explanation"] for line in read_lines(folder)}) == 3


def test_a_second_run_replaces_the_files_of_the_first(paths, tmp_path):
    writer = ExplanationWriter(tmp_path / "out")
    evaluator(paths, writer).run()
    files = sorted((tmp_path / "out").iterdir())
    for file in files:
        file.write_bytes(b"spoilt")
    evaluator(paths, writer).run()
    assert sorted((tmp_path / "out").iterdir()) == files
    assert [line["input"] for line in read_lines(tmp_path / "out")] == paths
    assert b"spoilt" not in {file.read_bytes() for file in files}


def test_a_line_can_be_read_as_soon_as_its_image_is_done(paths, tmp_path):
    engine = evaluator(paths, ExplanationWriter(tmp_path / "out"))
    counts = []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: counts.append(len(read_lines(tmp_path / "out"))))
    engine.run()
    assert counts == [1, 2, 3]


def test_lines_before_an_image_that_fails_are_kept_and_the_error_is_raised(paths, tmp_path):
    missing = str(tmp_path / "gone.png")
    with pytest.raises(RuntimeError) as raised:
        evaluator([paths[0], missing], ExplanationWriter(tmp_path / "out")).run()
    assert f"{missing}: no such image file" in str(raised.value.__cause__)
    assert [line["input"] for line in read_lines(tmp_path / "out")] == paths[:1]


def test_files_hold_the_evaluators_images(paths, tmp_path):
    engine = evaluator(paths[:1], ExplanationWriter(tmp_path / "out"))
    engine.run()
    (output,) = engine.state.output
    for role in ("explanation", "similar", "adversarial"):
        values = nib.load(tmp_path / "out" / f"scan_{role}.nii.gz").get_fdata(dtype=np.float32)
        np.testing.assert_array_equal(values.reshape(output[role].shape), output[role].numpy())


def test_the_overlay_lies_over_the_image_that_the_loader_gives(paths, tmp_path):
    loaded = []

    def load(path):
        loaded.append(path)
        return torch.rand(1, 16, 8)

    evaluator(paths, ExplanationWriter(tmp_path / "out", load_image=load)).run()
    assert loaded == paths


def test_a_dicom_series_is_drawn_as_the_network_saw_it(tmp_path):
    files = [str(path) for path in mr_series(tmp_path / "head").files]
    evaluator([files], ExplanationWriter(tmp_path / "out"), dims=3).run()
    (line,) = read_lines(tmp_path / "out")
    assert line["input"] == files[0]
    with Image.open(tmp_path / "out" / line["overlay"]) as overlay:
        assert min(overlay.size) > 100


def test_images_of_several_channels_are_drawn(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (8, 16, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "colour.png")
    evaluator([str(tmp_path / "colour.png")], ExplanationWriter(tmp_path / "out"), channels=3).run()
    assert (tmp_path / "out" / "colour_overlay.png").is_file()
