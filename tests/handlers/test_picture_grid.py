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

"""PictureGrid: the picture as a file, in TensorBoard and for MLflow, and which images it shows."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from monai_advexplain.handlers import PictureGrid


def image_output(level: float, masked: bool = False, decision: bool = False) -> dict:
    """What an ExplainerEvaluator leaves of one image, here of one grey level."""
    mask = torch.zeros(1, 16, 16)
    mask[:, 4:8, 4:8] = float(masked)
    image = torch.full((1, 16, 16), level)
    image[:, 0, 0] = 1.0
    probability = torch.tensor([0.9 if decision else 0.1])
    return {
        "image": image,
        "similar": image,
        "adversarial": 1.0 - image,
        "explanation": (1.0 - 2.0 * image).abs(),
        "mask": mask,
        "decision": torch.tensor([decision]),
        "probability": probability,
        "probability_similar": probability,
        "probability_adversarial": 1.0 - probability,
    }


def draw(grid: PictureGrid, batches: list, epochs: int = 1) -> PictureGrid:
    engine = Engine(lambda engine, batch: batch)
    grid.attach(engine)
    engine.run(batches, max_epochs=epochs)
    return grid


def test_every_epoch_leaves_a_picture_of_its_own(tmp_path):
    draw(PictureGrid(tmp_path / "new" / "epoch_{epoch:03d}.png"), [[image_output(0.2)]], epochs=2)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["epoch_001.png", "epoch_002.png"]
    with Image.open(tmp_path / "new" / "epoch_001.png") as picture:
        assert picture.convert("L").getextrema()[0] < 50


def test_images_with_a_mask_come_first_then_those_decided_yes_in_the_order_seen(tmp_path):
    first = [image_output(0.1), image_output(0.2, decision=True)]
    second = [image_output(0.3, masked=True), image_output(0.4, masked=True, decision=True), image_output(0.5)]
    grid = PictureGrid(tmp_path / "grid.png", n_images=4)
    draw(grid, [first, second])
    shown = [float(row["image"][0, -1, -1]) for _, row, _ in grid._rows]
    assert shown == pytest.approx([0.3, 0.4, 0.2, 0.1])


def test_more_images_make_a_taller_picture_and_no_more_than_asked_for(tmp_path):
    heights = []
    for n_images, given in ((1, 3), (3, 3), (8, 3)):
        draw(PictureGrid(tmp_path / "grid.png", n_images), [[image_output(0.1 * i)] for i in range(given)])
        with Image.open(tmp_path / "grid.png") as picture:
            heights.append(picture.height)
    assert heights[0] < heights[1] == heights[2]


def test_the_ground_truth_is_left_out_where_no_image_has_one(tmp_path):
    widths = []
    for masked in (True, False):
        draw(PictureGrid(tmp_path / "grid.png"), [[image_output(0.3, masked=masked)]])
        with Image.open(tmp_path / "grid.png") as picture:
            widths.append(picture.width)
    assert widths[0] > widths[1]


def test_an_epoch_shows_its_own_images_only(tmp_path):
    grid = PictureGrid(tmp_path / "grid.png")
    draw(grid, [[image_output(0.1)]], epochs=3)
    assert len(grid._rows) == 1


def test_tensorboard_gets_the_picture_of_the_file(tmp_path):
    with SummaryWriter(tmp_path / "events") as writer:
        draw(PictureGrid(tmp_path / "grid.png", summary_writer=writer, tag="pictures"), [[image_output(0.2)]], epochs=2)
    events = EventAccumulator(str(tmp_path / "events"), size_guidance={"images": 0}).Reload()
    images = events.Images("pictures")
    assert [image.step for image in images] == [1, 2]
    with Image.open(io.BytesIO(images[-1].encoded_image_string)) as shown, Image.open(tmp_path / "grid.png") as file:
        assert np.ptp(np.asarray(shown.convert("L")).astype(int)) > 100
        assert shown.width / shown.height == pytest.approx(file.width / file.height, rel=0.2)


def test_log_artifact_gets_a_file_that_is_there(tmp_path):
    logged = []

    def log_artifact(path):
        with Image.open(path) as picture:
            logged.append((path, picture.format))

    draw(PictureGrid(tmp_path / "{epoch}.png", log_artifact=log_artifact), [[image_output(0.2)]], epochs=2)
    assert logged == [(str(tmp_path / "1.png"), "PNG"), (str(tmp_path / "2.png"), "PNG")]


def test_a_run_without_images_draws_nothing(tmp_path):
    draw(PictureGrid(tmp_path / "grid.png"), [[]])
    assert not (tmp_path / "grid.png").exists()


def test_a_grid_of_no_images_draws_nothing(tmp_path):
    draw(PictureGrid(tmp_path / "grid.png", n_images=0), [[image_output(0.1)]])
    assert not (tmp_path / "grid.png").exists()
