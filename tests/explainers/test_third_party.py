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

"""Classifiers of others: every method explains them, or says in one line why it cannot."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import DenseNet121, ViT, resnet18
from torch import nn

from monai_advexplain import explainers
from monai_advexplain.explainers import UnsupportedClassifierError
from monai_advexplain.networks import load_classifier
from tests.explainers.cases import CAM_METHODS, CLASSIFIER_METHODS
from tests.small import assert_unchanged, snapshot

SIZE = 64


def in_place_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.ReLU(inplace=True),
        nn.Linear(8, 1),
    )


def vit():
    pytest.importorskip("einops")  # of MONAI's ViT
    return ViT(1, SIZE, 16, hidden_size=16, mlp_dim=32, num_layers=2, num_heads=2, classification=True, num_classes=1,
               spatial_dims=2, post_activation=None)  # fmt: skip


CLASSIFIERS = {
    "DenseNet121": lambda: DenseNet121(2, 1, 1),
    "ResNet18": lambda: resnet18(spatial_dims=2, n_input_channels=1, num_classes=1),
    "plain CNN": in_place_cnn,
    "ViT": vit,
    "TorchScript": in_place_cnn,
}


@pytest.mark.parametrize("name", CLASSIFIER_METHODS)
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_the_classifier_is_explained_or_refused_in_one_line(kind, name, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        classifier = CLASSIFIERS[kind]()
    if kind == "TorchScript":
        torch.jit.script(classifier).save(tmp_path / "classifier.ts")
        classifier = load_classifier(tmp_path / "classifier.ts")
    images = torch.rand(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    settings = CLASSIFIER_METHODS[name] | ({"cell": 16} if name == "BBMPExplainer" else {})
    before = snapshot(classifier)
    explainer = getattr(explainers, name)(classifier, **settings)
    if name in CAM_METHODS and kind in ("ViT", "TorchScript"):
        with pytest.raises(UnsupportedClassifierError, match="CAM methods read feature maps") as refusal:
            explainer(images)
        assert "\n" not in str(refusal.value)
    else:
        maps = explainer(images)
        assert maps.isfinite().all()
        assert maps.min() >= 0
    assert_unchanged(classifier, before)
