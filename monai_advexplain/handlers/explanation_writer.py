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
from pathlib import Path
from typing import Any, TextIO

from ignite.engine import Events
from monai.engines import Workflow
from monai.transforms import SaveImage

from monai_advexplain.explanation import Explanation
from monai_advexplain.transforms.load_image import LoadMedicalImaged
from monai_advexplain.transforms.overlay import overlay_figure, save_figure

RESULTS = "results.jsonl"


class ExplanationWriter:
    """Writes for every image of an :class:`~monai_advexplain.engines.ExplainerEvaluator`'s run:

    * ``<name>_explanation.nii.gz``, ``<name>_similar.nii.gz``, ``<name>_adversarial.nii.gz``, in the geometry that the
      evaluator's post-processing gave them (invert the pre-processing there);
    * ``<name>_overlay.png``, the explanation over the image with a colour bar;
    * one line of ``results.jsonl``: input, decision, probabilities of x, g_s(x) and g_a(x), flipped, preserved, files.

    Args:
        output_dir: folder, made when missing; files of the same names are replaced.
        load_image: file name -> image (C, *spatial) for the overlay, in the file's own grid.
    """

    def __init__(self, output_dir: str | Path, load_image: Callable[[str], Any] | None = None) -> None:
        self.output_dir = Path(output_dir)
        self.load_image = load_image or (lambda path: LoadMedicalImaged(keys="image")({"image": path})["image"])
        self._results: TextIO | None = None
        self._names: set[str] = set()

    def attach(self, engine: Workflow) -> None:
        """Attach to ``engine``, an evaluator that decollates."""
        engine.add_event_handler(Events.STARTED, self._open)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _open(self) -> None:
        self.output_dir.mkdir(parents=True, exist_ok=True)
        self._names = set()
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
        name = self._unique_name(explanation.input)
        line = explanation.scores()
        images = {
            "explanation": explanation.map,
            "similar": explanation.similar,
            "adversarial": explanation.adversarial,
        }
        for role, image in images.items():
            path = self.output_dir / f"{name}_{role}"
            SaveImage(output_ext=".nii.gz", resample=False, print_log=False)(image, filename=str(path))
            line[role] = f"{path.name}.nii.gz"
        original = self.load_image(explanation.input) if explanation.input else output["image"]
        title = f"decision {'yes' if explanation.decision else 'no'}, probability {explanation.probability:.2f}"
        overlay = self.output_dir / f"{name}_overlay.png"
        save_figure(overlay_figure(original, explanation.map, title=title), overlay)
        return line | {"overlay": overlay.name}

    def _unique_name(self, path: str) -> str:
        """The input's file name without its suffixes; numbered where two inputs share it."""
        name = Path(path).name or "image"
        for suffix in (".gz", ".nii", ".dcm", ".dicom", ".png", ".jpg", ".jpeg"):
            if name.lower().endswith(suffix):
                name = name[: -len(suffix)]
        unique, count = name, 1
        while unique in self._names:
            count += 1
            unique = f"{name}_{count}"
        self._names.add(unique)
        return unique
