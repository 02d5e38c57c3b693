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

"""A run that was killed and resumed ends as one never stopped; a checkpoint is never half-written."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

TRAINING = """
import json, os, signal, sys
import torch
from monai.data import DataLoader, Dataset
from monai.handlers import LrScheduleHandler
from monai.transforms import Compose, RandFlipd, RandGaussianNoised
from monai.networks.nets import PatchDiscriminator
from monai_advexplain import Expectation, ExplainerLoss, JointExplainerTrainer
from monai_advexplain.engines.trainer import IterationEvents
from monai_advexplain.explainers import GeometricAveraging, ProposedExplainer
from monai_advexplain.handlers import AtomicCheckpointSaver, EpochSeed, MovingAverage, Resume, loss_terms
from monai_advexplain.networks import DecisionDiscriminator, DecisionDomainGenerators, DomainExplainerNet, Frozen
from monai_advexplain.transforms.random_affine import AffineRange
from tests.small import classifier, explainer_net, images, trunk


def adversarial_parts(objects):
    generators = DecisionDomainGenerators(trunk(), trunk(), Frozen(classifier()), features=4, hidden=4)
    discriminator = DecisionDiscriminator(PatchDiscriminator(2, 4, 1, 2, num_layers_d=1, norm="INSTANCE"))
    parts = {
        "discriminator": discriminator,
        "discriminator_optimizer": torch.optim.Adam(discriminator.parameters(), lr=1e-3),
    }
    objects |= parts
    return DomainExplainerNet(generators, size_divisor=2), {"loss_function": ExplainerLoss("syce"), **parts}


def mean_teacher(net, objects):
    average = MovingAverage(net, momentum=0.1)
    objects["average"] = average.model
    teacher = GeometricAveraging(ProposedExplainer(average.network), n=2, seed=None)
    return average, {"loss_function": ExplainerLoss(weights={"consistency": 20.0}), "teacher": teacher}


def train(folder, log, resume=False, kill_at=0, epochs=4, recipe="similar_adversarial"):
    torch.manual_seed(100 + resume)  # nothing may depend on the state in which a process starts
    random = Compose([RandFlipd("image", prob=0.5, spatial_axis=0), RandGaussianNoised("image", prob=0.8, std=0.1)])
    loader = DataLoader(Dataset([{"image": image} for image in images(10)], random), batch_size=3, shuffle=True)
    objects, more = {}, {}
    if recipe == "syce":
        net, more = adversarial_parts(objects)
    else:
        net = explainer_net(seed=3 + resume)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=epochs * len(loader))
    objects |= {"network": net, "optimizer": optimizer, "schedule": schedule}
    handlers = [EpochSeed(7), LrScheduleHandler(schedule, print_lr=False, epoch_level=False)]
    if recipe == "mean_teacher":
        average, more = mean_teacher(net, objects)
        handlers += [average]
    handlers += [Resume(folder, objects)] if resume else []
    handlers += [AtomicCheckpointSaver(folder, objects, include_engine=True, save_interval=1, n_saved=1)]
    expectation = Expectation(AffineRange(rotation=5, translation=0.05), noise=0.05, samples=2)
    trainer = JointExplainerTrainer(
        "cpu", epochs, loader, net, classifier(), optimizer, expectation=expectation, train_handlers=handlers, **more
    )
    file = open(os.path.join(folder, log), "w")

    def write(engine):
        terms = {name: value.hex() for name, value in loss_terms(engine.state.output).items()}
        print(json.dumps([engine.state.iteration, terms]), file=file, flush=True)
        if engine.state.iteration == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer.add_event_handler(IterationEvents.MODEL_COMPLETED, write)
    trainer.run()
    weights = {name: objects[name].state_dict() for name in ("network", "discriminator", "average") if name in objects}
    torch.save({f"{part}.{name}": value for part in weights for name, value in weights[part].items()},
               os.path.join(folder, "final.pt"))


# Every run is a process of its own, forked when all is imported and nothing is drawn or computed.
torch.set_num_threads(1)
for arguments in json.loads(sys.argv[2]):
    process = os.fork()
    if process == 0:
        train(**arguments)
        sys.stdout.flush()
        os._exit(0)
    print("ended with", os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""

SAVING = """
import os, signal, sys
import torch
from ignite.engine import Engine, Events
from monai_advexplain.handlers.checkpoint import AtomicCheckpointSaver

class Killer:
    # Pickled when the file is already open.
    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGKILL)

class Objects:
    epoch = 0

    def state_dict(self):
        weights = {"epoch": torch.full((100_000,), float(engine.state.epoch))}
        return weights | ({"killer": Killer()} if engine.state.epoch == 3 else {})

engine = Engine(lambda engine, batch: None)
kwargs = {"save_interval": 1, "n_saved": 1}
AtomicCheckpointSaver(sys.argv[1], {"objects": Objects()}, include_engine=True, **kwargs).attach(engine)
engine.run([0], max_epochs=5)
"""


def python(script, folder, *arguments):
    """A script in a process of its own, completed or killed."""
    path = Path(folder) / "script.py"
    path.write_text(script)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(path), str(folder), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def read_log(path):
    return dict(json.loads(line) for line in path.read_text().splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["similar_adversarial", "syce", "mean_teacher"])
def test_a_run_killed_in_mid_epoch_and_resumed_ends_bit_for_bit_as_one_never_stopped(recipe, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    runs = [
        {"folder": str(whole), "log": "log"},
        {"folder": str(killed), "log": "log", "kill_at": 10},  # four iterations an epoch: in the third
        {"folder": str(killed), "log": "resumed.log", "resume": True},
    ]
    done = python(TRAINING, tmp_path, json.dumps([{**run, "recipe": recipe} for run in runs]))
    ends = re.findall(r"ended with (-?\d+)", done.stdout)
    assert ends == ["0", str(-signal.SIGKILL), "0"], done.stderr

    expected, stopped, resumed = (read_log(path) for path in (whole / "log", killed / "log", killed / "resumed.log"))
    assert list(expected) == list(range(1, 17))
    assert list(stopped) == list(range(1, 11))
    assert list(resumed) == list(range(9, 17))
    assert all(stopped[i] == expected[i] for i in stopped)
    assert all(resumed[i] == expected[i] for i in resumed)
    assert len({terms["loss"] for terms in expected.values()}) == 16
    final, of_resumed = (torch.load(folder / "final.pt", weights_only=True) for folder in (whole, killed))
    assert final.keys() == of_resumed.keys()
    assert all(torch.equal(value, of_resumed[name]) for name, value in final.items())
    judged = {name for terms in expected.values() for name in terms if name.startswith("loss/discriminator_")}
    assert len(judged) == (3 if recipe == "syce" else 0)


@pytest.mark.slow
def test_a_process_killed_while_it_saves_leaves_the_checkpoint_before_intact(tmp_path):
    done = python(SAVING, tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert {path.name for path in tmp_path.glob("checkpoint*")} == {"checkpoint_epoch=2.pt"}
    checkpoint = torch.load(tmp_path / "checkpoint_epoch=2.pt", weights_only=True)
    assert torch.equal(checkpoint["objects"]["epoch"], torch.full((100_000,), 2.0))
    assert checkpoint["trainer"]["iteration"] == 2
    # What had been begun lies under another name, and Resume does not take it.
    (begun,) = [path for path in tmp_path.iterdir() if path.suffix == "" and path.name.startswith("tmp")]
    assert "checkpoint_epoch" not in begun.name
