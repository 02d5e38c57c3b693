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

"""Sources for the tests of written DICOM, and what is written for each of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from monai.data import MetaTensor

from monai_advexplain.dicom import write_parametric_map, write_secondary_capture, write_segmentation
from tests.dicom import sources

PLACED = ("mr_series", "ct_series", "multi_frame")
UNPLACED = ("radiograph",)


class Written(NamedTuple):
    """A source, its explanation, and the files that were written."""

    source: sources.Source
    explanation: MetaTensor
    map32: Path
    map16: Path
    segmentation: Path
    captures: list[Path]

    @property
    def files(self) -> list[Path]:
        return [self.map32, self.map16, self.segmentation, *self.captures]


@pytest.fixture(scope="session")
def write(tmp_path_factory) -> Callable[[str], Written]:
    """Kind of source -> what is written for it, once a session."""

    @cache
    def of(kind: str) -> Written:
        folder = tmp_path_factory.mktemp(kind)
        source = getattr(sources, kind)(folder / "source")
        explanation = sources.random_map(source)
        capture = folder / ("capture" if explanation.ndim == 4 else "capture.dcm")
        return Written(
            source,
            explanation,
            write_parametric_map(explanation, source.files, folder / "map32.dcm"),
            write_parametric_map(explanation, source.files, folder / "map16.dcm", bits=16),
            write_segmentation(explanation, source.files, folder / "segmentation.dcm", share=0.1),
            write_secondary_capture(explanation, source.image, source.files, capture),
        )

    return of


@pytest.fixture(params=[*PLACED, *UNPLACED])
def written(request, write) -> Written:
    """What is written for a source of any kind."""
    return write(request.param)


@pytest.fixture(params=PLACED)
def placed(request, write) -> Written:
    """What is written for a source whose frames have a position in the patient."""
    return write(request.param)
