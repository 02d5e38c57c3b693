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

"""Our losses in a plain PyTorch loop, and our regularisation around a method of captum.

No engine, no bundle, no dictionary: the parts are modules and functions.

    python docs/tutorials/plain_pytorch.py OUTPUT_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from captum.attr import Saliency
from monai.networks.nets import UNet
from monai.utils import set_determinism
from torch import nn
from toy import stacked, toy_items, train_plainly

from monai_advexplain import Decision, ExplainerLoss, ExplainerNet, TwoHeadGenerator, auc_loc
from monai_advexplain.explainers import GeometricAveraging
from monai_advexplain.losses import ExplanationStep
from monai_advexplain.networks import freeze
from monai_advexplain.transforms import AffineRange, picture_grid, save_figure

output = Path(sys.argv[1])
set_determinism(0)

# Any classifier will do.
classifier = nn.Sequential(
    nn.Conv2d(1, 16, 5, stride=2, padding=2),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.Conv2d(16, 32, 3, stride=2, padding=1),
    nn.BatchNorm2d(32),
    nn.ReLU(),
    nn.AdaptiveMaxPool2d(1),
    nn.Flatten(),
    nn.Linear(32, 1),
)
images, labels, _ = stacked(toy_items(256, seed=0))
train_plainly(classifier, images, labels)
freeze(classifier)

# ===== Our losses in your loop =======================================================================================
# A step holds the named images and what the classifier says about them; the loss turns it into named terms. Whatever
# the generator draws, and with whatever network, is up to you.
decision = Decision("sigmoid")
trunk = UNet(spatial_dims=2, in_channels=1, out_channels=8, channels=(8, 16, 32), strides=(2, 2), norm="instance")
network = ExplainerNet(TwoHeadGenerator(trunk, features=8), size_divisor=4)
loss = ExplainerLoss("similar_adversarial", weights={"flip": 2.0, "variation": 2.0, "similar_adversarial": 3.0})
optimizer = torch.optim.AdamW(network.parameters(), 3e-3)


def critic(shown: torch.Tensor) -> torch.Tensor:
    """The classifier's margins, one draw (1, B) of images (B, C, W, H); a place for augmentation."""
    return decision.margin(classifier(shown))[None]


for iteration in range(151):
    batch = images[torch.randint(len(images), (32,))]
    with torch.no_grad():
        target = decision.target(classifier(batch))
    pair = network.generate(batch)
    terms = loss(ExplanationStep({"image": batch, **pair._asdict()}, target, critic))
    optimizer.zero_grad()
    loss.total(terms).backward()
    optimizer.step()
    if iteration % 50 == 0:
        print(f"iteration {iteration}: " + ", ".join(f"{name} {value.item():.3f}" for name, value in terms.items()))

# ===== Our regularisation around a method of captum ==================================================================
# It takes any function from images to maps (B, 1, W, H): the map is averaged over random movements of the image, and
# each is carried back.
saliency = Saliency(classifier)


def captum_map(shown: torch.Tensor) -> torch.Tensor:
    """|d logit / d x| of images (B, 1, W, H)."""
    return saliency.attribute(shown.requires_grad_(True), target=0).amax(dim=1, keepdim=True)


regularised = GeometricAveraging(captum_map, n=12, affine=AffineRange(rotation=15.0, translation=0.1, flip_axes=(0, 1)))
# ===== Until here ====================================================================================================

network.eval()
images, labels, masks = stacked(toy_items(64, seed=1))
ill = labels[:, 0] == 1
with torch.no_grad():
    turned = decision.hard(classifier(network.generate(images).adversarial)) != decision.hard(classifier(images))
print(f"flip rate {turned.float().mean():.2f}")

images, masks = images[ill], masks[ill]
maps = {
    "ours": network(images).detach(),
    "captum": captum_map(images.clone()).detach(),
    "captum, averaged": regularised(images),
}
for name, of_images in maps.items():
    print(f"AUC_Loc, {name}: {auc_loc(of_images, masks).mean():.2f}")

columns = {"image": images, "ground truth": masks}
columns |= {name: of_images / of_images.amax((1, 2, 3), keepdim=True) for name, of_images in maps.items()}
output.mkdir(parents=True, exist_ok=True)
save_figure(picture_grid({title: values[:4] for title, values in columns.items()}), output / "plain_pytorch.png")
print(f"picture {output / 'plain_pytorch.png'}")
