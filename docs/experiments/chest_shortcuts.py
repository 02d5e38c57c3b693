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

"""How well the label of chest radiographs is told by what is no finding: exposure, sharpness, borders, the view.

    python docs/experiments/chest_shortcuts.py DATA

Area under the ROC curve of a logistic regression on a few numbers of each image, 5-fold cross-validation by patient
over the training and validation split (the test split is not looked at), on the bundle's images as they are and with
``standardised.json`` laid over.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
from monai.bundle import ConfigParser
from scipy.ndimage import gaussian_filter
from skimage.transform import resize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

BUNDLE = Path(__file__).parents[2] / "bundles" / "chest_xray_advexplain"


def _sharpness(image: np.ndarray) -> np.ndarray:
    """The logarithm of the standard deviation in four bands of spatial frequency."""
    smoother = [image, *(gaussian_filter(image, sigma) for sigma in (0.7, 1.4, 2.8, 5.6))]
    return np.log([np.std(a - b) + 1e-6 for a, b in pairwise(smoother)])


def _border(image: np.ndarray) -> np.ndarray:
    """Means of blocks in the outer sixth of the image."""
    blocks = resize(image, (24, 24), anti_aliasing=True)
    inside = np.zeros_like(blocks, dtype=bool)
    inside[4:-4, 4:-4] = True
    return blocks[~inside]


FEATURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "histogram of the grey levels, 32 bins": lambda image: np.histogram(image, 32, (0, 1))[0],
    "sharpness, 4 bands": _sharpness,
    "border, 24 x 24 blocks": _border,
    "lowest eighth, 16 x 2 blocks": lambda image: resize(
        image[:, -image.shape[1] // 8 :], (16, 2), anti_aliasing=True
    ).ravel(),
    "thumbnail of 8 x 8": lambda image: resize(image, (8, 8), anti_aliasing=True).ravel(),
}


def main(dataset_dir: str) -> None:
    """Print a table."""
    columns: dict[str, dict[str, float]] = {}
    for column, files in {"as they are": ["evaluate"], "standardised": ["evaluate", "standardised"]}.items():
        parser = ConfigParser(ConfigParser.load_config_files([str(BUNDLE / "configs" / f"{f}.json") for f in files]))
        parser.update({"bundle_root": str(BUNDLE), "dataset_dir": dataset_dir})
        splits, preprocessing = parser.get_parsed_content("splits"), parser.get_parsed_content("preprocessing")
        items = [item for split in ("training", "validation") for item in splits[split]]
        images = [np.asarray(preprocessing(item)["image"])[0] for item in items]
        labels, groups = (np.array([item[key] for item in items]) for key in ("label", "group"))
        views = [pydicom.dcmread(item["image"], stop_before_pixels=True).ViewPosition for item in items]
        table = {"the view, AP or PA": np.array([[float(view == "AP")] for view in views])}
        table |= {name: np.stack([feature(image) for image in images]) for name, feature in FEATURES.items()}
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=2000))
        for name, values in table.items():
            found = cross_val_predict(model, values, labels, groups=groups, cv=GroupKFold(5), method="predict_proba")
            columns.setdefault(name, {})[column] = roc_auc_score(labels, found[:, 1])
    print("| | as they are | standardised |\n|---|---|---|")
    for name, row in columns.items():
        print(f"| {name} | {row['as they are']:.3f} | {row['standardised']:.3f} |")


if __name__ == "__main__":
    main(sys.argv[1])
