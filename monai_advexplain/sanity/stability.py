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

"""Stability checks: maps of what is nearly the same image, or of generators trained anew, must be nearly the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from monai_advexplain.sanity.subject import PROPOSED
from monai_advexplain.sanity.workbench import Workbench


def noise_stability(bench: Workbench) -> dict[str, Any]:
    """Maps of images with and without a little Gaussian noise, by the bundle's generators and the attribution methods.

    Returns:
        A row for every method. Images whose decision the noise turns are left out (NaN): their map must change.
    """
    images, subject = bench.images.images, bench.bundle
    generator = torch.Generator().manual_seed(bench.settings["seed"])
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    noisy = (images + bench.settings["noise"] * noise).clamp(0, 1)
    turned = (subject.decided(images) != subject.decided(noisy)).cpu().numpy()
    rows = {}
    for method in (PROPOSED, *bench.settings["attribution_methods"]):
        alike = bench.similarity(subject.maps(method, images), subject.maps(method, noisy))
        rows[method] = {name: np.where(turned, np.nan, values) for name, values in alike.items()}
    return rows


def seed_stability(bench: Workbench) -> dict[str, Any]:
    """Maps of generators that were trained with one seed and another, equally briefly.

    Returns:
        The row ``seeds``, mean over the pairs of seeds, and the rates of each seed's generators.
    """
    images, seeds = bench.images.images, bench.settings["training_seeds"]
    subjects = {s: bench.subject(model_path=bench.train_explainer(bench.classifier_path, seed=s)) for s in seeds}
    maps = {seed: subject.maps(PROPOSED, images) for seed, subject in subjects.items()}
    bench.draw("seed_stability", images, {f"seed {seed}": one for seed, one in maps.items()})
    pairs = [bench.similarity(maps[a], maps[b]) for i, a in enumerate(seeds) for b in seeds[:i]]
    mean = {name: np.mean([pair[name] for pair in pairs], axis=0) for name in pairs[0]}
    return {"seeds": mean} | {f"seed {seed}": subject.rates(images) for seed, subject in subjects.items()}
