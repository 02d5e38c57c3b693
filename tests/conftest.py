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

"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monai_advexplain.data import write_chest_phantom


@pytest.fixture(scope="session")
def phantom_dir(tmp_path_factory) -> Path:
    """A chest phantom of 48 images of 64 pixels in the RSNA layout."""
    return write_chest_phantom(tmp_path_factory.mktemp("data") / "phantom", n_images=48, size=64, progress=False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets; the test is skipped where it is missing."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ADVEXPLAIN_REAL_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set ADVEXPLAIN_REAL_DATA")
    return folder
