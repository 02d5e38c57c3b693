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

"""MetricsJson: the file that it leaves, and the one that it does not touch."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events

from monai_advexplain.handlers import MetricsJson


def run(path, metrics, batches, extra=None, seconds=None):
    """An engine whose outputs are its batches and whose metrics are given."""
    engine = Engine(lambda engine, batch: batch)

    @engine.on(Events.EPOCH_COMPLETED)
    def compute():
        engine.state.metrics.update(metrics)
        if seconds is not None:
            engine.state.seconds = seconds

    MetricsJson(path, extra).attach(engine)
    engine.run(batches)
    return json.loads(path.read_text(), parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))


def test_names_are_nested_at_their_slashes(tmp_path):
    metrics = {
        "flip_rate": 0.5,
        "auc_loc/proposed/total": 0.4,
        "auc_loc/proposed/partial": 0.2,
        "auc_loc/naive/total": 0.3,
    }
    assert run(tmp_path / "metrics.json", metrics, [[{}]]) == {
        "n_images": 1,
        "flip_rate": 0.5,
        "auc_loc": {"proposed": {"total": 0.4, "partial": 0.2}, "naive": {"total": 0.3}},
    }


def test_what_is_not_finite_is_null_in_numbers_and_in_tensors(tmp_path):
    metrics = {
        "nan": float("nan"),
        "infinite": float("-inf"),
        "scalar": torch.tensor(float("nan")),
        "list": torch.tensor([0.5, float("nan"), float("inf")]),
        "numpy": np.float32(0.5),
        "count": torch.tensor(3),
    }
    result = run(tmp_path / "metrics.json", metrics, [[{}]])
    assert result == {
        "n_images": 1,
        "numpy": 0.5,
        "nan": None,
        "infinite": None,
        "scalar": None,
        "list": [0.5, None, None],
        "count": 3,
    }


def test_images_are_counted_in_decollated_and_in_collated_outputs(tmp_path):
    assert run(tmp_path / "list.json", {}, [[{}, {}], [{}]])["n_images"] == 3
    batches = [{"image": torch.zeros(2, 1, 4, 4)}, {"image": torch.zeros(3, 1, 4, 4)}]
    assert run(tmp_path / "dict.json", {}, batches)["n_images"] == 5


def test_images_are_counted_anew_in_every_run(tmp_path):
    engine = Engine(lambda engine, batch: batch)
    MetricsJson(tmp_path / "metrics.json").attach(engine)
    for _ in range(2):
        engine.run([[{}, {}]])
    assert json.loads((tmp_path / "metrics.json").read_text())["n_images"] == 2


def test_extra_entries_and_median_times_are_added(tmp_path):
    seconds = {"proposed": [0.001, 0.002, 0.9], "never timed": []}
    result = run(tmp_path / "a" / "b" / "metrics.json", {}, [[{}]], {"split": "test"}, seconds)
    assert result == {"n_images": 1, "split": "test", "ms_per_image": {"proposed": 2.0}}


def test_a_file_from_before_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text("x" * 10_000)
    assert run(path, {"a": 1}, [[{}]]) == {"n_images": 1, "a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_metrics_that_cannot_be_written_leave_the_file_from_before(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text('{"n_images": 7}')
    with pytest.raises(TypeError):
        run(path, {"a": object()}, [[{}]])
    assert json.loads(path.read_text()) == {"n_images": 7}
