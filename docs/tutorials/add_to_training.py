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

"""Add an explanation to a MONAI classification training.

The first half is a training as MONAI's tutorials have it: a network of MONAI, a DataLoader, a SupervisedTrainer. The
part between the two marks is all that an explanation adds.

    python docs/tutorials/add_to_training.py OUTPUT_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.networks.nets import ResNet, UNet
from monai.utils import set_determinism
from toy import stacked, toy_items

from monai_advexplain import Decision, ExplainerLoss, JointExplainerTrainer, auc_loc
from monai_advexplain.explainers import RandomExplainer
from monai_advexplain.metrics import flip_rate, preservation_rate
from monai_advexplain.networks import Frozen, GatedExplainerNet, GatedGenerator
from monai_advexplain.transforms import picture_grid, save_figure

output = Path(sys.argv[1])
set_determinism(0)

# ----- A training that you have already ------------------------------------------------------------------------------
loader = DataLoader(Dataset(toy_items(256, seed=0)), batch_size=32, shuffle=True)
classifier = ResNet(
    block="basic",
    layers=[1, 1, 1, 1],
    block_inplanes=[8, 16, 32, 64],
    spatial_dims=2,
    n_input_channels=1,
    conv1_t_stride=2,
    num_classes=1,
)
SupervisedTrainer(
    device=torch.device("cpu"),
    max_epochs=6,
    train_data_loader=loader,
    network=classifier,
    optimizer=torch.optim.AdamW(classifier.parameters(), 3e-3),
    loss_function=torch.nn.BCEWithLogitsLoss(),
).run()

# ===== What an explanation adds ======================================================================================
decision = Decision("sigmoid")  # what is explained: here the one logit; ("softmax", index=2) for one class of several
trunk = UNet(spatial_dims=2, in_channels=1, out_channels=8, channels=(8, 16, 32), strides=(2, 2), norm="instance")
generator = GatedGenerator(trunk, gate=Frozen(classifier), features=8)  # draws what the decision calls for
network = GatedExplainerNet(generator, size_divisor=4)
JointExplainerTrainer(
    device=torch.device("cpu"),
    max_epochs=10,
    train_data_loader=loader,
    network=network,
    classifier=classifier,
    decision=decision,
    loss_function=ExplainerLoss("similar_adversarial", weights={"flip": 2.0}),
    optimizer=torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], 3e-3),
).run()
# ===== Until here ====================================================================================================

# The network explains on its own now: one forward pass, (B, 1, W, H), high = important.
network.eval()
images, labels, masks = stacked(toy_items(64, seed=1))
with torch.no_grad():
    similar, adversarial, _ = network.generate(images)
    maps = network(images)
    decided, decided_similar, decided_adversarial = (
        decision.hard(classifier(shown)) for shown in (images, similar, adversarial)
    )

# Did the method work? The adversarial image must turn the decision, the similar one keep it, and the map lie on what
# we know to be the cause.
ill = labels[:, 0] == 1
print(f"accuracy of the classifier {(decided == ill).float().mean():.2f}")
print(f"flip rate {flip_rate(decided, decided_adversarial):.2f}")
print(f"preservation rate {preservation_rate(decided, decided_similar):.2f}")
print(f"AUC_Loc of the explanation {auc_loc(maps[ill], masks[ill]).mean():.2f}")
print(f"AUC_Loc of a random map {auc_loc(RandomExplainer()(images[ill]), masks[ill]).mean():.2f}")

columns = {"image": images, "similar": similar, "adversarial": adversarial, "explanation": maps, "ground truth": masks}
output.mkdir(parents=True, exist_ok=True)
save_figure(picture_grid({title: values[:4] for title, values in columns.items()}), output / "add_to_training.png")
print(f"picture {output / 'add_to_training.png'}")
