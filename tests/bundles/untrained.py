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

"""A bundle as it arrives somewhere else: a copy with weights that no training made."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from monai.bundle import ConfigParser

BUNDLES = Path(__file__).parents[2] / "bundles"
FLAT = ("brain_mri_advexplain", "chest_xray_advexplain")  # the 2D bundles
TRACKED = ("LICENSE", "configs", "docs")  # beside weights and outputs of whoever works in the folder


def untrained_copy(name: str, folder: Path, seed: int = 0) -> Path:
    """Copy a bundle into ``folder``, with random weights of its network and of its classifier.

    The network's last convolutions, zero in a new network, are random too, so that its images differ.
    """
    root = folder / name
    for part in TRACKED:
        copy = shutil.copytree if (BUNDLES / name / part).is_dir() else shutil.copy
        (root / part).parent.mkdir(parents=True, exist_ok=True)
        copy(BUNDLES / name / part, root / part)
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "inference.json"))
    (root / "models").mkdir()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        network, classifier = (parser.get_parsed_content(f"{part}_def") for part in ("network", "classifier"))
        for parameter in network.parameters():
            if not parameter.any() and parameter.ndim > 1:
                parameter.normal_(0.0, 0.3)
    torch.save(network.state_dict(), root / "models" / "model.pt")
    torch.save(classifier.state_dict(), root / "models" / "classifier.pt")
    return root
