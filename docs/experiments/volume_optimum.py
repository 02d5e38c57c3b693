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

"""What the naive objective's own minimum looks like, volume by volume, beside what the trained generator found.

    python docs/experiments/volume_optimum.py DATA MODELS

For the planted validation volumes that the classifier calls lesioned: the loss of ``train_naive.json`` and the AUC_Loc
of |x - a| for the generator's a, for a lesion that is filled from its surroundings, and for changes optimised for each
volume (Adam, 120 steps, on the generator's grid), from no change, from the filled lesion and from the generator's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from monai.bundle import ConfigParser
from torch import Tensor

from monai_advexplain.losses import ExplanationStep
from monai_advexplain.metrics import auc_loc
from monai_advexplain.networks import load_weights

BUNDLE = Path(__file__).parents[2] / "bundles" / "mri_volume_advexplain"


def _filled(images: Tensor, lesions: Tensor) -> Tensor:
    """Images whose lesions are replaced by blurred surroundings."""
    kept = 1 - F.max_pool3d(lesions, 3, 1, 1)
    values, weights = images * kept, kept
    for _ in range(3):
        values, weights = (F.avg_pool3d(each, 9, 1, 4) for each in (values, weights))
    return images * kept + values / weights.clamp(min=1e-4) * (1 - kept)


def main(dataset_dir: str, model_dir: str) -> None:
    """Print a line for each kind of adversarial image."""
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / "configs" / f"{name}.json") for name in ("train", "train_naive")])
    parser.update({"bundle_root": str(BUNDLE), "dataset_dir": dataset_dir, "model_dir": model_dir})
    loss, expectation, decision, f, data = (
        parser.get_parsed_content(key) for key in ("loss", "expectation", "decision", "classifier", "validate#dataset")
    )
    items = [item for item in data if item["mask"].any()]
    images, lesions = (torch.stack([torch.as_tensor(item[key].array) for item in items]) for key in ("image", "mask"))
    with torch.no_grad():
        yes = torch.cat([decision.margin(f(image)) for image in images.split(8)]) > 0
        images, lesions = images[yes], lesions[yes]
        network = load_weights(f"{model_dir}/naive.pt", parser.get_parsed_content("network_def")).eval()
        generated = torch.cat([network.generate(image).adversarial for image in images.split(8)])
    filled, target = _filled(images, lesions), torch.ones(len(images))
    head = parser["network_def#generator"]
    reach = (images - head["level"]).abs() + head["relative"]

    def cost(adversarial: Tensor) -> Tensor:
        draw = expectation.draw(images)
        step = ExplanationStep(
            {"image": images, "adversarial": adversarial},
            target,
            lambda shown: decision.margin(f(draw(shown))).reshape(-1, len(images)),
            target,
        )
        return loss.total(loss(step))

    def tell(name: str, adversarial: Tensor) -> None:
        with torch.no_grad():
            price = sum(cost(adversarial).item() for _ in range(4)) / 4
            parts = [adversarial * part + images * (1 - part) for part in (1, lesions, 1 - lesions)]
            turned = [(decision.margin(f(shown)) <= 0).float().mean().item() for shown in parts]
            quality = auc_loc((images - adversarial).abs(), lesions).mean().item()
        print(
            f"{name}: loss {price:.2f}, AUC_Loc {quality:.3f}, turned {turned[0]:.2f}, "
            f"by the change inside the lesions alone {turned[1]:.2f}, outside {turned[2]:.2f}",
            flush=True,
        )

    print(f"{len(images)} volumes")
    tell("generated", generated)
    tell("filled", filled)
    for name, start in (("no change", images), ("filled", filled), ("generated", generated)):
        change = F.avg_pool3d((start - images) / reach, head["scale"]).clone().requires_grad_()
        optimizer = torch.optim.Adam([change], 0.02)

        def adversarial(change: Tensor = change) -> Tensor:
            return images + torch.tanh(F.interpolate(change, images.shape[2:], mode="trilinear")) * reach

        for _ in range(120):
            optimizer.zero_grad()
            (cost(adversarial()) * len(images)).backward()
            optimizer.step()
        tell(f"optimised from {name}", adversarial().detach())


if __name__ == "__main__":
    torch.manual_seed(0)
    main(*sys.argv[1:])
