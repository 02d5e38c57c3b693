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

"""Data of the tutorials: little images, every second one with a bright spot, which is what a classifier learns."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn


def toy_items(n: int, seed: int, size: int = 32) -> list[dict[str, Tensor]]:
    """Items as a MONAI dataset takes them: image (1, W, H) in [0, 1], label (1,), mask (1, W, H) of the spot."""
    rng = np.random.default_rng(seed)
    x, y = np.mgrid[:size, :size]
    items = []
    for i in range(n):
        image = 0.35 + 0.06 * rng.standard_normal() + 1.2 * gaussian_filter(rng.standard_normal((size, size)) * 0.2, 2)
        cx, cy, label = *rng.uniform(0.2 * size, 0.8 * size, 2), i % 2
        spot = label * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * (0.07 * size) ** 2))
        arrays = {"image": np.clip(image + 0.4 * spot, 0, 1)[None], "mask": spot[None] > 0.3, "label": [label]}
        items.append({name: torch.as_tensor(np.asarray(array), dtype=torch.float32) for name, array in arrays.items()})
    return items


def stacked(items: list[dict[str, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """(images, labels, masks) of all items."""
    images, labels, masks = (torch.stack([item[name] for item in items]) for name in ("image", "label", "mask"))
    return images, labels, masks


def train_plainly(classifier: nn.Module, images: Tensor, labels: Tensor, steps: int = 80) -> None:
    """Train a classifier of one logit as one does, so that the tutorials which are about something else can begin."""
    optimizer = torch.optim.AdamW(classifier.parameters(), 3e-3)
    for _ in range(steps):
        chosen = torch.randint(len(images), (32,))
        loss = nn.functional.binary_cross_entropy_with_logits(classifier(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    classifier.eval()
