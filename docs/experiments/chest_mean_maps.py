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

"""Where explanations of radiographs lie on average, with and without ``standardised.json``; no image is drawn.

    python docs/experiments/chest_mean_maps.py DATA MODELS STANDARDISED_MODELS PICTURE.png

Prints the share of the map's mass outside the middle three quarters of each axis and the rank correlation of both maps
of an image there, means over the test split.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from monai.bundle import ConfigParser
from scipy.stats import spearmanr
from skimage.transform import resize

BUNDLE = Path(__file__).parents[2] / "bundles" / "chest_xray_advexplain"
SIZE = 256
MIDDLE = (slice(SIZE // 8, -SIZE // 8),) * 2


def _maps(dataset_dir: str, model_dir: str, *overlays: str) -> np.ndarray:
    """Maps (N, 256, 256) of the test split in the image's frame, zero outside of what the network sees."""
    files = [str(BUNDLE / "configs" / f"{name}.json") for name in ("evaluate", *overlays)]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    parser.update({"bundle_root": str(BUNDLE), "dataset_dir": dataset_dir, "model_dir": model_dir})
    network, preprocessing = parser.get_parsed_content("network"), parser.get_parsed_content("preprocessing")
    frame = MIDDLE if overlays else (slice(None),) * 2
    maps = np.zeros((len(items := parser.get_parsed_content("splits")["test"]), SIZE, SIZE))
    with torch.no_grad():
        for one, item in zip(maps, items, strict=True):
            found = network(torch.as_tensor(np.asarray(preprocessing(item)["image"]))[None].float())[0, 0].numpy()
            one[frame] = resize(found, one[frame].shape)
    return maps / maps.sum(axis=(1, 2), keepdims=True)


def main(dataset_dir: str, model_dir: str, standardised_dir: str, picture: str) -> None:
    """Print the numbers and write the picture."""
    plain, standardised = _maps(dataset_dir, model_dir), _maps(dataset_dir, standardised_dir, "standardised")
    inside = plain[:, MIDDLE[0], MIDDLE[1]]
    share = 1 - inside.sum(axis=(1, 2)).mean()
    pairs = zip(inside, standardised[:, MIDDLE[0], MIDDLE[1]], strict=True)
    alike = np.mean([spearmanr(a[::4, ::4].ravel(), b[::4, ::4].ravel()).statistic for a, b in pairs])
    print(f"{len(plain)} images; mass outside the middle, images as they are: {share:.3f} (a constant map: 0.438)")
    print(f"Spearman correlation of both maps of an image, in the middle: {alike:.3f}")
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    for axes, title, maps in zip(
        figure.subplots(1, 2), ("as they are", "standardised"), (plain, standardised), strict=True
    ):
        axes.imshow(maps.mean(axis=0).T, cmap="inferno", vmin=0)  # arrays are x first
        axes.set(title=title, xticks=[], yticks=[])
    figure.savefig(picture, dpi=100)


if __name__ == "__main__":
    main(*sys.argv[1:])
