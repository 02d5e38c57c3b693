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

"""EpochSeed: an epoch's random numbers follow from seed and epoch alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, RandGaussianNoised
from monai.utils import set_determinism

from monai_advexplain.handlers import EpochSeed


@pytest.fixture(autouse=True)
def undo_determinism():
    state = torch.get_rng_state()
    yield
    set_determinism(None)
    torch.set_rng_state(state)


def loader():
    """Shuffled batches with noise."""
    items = [{"image": torch.full((1, 2, 2), float(i))} for i in range(6)]
    transform = Compose([RandGaussianNoised("image", prob=1.0, std=0.1)])
    return DataLoader(CacheDataset(items, transform, progress=False), batch_size=2, shuffle=True)


def record(seed, epochs, start=0, by_engine=False):
    """What each epoch sees and draws, of a run that starts after ``start`` epochs."""
    seen: dict[int, list] = {}

    def step(engine, batch):
        values = batch["image"].flatten().tolist()
        drawn = [random.random(), np.random.rand(), torch.rand(1).item()]
        seen.setdefault(engine.state.epoch, []).append(values + drawn)

    batches = loader()
    engine = Engine(step)
    if by_engine:
        engine.data_loader = batches
    EpochSeed(seed, None if by_engine else batches).attach(engine)
    if start:
        engine.load_state_dict({"epoch": start, "max_epochs": epochs, "epoch_length": len(batches)})
    torch.rand(start + 1)  # a run that starts elsewhere has drawn other numbers before
    engine.run(batches, max_epochs=epochs)
    return seen


def test_a_run_resumed_after_two_epochs_repeats_the_third_of_the_whole_run():
    whole, resumed = record(5, 3), record(5, 3, start=2)
    assert set(resumed) == {3}
    assert resumed[3] == whole[3]


def test_epochs_differ():
    epochs = record(5, 3)
    assert epochs[1] != epochs[2] != epochs[3] != epochs[1]


def test_seeds_differ():
    assert record(5, 1) != record(50, 1)


def test_the_engines_own_loader_is_seeded_when_none_is_given():
    assert record(5, 2, by_engine=True) == record(5, 2)


def test_an_engine_without_a_data_set_is_seeded_too():
    drawn = []
    engine = Engine(lambda engine, batch: drawn.append(torch.rand(1).item()))
    EpochSeed(7).attach(engine)
    for _ in range(2):
        engine.run([0, 1])
    assert drawn[:2] == drawn[2:]
    assert drawn[0] != drawn[1]
