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

"""Explain the classifier of a MONAI bundle, such as the model zoo has them.

A bundle is a folder: configs that say how the network is built, and its weights. We write one here, so that the
tutorial needs no download; with one of the model zoo begin at the second half.

    python docs/tutorials/explain_a_bundle.py OUTPUT_FOLDER
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
from monai.bundle import ConfigParser, init_bundle
from monai.utils import set_determinism
from toy import stacked, toy_items, train_plainly

from monai_advexplain import Decision, auc_loc
from monai_advexplain.explainers import GeometricAveraging, GradCAMExplainer, GradientExplainer, RandomExplainer
from monai_advexplain.networks import AdaptedClassifier
from monai_advexplain.transforms import picture_grid, save_figure

output = Path(sys.argv[1])
set_determinism(0)

# ----- A bundle that you have already --------------------------------------------------------------------------------
# It classifies colour images, rows first, whose intensities of 0 to 255 are normalised with a mean and a deviation.
network_def = {
    "_target_": "ResNet",
    "block": "basic",
    "layers": [1, 1, 1, 1],
    "block_inplanes": [8, 16, 32, 64],
    "spatial_dims": 2,
    "n_input_channels": 3,
    "conv1_t_stride": 2,
    "num_classes": 1,
}
images, labels, _ = stacked(toy_items(256, seed=0))
network = ConfigParser({"network_def": network_def}).get_parsed_content("network_def")
train_plainly(network, (255 * images.transpose(2, 3).expand(-1, 3, -1, -1) - 98) / 51, labels)

bundle = output / "spot_classification"
shutil.rmtree(bundle, ignore_errors=True)
output.mkdir(parents=True, exist_ok=True)
init_bundle(bundle, network=network, inference_str={"network_def": network_def})

# ===== The classifier to explain, as an entry of a config ============================================================
# The inner entry names the folder. The outer one says what the network wants to see, which the bundle's own
# pre-processing tells: everything else, the generators and the maps, goes on working with grey images in [0, 1].
entry = {
    "_target_": "monai_advexplain.networks.AdaptedClassifier",
    "network": {"_target_": "monai_advexplain.networks.load_classifier", "path": str(bundle)},
    "channels": 3,
    "value_range": [0, 255],
    "mean": 98,  # one number, or one for each channel
    "std": 51,
    "reverse_axes": True,
}
classifier: AdaptedClassifier = ConfigParser({"classifier": entry}).get_parsed_content("classifier")
gate = "$copy.deepcopy(@classifier)"
(output / "classifier.json").write_text(json.dumps({"classifier": entry, "gate_network": gate}, indent=4))
# The file can be given to any workflow of our bundles, after its own config:
#   python -m monai.bundle run training --config_file "['.../configs/train.json', 'OUTPUT_FOLDER/classifier.json']"
# ===== Until here ====================================================================================================

images, labels, masks = stacked(toy_items(64, seed=1))
ill = labels[:, 0] == 1
with torch.no_grad():
    right = Decision("sigmoid").hard(classifier(images)) == ill
print(f"accuracy of the bundle's classifier {right.float().mean():.2f}")

# Methods that need no training of their own; for ours see add_to_training.py, with this classifier.
explainers = {
    "gradient": GradientExplainer(classifier),
    "gradient, averaged": GeometricAveraging(GradientExplainer(classifier), n=8),
    "GradCAM": GradCAMExplainer(classifier, target_layer="network.layer1"),
    "random map": RandomExplainer(),
}
images, masks = images[ill], masks[ill]
maps = {name: explainer(images) for name, explainer in explainers.items()}
for name, of_images in maps.items():
    print(f"AUC_Loc, {name}: {auc_loc(of_images, masks).mean():.2f}")

columns = {"image": images, "ground truth": masks}
columns |= {name: of_images / of_images.amax((1, 2, 3), keepdim=True) for name, of_images in maps.items()}
save_figure(picture_grid({title: values[:4] for title, values in columns.items()}), output / "explain_a_bundle.png")
print(f"picture {output / 'explain_a_bundle.png'}")
