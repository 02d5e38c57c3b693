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

"""Checkpoints that are never half-written, and training that goes on from them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine
from ignite.handlers import DiskSaver
from monai.handlers import CheckpointLoader, CheckpointSaver

logger = logging.getLogger(__name__)


class _AtomicDiskSaver(DiskSaver):
    """Writes to a temporary file and renames it; a file is removed only once the next one is in place.

    (Ignite removes the oldest checkpoint before it writes the new one.)
    """

    def __init__(self, folder: str, filename: str | None) -> None:
        super().__init__(folder, atomic=True, require_empty=False)
        self.filename = filename
        self._outdated: list[str] = []

    def __call__(self, checkpoint: Mapping, filename: str, metadata: Mapping | None = None) -> None:
        super().__call__(checkpoint, self.filename or filename, metadata)
        while self._outdated:
            outdated = self._outdated.pop()
            if outdated != filename:
                super().remove(outdated)

    def remove(self, filename: str) -> None:
        if self.filename is None:  # else the next one takes its place
            self._outdated.append(filename)


class AtomicCheckpointSaver(CheckpointSaver):
    """``monai.handlers.CheckpointSaver`` that writes to a temporary file and renames it.

    A process killed while it saves leaves the checkpoint before intact, and a run that fails leaves the final
    checkpoint of an earlier run as it was (the interval checkpoints are there to go on from).

    Args:
        save_dir: folder of the checkpoints.
        save_dict: name -> object with a state dict.
        include_engine: whether to save the engine that it is attached to, as ``trainer``: what :class:`Resume` needs.
            (In a bundle's config the engine cannot stand in ``save_dict``, since it refers to its handlers itself.)
        kwargs: see ``monai.handlers.CheckpointSaver``.
    """

    def __init__(
        self, save_dir: str, save_dict: Mapping[str, Any], include_engine: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(save_dir, dict(save_dict), **kwargs)
        self.include_engine = include_engine
        for checkpoint in (self._final_checkpoint, self._key_metric_checkpoint, self._interval_checkpoint):
            if checkpoint is not None:
                filename = getattr(checkpoint.save_handler, "filename", None)
                checkpoint.save_handler = _AtomicDiskSaver(save_dir, filename)

    def attach(self, engine: Engine) -> None:
        """Attach to ``engine``."""
        if self.include_engine:
            self.save_dict["trainer"] = engine  # the dictionary that Ignite's Checkpoints hold too
        super().attach(engine)

    def exception_raised(self, engine: Engine, e: Exception) -> None:
        """Save nothing: the final checkpoint of an earlier, complete run is worth more than this one's."""
        raise e


class Resume:
    """Goes on from the last ``checkpoint_epoch=N.pt`` of a folder; starts from scratch when there is none.

    With :class:`~monai_advexplain.handlers.EpochSeed` the run ends as one that was never stopped.

    Args:
        folder: where an :class:`AtomicCheckpointSaver` with ``include_engine`` and ``save_interval`` saves.
        load_dict: name -> object, as given to the saver.
    """

    def __init__(self, folder: str | Path, load_dict: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.load_dict = dict(load_dict)

    def attach(self, engine: Engine) -> None:
        """Attach to ``engine``, a trainer."""
        path = latest_checkpoint(self.folder)
        if path is None:
            logger.warning("no checkpoint_epoch=N.pt in %s to resume from: training starts from scratch.", self.folder)
            return
        CheckpointLoader(path, {**self.load_dict, "trainer": engine}).attach(engine)


def latest_checkpoint(folder: str | Path) -> str | None:
    """The ``checkpoint_epoch=N.pt`` of the highest N in a folder, or None."""
    paths = [p for p in Path(folder).glob("checkpoint_epoch=*.pt") if re.fullmatch(r"\d+", p.stem.split("=")[1])]
    return str(max(paths, key=lambda p: int(p.stem.split("=")[1]))) if paths else None
