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

"""PictureGrid: some images of a run side by side, to a file, TensorBoard and MLflow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Workflow
from monai.utils import convert_to_tensor
from torch import Tensor

from monai_advexplain.engines.keys import ExplainerKeys
from monai_advexplain.transforms.overlay import picture_grid, save_figure


class PictureGrid:
    """Draws image, similar, adversarial, explanation, overlay and, if there is one, ground truth of the first images.

    Images with a ground truth come first, then those that are decided "yes".

    Args:
        path: PNG to write after every epoch of the evaluator, with ``{epoch}`` replaced by the global epoch.
        n_images: number of rows.
        summary_writer: a TensorBoard ``SummaryWriter`` that gets the picture too.
        log_artifact: called with the file's path, for instance MLflow's ``log_artifact``.
        tag: name of the picture in TensorBoard.
    """

    def __init__(
        self,
        path: str | Path,
        n_images: int = 6,
        summary_writer: Any = None,
        log_artifact: Callable[[str], Any] | None = None,
        tag: str = "explanations",
    ) -> None:
        self.path = str(path)
        self.n_images = n_images
        self.summary_writer = summary_writer
        self.log_artifact = log_artifact
        self.tag = tag
        self._rows: list[tuple[int, dict[str, Tensor], str]] = []

    def attach(self, engine: Workflow) -> None:
        """Attach to ``engine``, an ExplainerEvaluator that decollates."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._reset)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _reset(self) -> None:
        self._rows = []

    def _collect(self, engine: Workflow) -> None:
        for output in engine.state.output:
            mask = output.get(ExplainerKeys.MASK)
            has_mask = mask is not None and bool(mask.any())
            rank = 0 if has_mask else 1 if bool(output.get(ExplainerKeys.DECISION, False)) else 2
            keys = ("image", ExplainerKeys.SIMILAR, ExplainerKeys.ADVERSARIAL, ExplainerKeys.EXPLANATION)
            row = {str(key): _plain(output[key]) for key in keys}
            row["overlay"] = row["explanation"]
            row["ground truth"] = _plain(mask) if mask is not None else torch.zeros_like(row["explanation"])
            self._rows.append((rank, row, _title(output)))
        self._rows = sorted(self._rows, key=lambda r: r[0])[: self.n_images]  # stable: first seen first

    def __call__(self, engine: Workflow) -> None:
        """Draw what was collected in the epoch."""
        if not self._rows:
            return
        rows = [row for _, row, _ in self._rows]
        columns = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        if not columns["ground truth"].any():
            del columns["ground truth"]
        figure = picture_grid(columns, row_titles=[title for _, _, title in self._rows])
        path = self.path.format(epoch=engine.state.epoch)
        save_figure(figure, path)
        if self.summary_writer is not None:
            figure.canvas.draw()
            pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
            self.summary_writer.add_image(self.tag, pixels, engine.state.epoch, dataformats="HWC")
        if self.log_artifact is not None:
            self.log_artifact(path)


def _plain(image: Tensor) -> Tensor:
    return convert_to_tensor(image, track_meta=False).detach().cpu()


def _title(output: Any) -> str:
    if ExplainerKeys.PROBABILITY not in output:
        return ""
    keys = (ExplainerKeys.PROBABILITY, ExplainerKeys.PROBABILITY_SIMILAR, ExplainerKeys.PROBABILITY_ADVERSARIAL)
    return "p = {:.2f}\np_s = {:.2f}\np_a = {:.2f}".format(*(float(output[key]) for key in keys))
