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

"""Where the checks work: brief trainings by the bundle's own configs, each in a folder of its own, and made once."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from torch import Tensor

from monai_advexplain._version import __version__
from monai_advexplain.benchmark.describe import describe
from monai_advexplain.benchmark.records import write_atomically
from monai_advexplain.data.splits import spread
from monai_advexplain.networks.loading import load_weights
from monai_advexplain.sanity.pictures import COUNT, map_grid, picture_path
from monai_advexplain.sanity.randomised import deciding, randomised
from monai_advexplain.sanity.similarity import foreground, map_similarity
from monai_advexplain.sanity.subject import Images, Subject
from monai_advexplain.transforms.overlay import save_figure

Entries = Mapping[str, Any]
NEVER = 10**9  # epochs: the trainings of the checks are not validated


class Workbench:
    """A bundle, the settings of its checks and a folder for what they make.

    A training is known by its config, its entries and the classifier's file: the same one is not made twice, and one
    that was stopped goes on from its last epoch.

    Args:
        bundle_root: the bundle's folder.
        output_dir: folder of results and trained networks.
        settings: as in ``configs/check.json``, see docs/check.md.
    """

    def __init__(self, bundle_root: Path, output_dir: Path, settings: Entries) -> None:
        self.bundle_root = bundle_root
        self.output_dir = output_dir
        self.settings = settings

    def subject(self, **entries: Any) -> Subject:
        """The bundle's evaluation; a retrained network comes with ``model_path``, another classifier with
        ``classifier_path``."""
        given = {**self.settings["bundle"], **_only_network(self.settings["explainer"])}
        return Subject(self.bundle_root, {**given, **{name: _plain(value) for name, value in entries.items()}})

    @cached_property
    def bundle(self) -> Subject:
        """The bundle as it is."""
        return self.subject()

    @cached_property
    def classifier_path(self) -> Path:
        """The bundle's classifier."""
        return Path(self.bundle.entry("classifier_path"))

    @cached_property
    def images(self) -> Images:
        """The images that the checks explain."""
        return self.bundle.load(self.settings["split"], self.settings["images"])

    def similarity(self, maps: Tensor, others: Tensor) -> dict[str, np.ndarray]:
        """:func:`map_similarity` of maps of :attr:`images`, ranks in their foreground only."""
        return map_similarity(maps, others, foreground(self.images.images, self.settings["foreground"]))

    def train_classifier(self, **entries: Any) -> Path:
        """Train a classifier by ``train_classifier.json``; returns its file."""
        path = self._train("train_classifier", "classifier.pt", {**self.settings["classifier"], **entries})
        self._check_replaced(path)
        return path

    def train_explainer(self, classifier_path: Path, **entries: Any) -> Path:
        """Train the generators against a classifier by ``train.json``; returns their file."""
        own = {**self.settings["explainer"], **entries, "classifier_path": str(classifier_path)}
        return self._train("train", "model.pt", own, _digest(classifier_path))

    def _train(self, config: str, filename: str, entries: Entries, classifier: str = "") -> Path:
        path = self.bundle_root / "configs" / f"{config}.json"
        given = {**self.settings["bundle"], **{name: _plain(value) for name, value in entries.items()}}
        training = f"@splits['training'], {self.settings['training_images']}, {given.pop('label_seed', None)}"
        if "train#dataset#data" in given:
            raise ValueError("train#dataset#data is what the checks themselves set: set training_images instead.")
        given["train#dataset#data"] = f"$monai_advexplain.sanity.training_items({training})"
        asked = [__version__, ConfigParser.load_config_file(str(path)), given, classifier]
        folder = self.output_dir / "trained" / f"{config}-{hashlib.sha256(_json(asked).encode()).hexdigest()[:12]}"
        if not (folder / filename).is_file():
            work = folder / "work"
            own = {
                "model_dir": str(folder),
                "model_filename": filename,
                "output_dir": str(work),
                "resume": work.is_dir(),
            }
            brief = {
                "bundle_root": str(self.bundle_root),
                "tensorboard": False,
                "val_interval": NEVER,
                "validate#dataset#data": "$@splits['validation'][:1]",  # not looked at, but loaded
            }
            flow = ConfigWorkflow(
                str(path), workflow_type="train", logging_file=False, run_id="training", **{**brief, **given, **own}
            )
            flow.initialize()
            flow.run()
            flow.finalize()
            shutil.rmtree(work)
        return folder / filename

    def randomise_classifier(self, count: int | None = None) -> Path:
        """Write the bundle's classifier with its last ``count`` layers randomised; returns its file.

        None: all, and :func:`deciding`, since generators are to be trained against it.

        Raises:
            ValueError: when the configs' classifier is not the file ``classifier_path`` in the network
                ``classifier_def``, so that no other one can take its place.
        """
        seed = self.settings["seed"]
        name = (
            f"randomised-{'all-deciding' if count is None else count}-seed{seed}-{_digest(self.classifier_path)[:12]}"
        )
        path = self.output_dir / "trained" / name / "classifier.pt"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")
            intact = self.classifier_network()
            drawn = randomised(intact, count, seed)
            if count is None:
                deciding(drawn, intact, self.images.images.cpu())
            torch.save(drawn.state_dict(), unfinished)
            unfinished.replace(path)
        self._check_replaced(path)
        return path

    def _check_replaced(self, path: Path) -> None:
        if describe(self.subject(classifier_path=path).classifier) == describe(self.bundle.classifier):
            raise ValueError(
                "the bundle's classifier does not follow the entries classifier_path and classifier_def of its "
                "configs, so that no other one can take its place: declare it by them, or turn model_randomisation, "
                "cascading_randomisation, label_randomisation and confounder off in configs/check.json."
            )

    def classifier_network(self) -> torch.nn.Module:
        """The bundle's classifier as a network of torch modules, a new one at each call."""
        network = self.subject().entry("classifier_def")
        if not isinstance(network, torch.nn.Module):
            raise ValueError(f"classifier_def must be a network to randomise it, got {type(network).__name__}.")
        return load_weights(self.classifier_path, network)

    def draw(self, check: str, images: Tensor, maps: Mapping[str, Tensor], outline: Tensor | None = None) -> None:
        """Write the picture of a check: some of its images under their maps."""
        few = torch.as_tensor(spread(range(len(images)), COUNT), device=images.device)
        shown = {title: one[few] for title, one in maps.items()}
        figure = map_grid(images[few], shown, None if outline is None else outline[few])
        save_figure(figure, picture_path(self.output_dir, check))

    def kept(self, name: str, asked: Any, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What ``measure`` returns, from its file when the same was asked before."""
        path = self.output_dir / "checks" / f"{name}.json"
        asked = json.loads(_json(asked))
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if found.get("asked") != asked:
            text = json.dumps({"asked": asked, "result": measure()}, default=_as_list)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text + "\n")
            found = json.loads(text)
        result: dict[str, Any] = found["result"]
        return result


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _as_list(values: Any) -> list[Any]:
    """An array of scores as JSON takes it."""
    listed: list[Any] = values.tolist()
    return listed


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _only_network(entries: Entries) -> dict[str, Any]:
    """Entries of a training that change the network, which its evaluation must share."""
    return {name: value for name, value in entries.items() if name.startswith("network_def")}
