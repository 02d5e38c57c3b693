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

"""The whole method on phantom radiographs: data, classifier, explainer, evaluation, table and pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monai.bundle import run

from monai_advexplain.benchmark.table import metrics_table
from monai_advexplain.data import write_chest_phantom

# Enough for the method to show on 2 CPU cores in minutes; `quick` only proves that everything runs.
FULL: dict[str, int] = {"n_images": 1200, "size": 96, "classifier_epochs": 25, "explainer_epochs": 8}
QUICK: dict[str, int] = {"n_images": 80, "size": 64, "classifier_epochs": 1, "explainer_epochs": 1}
# The phantom's lesions are small and their cause is certain: a classifier that tolerates noise, and an explainer that
# pays for every change under the same noise as dearly as the flip rate allows, find them. (Radiographs need the
# bundle's own, weaker settings.)
CLASSIFIER: dict[str, Any] = {"noise": 0.15}
EXPLAINER: dict[str, Any] = {
    "noise": 0.1,
    "learning_rate": 0.001,
    "expectation#affine#rotation": 10.0,
    "expectation#affine#translation": 0.05,
    "expectation#affine#scale": [0.9, 1.1],
    "loss#weights#flip": 4.0,
    "loss#weights#image_similar": 80.0,
    "loss#weights#similar_adversarial": 160.0,
    "loss#weights#variation": 0.0,
    "loss#weights#sparsity": 8.0,
    "loss#terms#image_similar#norm": "l1",
    "loss#terms#similar_adversarial#norm": "l1",
    "loss#terms#reinforcement#gain": 1.0,
}


def run_demo(output_dir: str | Path, bundle_root: str | Path, quick: bool = False, seed: int = 0) -> str:
    """Run the bundle's three workflows on a phantom.

    Args:
        output_dir: folder for data, models, metrics and pictures; a phantom that lies there already is used again.
        bundle_root: folder of the chest radiograph bundle.
        quick: a run of seconds that shows nothing but that it runs.
        seed: seed of phantom, splits and training.

    Returns:
        The table, in Markdown.

    Raises:
        FileNotFoundError: when there is no such bundle.
    """
    output, configs = Path(output_dir), Path(bundle_root) / "configs"
    if not configs.is_dir():
        raise FileNotFoundError(f"no bundle at {bundle_root}: run from the repository's root or name its folder.")
    plan = QUICK if quick else FULL
    name = f"phantom_{plan['n_images']}x{plan['size']}_seed{seed}"
    data = write_chest_phantom(output / name, n_images=plan["n_images"], size=plan["size"], seed=seed)
    common: dict[str, Any] = {
        "bundle_root": str(bundle_root),
        "logging_file": str(configs / "logging.conf"),
        "dataset_dir": str(data),
        "output_dir": str(output),
        "model_dir": str(output / "models"),
        "image_size": [plan["size"]] * 2,
        "split_seed": seed,
        "seed": seed,
    }
    steps: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("training the classifier", "train_classifier", {"epochs": plan["classifier_epochs"], **CLASSIFIER}),
        ("training both generators against it", "train", {"epochs": plan["explainer_epochs"], **EXPLAINER}),
        ("evaluating on the test split", "evaluate", {}),
    )
    for step, config, extra in steps:
        print(f"\n=== {step}", flush=True)
        run(config_file=str(configs / f"{config}.json"), **common, **extra)
    table = metrics_table(json.loads((output / "eval" / "metrics.json").read_text()))
    (output / "eval" / "table.md").write_text(table + "\n")
    return table
