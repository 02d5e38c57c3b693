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

"""A classifier and an explainer that the bundle's own commands trained, once for all its tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from monai.utils import set_determinism

from tests.bundles.bundle_runs import Trained, three_commands


@pytest.fixture(scope="session")
def trained(phantom_dir, tmp_path_factory) -> Trained:
    """The three commands of the bundle, run one after the other on the phantom."""
    return Trained(**three_commands(tmp_path_factory.mktemp("bundle"), phantom_dir, epochs=2))


@pytest.fixture(autouse=True)
def undo_determinism():
    """The configs seed the process that they run in; other tests must not notice."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    yield
    set_determinism(None)
    torch.set_num_threads(threads)
    torch.set_rng_state(state)


@pytest.fixture
def schema(tmp_path) -> Path:
    """A copy of MONAI's schema: MONAI downloads nothing when the file is there."""
    name = "meta_schema_20240725.json"
    source = Path(__file__).parents[3] / "shared" / "schemas" / name
    if not source.is_file():
        pytest.skip(f"no {source}")
    return Path(shutil.copy(source, tmp_path / name))
