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

"""Checkpoints: which is the last one, what is kept, and resuming from nothing."""

from __future__ import annotations

import logging

import pytest
import torch
from ignite.engine import Engine, Events

from monai_advexplain.handlers import AtomicCheckpointSaver, Resume, latest_checkpoint


def engine_of(weight, fail_at=0, error=RuntimeError):
    """An engine of one iteration an epoch that adds one to the weight."""

    def step(engine, batch):
        if engine.state.epoch == fail_at:
            raise error("stopped")
        with torch.no_grad():
            weight.add_(1)

    return Engine(step)


def make():
    net = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(net.weight)
    return net


class Noticing:
    """Calls back while it is written to a file."""

    def __init__(self, call):
        self.call = call

    def state_dict(self):
        return {"self": self}

    def __reduce__(self):
        self.call()
        return list, ()


def epochs(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_latest_checkpoint_is_that_of_the_highest_number_not_of_the_last_name(tmp_path):
    for name in ("checkpoint_epoch=9.pt", "checkpoint_epoch=10.pt", "checkpoint_epoch=2.pt"):
        (tmp_path / name).touch()
    assert latest_checkpoint(tmp_path) == str(tmp_path / "checkpoint_epoch=10.pt")


def test_other_files_are_no_checkpoints_and_a_missing_folder_has_none(tmp_path):
    for name in (
        "model.pt",
        "checkpoint_epoch=best.pt",
        "checkpoint_epoch=1.5.pt",
        "tmp12ab",
        "checkpoint_epoch=3.pth",
    ):
        (tmp_path / name).touch()
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "nowhere") is None


def test_resuming_without_a_checkpoint_warns_and_starts_from_scratch(tmp_path, caplog):
    net = make()
    engine = engine_of(net.weight)
    with caplog.at_level(logging.WARNING):
        Resume(tmp_path / "train", {"network": net}).attach(engine)
    assert "no checkpoint_epoch=N.pt in" in caplog.text
    assert str(tmp_path / "train") in caplog.text
    engine.run([0], max_epochs=2)
    assert net.weight.item() == 2


def test_a_resumed_engine_does_only_what_is_left(tmp_path):
    net = make()
    objects = {"network": net}
    engine = engine_of(net.weight, fail_at=12)
    AtomicCheckpointSaver(str(tmp_path), objects, include_engine=True, save_interval=1, n_saved=1).attach(engine)
    with pytest.raises(RuntimeError, match="stopped"):
        engine.run([0], max_epochs=15)
    assert "trainer" not in objects  # the caller's dictionary is left alone
    assert epochs(tmp_path) == ["checkpoint_epoch=11.pt"]

    other = make()
    resumed = engine_of(other.weight)
    ran = []
    resumed.add_event_handler(Events.EPOCH_STARTED, lambda engine: ran.append(engine.state.epoch))
    Resume(tmp_path, {"network": other}).attach(resumed)
    resumed.run([0], max_epochs=15)
    assert ran == [12, 13, 14, 15]
    assert other.weight.item() == 15


@pytest.mark.parametrize(("n_saved", "kept"), [(1, [5]), (2, [4, 5]), (None, [1, 2, 3, 4, 5])])
def test_as_many_checkpoints_are_kept_as_asked_for(tmp_path, n_saved, kept):
    net = make()
    engine = engine_of(net.weight)
    AtomicCheckpointSaver(str(tmp_path), {"network": net}, save_interval=1, n_saved=n_saved).attach(engine)
    engine.run([0], max_epochs=5)
    assert epochs(tmp_path) == [f"network_epoch={epoch}.pt" for epoch in kept]
    assert [torch.load(tmp_path / name, weights_only=True)["weight"].item() for name in epochs(tmp_path)] == kept


def test_no_checkpoint_is_removed_before_the_next_one_is_in_place(tmp_path):
    net = make()
    present = []
    noticing = Noticing(lambda: present.append(epochs(tmp_path)))
    engine = engine_of(net.weight)
    AtomicCheckpointSaver(str(tmp_path), {"a": noticing}, True, save_interval=1, n_saved=1).attach(engine)
    engine.run([0], max_epochs=3)
    while_writing = [[name for name in names if name.startswith("checkpoint")] for names in present]
    assert while_writing == [[], ["checkpoint_epoch=1.pt"], ["checkpoint_epoch=2.pt"]]


@pytest.mark.parametrize("runs", [1, 2])
def test_a_final_checkpoint_of_a_fixed_name_is_a_flat_state_dict_and_replaced_in_place(tmp_path, runs):
    net = make()
    engine = engine_of(net.weight)
    AtomicCheckpointSaver(str(tmp_path), {"model": net}, save_final=True, final_filename="model.pt").attach(engine)
    for _ in range(runs):
        engine.run([0], max_epochs=2)
    assert epochs(tmp_path) == ["model.pt"]
    assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item() == 2 * runs


def test_the_best_of_a_key_metric_keeps_its_fixed_name(tmp_path):
    net = make()
    engine = engine_of(net.weight)
    scores = iter([0.1, 0.9, 0.5, 0.95])

    @engine.on(Events.EPOCH_COMPLETED)
    def measure(engine):
        engine.state.metrics["score"] = next(scores)

    AtomicCheckpointSaver(
        str(tmp_path), {"model": net}, save_key_metric=True, key_metric_name="score", key_metric_filename="best.pt"
    ).attach(engine)
    engine.run([0], max_epochs=3)
    assert epochs(tmp_path) == ["best.pt"]
    assert torch.load(tmp_path / "best.pt", weights_only=True)["weight"].item() == 2


@pytest.mark.parametrize("error", [RuntimeError, FloatingPointError, KeyboardInterrupt])
def test_a_run_that_fails_leaves_the_final_checkpoint_of_an_earlier_run(tmp_path, error):
    net = make()
    torch.save({"weight": torch.full((1, 1), 7.0)}, tmp_path / "model.pt")
    engine = engine_of(net.weight, fail_at=3, error=error)
    AtomicCheckpointSaver(str(tmp_path), {"model": net}, save_final=True, final_filename="model.pt").attach(engine)
    with pytest.raises(error, match="stopped"):
        engine.run([0], max_epochs=5)
    assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item() == 7
