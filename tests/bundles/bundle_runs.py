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

"""How the tests run the bundle: as a user's command, or as MONAI's workflow in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

BUNDLE = Path(__file__).parents[2] / "bundles" / "chest_xray_advexplain"
SMALL = {"image_size": [64, 64]}


RUN_IDS = {
    "train_classifier": ("training", "train"),
    "train": ("training", "train"),
    "evaluate": ("evaluating", "inference"),
    "inference": ("inferring", "inference"),
}


@dataclass(frozen=True)
class Trained:
    """Folders that the three commands left behind."""

    dataset_dir: Path
    model_dir: Path
    output_dir: Path

    @property
    def options(self) -> dict[str, Any]:
        """Entries of ``inference.json`` to override."""
        return {**SMALL, "model_dir": str(self.model_dir)}


def command(run_id: str, config: str, root: Path = BUNDLE, **overrides: Any) -> subprocess.CompletedProcess:
    """``python -m monai.bundle run <run_id>`` in a process of its own; ``run_id`` may be empty."""
    given = {"bundle_root": root, "config_file": root / "configs" / f"{config}.json", **overrides}
    arguments = [
        part
        for name, value in given.items()
        for part in (f"--{name}", value if isinstance(value, str) else json.dumps(value, default=str).strip('"'))
    ]
    return subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", *filter(None, [run_id]), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def three_commands(
    folder: Path, dataset_dir: Path, root: Path = BUNDLE, small: dict[str, Any] = SMALL, epochs: int = 1
) -> dict[str, Path]:
    """Train the classifier, train the explainer and evaluate, one after the other; the folders with what they left."""
    folders = {"dataset_dir": dataset_dir, "model_dir": folder / "models", "output_dir": folder / "output"}
    for run_id, config, options in (
        ("training", "train_classifier", {"epochs": 1, "val_interval": 1}),
        ("training", "train", {"epochs": epochs, "val_interval": epochs}),
        ("evaluating", "evaluate", {"n_pictures": 2}),
    ):
        done = command(run_id, config, root, **small, **folders, **options)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return folders


def workflow(config: str, workflow_type: str = "train", root: Path = BUNDLE, **overrides: Any) -> ConfigWorkflow:
    """MONAI's workflow of a config, not yet initialised."""
    paths = {name: str(value) if isinstance(value, Path) else value for name, value in overrides.items()}
    return ConfigWorkflow(
        str(root / "configs" / f"{config}.json"),
        workflow_type=workflow_type,
        logging_file=False,
        **{"bundle_root": str(root), **paths},
    )


def run(config: str, workflow_type: str = "train", **overrides: Any) -> ConfigWorkflow:
    """Run a config in this process, as the command does."""
    flow = workflow(config, workflow_type, **overrides)
    flow.initialize()
    flow.run()
    flow.finalize()
    return flow


def messages(error: BaseException | None) -> str:
    """What an error and all that caused it say: MONAI wraps errors in its own."""
    said = []
    while error is not None:
        said.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(said)
