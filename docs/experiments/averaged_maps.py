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

"""Is what is missing in the map an average away? Maps of several networks, their mean, and both regularised.

python docs/experiments/averaged_maps.py PHANTOM MODELS NAME...  # of the networks MODELS/NAME.pt
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from skimage.measure import label
from torch import Tensor

from monai_advexplain.explainers import EnsembleAveraging, Explainer, GeometricAveraging, ProposedExplainer
from monai_advexplain.metrics import auc_loc
from monai_advexplain.networks import load_weights

BUNDLE = Path("bundles/chest_xray_advexplain")


def parsed(dataset_dir: str, model_dir: str) -> ConfigParser:
    """``evaluate.json``, not parsed yet."""
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "evaluate.json"))
    parser.update(
        {
            "bundle_root": str(BUNDLE),
            "dataset_dir": dataset_dir,
            "model_dir": model_dir,
            "image_size": [96, 96],
            "split": "validation",
            "splits#masks": "lesions",
        }
    )
    return parser


def main(dataset_dir: str, model_dir: str, *names: str) -> None:
    """Print AUC_Loc over the images with lesions: mean, deciles, and means by number of lesions."""
    plain: dict[str, Explainer] = {}
    for name in names:
        network = parsed(dataset_dir, model_dir).get_parsed_content("network_def")
        plain[name] = ProposedExplainer(load_weights(Path(model_dir) / f"{name}.pt", network))
    plain["mean"] = EnsembleAveraging(list(plain.values()))
    explainers = plain | {f"{name} + reg": GeometricAveraging(one, n=4) for name, one in plain.items()}
    scores: dict[str, list[Tensor]] = {name: [] for name in explainers}
    lesions: list[int] = []
    for batch in parsed(dataset_dir, model_dir).get_parsed_content("dataloader"):
        shown = batch["mask"].flatten(1).any(dim=1)
        if not shown.any():
            continue
        images, masks = (batch[key][shown].as_tensor().float() for key in ("image", "mask"))
        lesions += [int(label(mask[0].numpy()).max()) for mask in masks]
        for name, explainer in explainers.items():
            scores[name].append(auc_loc(explainer(images), masks))
    counts = torch.tensor(lesions)
    print(f"{len(counts)} images; mean | 10, 25, 50, 75, 90 % | one lesion, several")
    for name, found in scores.items():
        values = torch.cat(found)
        spread = values.quantile(torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9], dtype=values.dtype))
        means = [values.mean(), *spread, values[counts == 1].mean(), values[counts > 1].mean()]
        print(f"{name}: " + " ".join(f"{float(value):.3f}" for value in means))


if __name__ == "__main__":
    main(*sys.argv[1:])
