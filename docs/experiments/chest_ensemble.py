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

"""Do several trainings of the radiographs' classifier decide better together? AUC of each and of their mean margin.

python docs/experiments/chest_ensemble.py CHEST_XRAY MODEL_DIR...  # folders with a classifier.pt each
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from sklearn.metrics import roc_auc_score

from monai_advexplain.networks import load_classifier

BUNDLE = Path("bundles/chest_xray_advexplain")


def parsed(dataset_dir: str, split: str) -> ConfigParser:
    """``evaluate.json`` with ``standardised.json``, not parsed yet."""
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / "configs" / f"{name}.json") for name in ("evaluate", "standardised")])
    parser.update({"bundle_root": str(BUNDLE), "dataset_dir": dataset_dir, "split": split})
    return parser


@torch.no_grad()
def main(dataset_dir: str, *folders: str) -> None:
    """Print the AUC of each classifier and of the mean of all, on validation and test."""
    classifiers = []
    for folder in folders:
        network = parsed(dataset_dir, "test").get_parsed_content("classifier_def")
        classifiers.append(load_classifier(Path(folder) / "classifier.pt", network))
    for split in ("validation", "test"):
        margins, labels = [], []
        for batch in parsed(dataset_dir, split).get_parsed_content("dataloader"):
            images = batch["image"].as_tensor().float()
            margins.append(torch.stack([classifier(images).flatten() for classifier in classifiers]))
            labels.append(batch["label"].flatten())
        scores, truth = torch.cat(margins, dim=1), torch.cat(labels).numpy()
        each = ", ".join(f"{roc_auc_score(truth, one.numpy()):.3f}" for one in scores)
        print(f"{split}, {len(truth)} images: {each}; together {roc_auc_score(truth, scores.mean(dim=0).numpy()):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
