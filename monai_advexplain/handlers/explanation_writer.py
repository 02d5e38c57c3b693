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

"""ExplanationWriter: maps, generated images, overlay and scores of every explained image as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from ignite.engine import Events
from monai.engines import Workflow
from monai.transforms import ResampleToMatch

from monai_advexplain.explanation import Explanation
from monai_advexplain.inferers.outputs import RESULTS, ExplanationFiles
from monai_advexplain.transforms.load_image import LoadMedicalImage


class ExplanationWriter:
    """Writes for every image of an :class:`~monai_advexplain.engines.ExplainerEvaluator`'s run:

    * ``<name>_explanation.nii.gz``, ``<name>_similar.nii.gz``, ``<name>_adversarial.nii.gz``, in the geometry that the
      evaluator's post-processing gave them (invert the pre-processing there);
    * ``<name>_overlay.png``, the explanation over the image with a colour bar;
    * one line of ``results.jsonl``: input, decision, probabilities of x, g_s(x) and g_a(x), flipped, preserved, files.

    Args:
        output_dir: folder, made when missing; files of the same names are replaced.
        load_image: file name -> image (C, *spatial) for the overlay, in the file's own grid. Where that is not the
            map's, as a file of a DICOM series is not, the image that the network saw is drawn instead.
    """

    def __init__(self, output_dir: str | Path, load_image: Callable[[str], Any] | None = None) -> None:
        self.output_dir = Path(output_dir)
        self.load_image = load_image
        self._results: TextIO | None = None
        self._files = ExplanationFiles(output_dir, overwrite=True)

    def attach(self, engine: Workflow) -> None:
        """Attach to ``engine``, an evaluator that decollates."""
        engine.add_event_handler(Events.STARTED, self._open)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _open(self) -> None:
        self.output_dir.mkdir(parents=True, exist_ok=True)
        self._files = ExplanationFiles(self.output_dir, overwrite=True)
        self._results = open(self.output_dir / RESULTS, "w", encoding="utf-8")  # noqa: SIM115  # closed by events

    def _close(self) -> None:
        if self._results is not None:
            self._results.close()
            self._results = None

    def _fail(self, engine: Workflow, error: BaseException) -> None:
        self._close()
        raise error

    def __call__(self, engine: Workflow) -> None:
        """Write the images of the iteration that completed."""
        for output in engine.state.output:
            line = self.write(output)
            if self._results is not None:
                self._results.write(json.dumps(line) + "\n")
                self._results.flush()

    def write(self, output: Mapping[str, Any]) -> dict[str, Any]:
        """Write the files of one image.

        Args:
            output: its entry of the evaluator's output.

        Returns:
            Its line of ``results.jsonl``.
        """
        explanation = Explanation.from_output(output)
        load_image = self.load_image or LoadMedicalImage(channels=len(explanation.similar))
        image = load_image(explanation.input) if explanation.input else output["image"]
        if image.shape[1:] != explanation.map.shape[1:]:  # one file of a series, or of a tensor what the network saw
            image = ResampleToMatch(mode="bilinear")(output["image"], explanation.map)
        name = self._files.name([explanation.input or "image"])
        return explanation.scores() | self._files.write(name, replace(explanation, image=image))
