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

"""The metrics of an explainer's evaluation against the package's functions and scikit-learn."""

from __future__ import annotations

import pytest
import torch
from monai.data import DataLoader, Dataset
from sklearn.metrics import roc_auc_score
from torch import nn

from monai_advexplain import ExplainerEvaluator, ExplainerNet, TwoHeadGenerator
from monai_advexplain.explainers import RandomExplainer
from monai_advexplain.handlers import decision_metrics, explainer_metrics
from monai_advexplain.metrics import auc_loc, localisation_curve, pooled_auc_loc
from monai_advexplain.metrics.auc_loc import PARTIAL_MAX_SHARE


class MeanClassifier(nn.Module):
    """Says yes to images whose mean is above one half."""

    def forward(self, images):
        return 20.0 * (images.mean(dim=(1, 2, 3))[:, None] - 0.5)


class Shift(nn.Module):
    """A generator whose similar image is as bright as the image, and whose adversarial one is a half brighter."""

    def forward(self, images):
        return images, images + 0.5


@pytest.fixture
def items():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, 1, 8, 8, generator=generator) * 0.4 + torch.tensor([0.0, 0.5, 0.2, 0.6, 0.1, 0.4]).view(
        6, 1, 1, 1
    )
    masks = torch.zeros(6, 1, 8, 8)
    masks[1, :, 2:5, 2:5] = masks[3, :, 4:6, 1:6] = 1.0
    labels = [0.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    return [
        {"image": image, "mask": mask, "label": torch.tensor([label])}
        for image, mask, label in zip(images, masks, labels, strict=True)
    ]


def evaluate(items, network, metrics, explainers=None):
    loader = DataLoader(Dataset(items), batch_size=4)
    evaluator = ExplainerEvaluator(
        "cpu", loader, network, MeanClassifier(), explainers=explainers, key_val_metric=metrics
    )
    evaluator.run()
    return evaluator.state.metrics


def test_their_names_are_those_that_the_metrics_file_nests():
    methods = ("proposed", "naive")
    wanted = {f"auc_loc/{method}/{what}" for method in methods for what in ("total", "partial", "per_image")}
    assert set(explainer_metrics(methods)) == wanted | {"flip_rate", "preservation_rate", "classifier_auc"}
    assert set(decision_metrics()) == {"flip_rate", "preservation_rate"}
    assert "auc_loc/explanation/total" in explainer_metrics()


def test_rates_are_counted_over_all_images_of_all_batches(items):
    metrics = evaluate(items, ExplainerNet(Shift()), decision_metrics())
    dark = sum(bool(item["image"].mean() <= 0.5) for item in items)
    assert 0 < dark < len(items)
    assert metrics["flip_rate"] == pytest.approx(dark / len(items))  # brighter by a half, only dark images flip
    assert metrics["preservation_rate"] == 1.0


def test_the_classifiers_auc_is_scikits(items):
    metrics = evaluate(items, ExplainerNet(Shift()), explainer_metrics())
    means = [item["image"].mean().item() for item in items]
    auc = roc_auc_score([item["label"].item() for item in items], means)
    assert 0.0 < auc < 1.0
    assert metrics["classifier_auc"] == pytest.approx(auc)


def test_localisation_of_each_method_is_that_of_its_own_maps(items):
    network = ExplainerNet(TwoHeadGenerator(nn.Conv2d(1, 4, 3, padding=1), features=4))
    explainers = {"random": RandomExplainer(seed=3), "brightness": lambda images: images}
    metrics = evaluate(items, network, explainer_metrics(explainers), explainers)
    maps, masks = (torch.stack([item[key] for item in items]) for key in ("image", "mask"))
    curve = localisation_curve(maps, masks)
    assert metrics["auc_loc/brightness/total"] == pytest.approx(pooled_auc_loc(*curve, 1.0).item())
    assert metrics["auc_loc/brightness/partial"] == pytest.approx(pooled_auc_loc(*curve, PARTIAL_MAX_SHARE).item())
    assert metrics["auc_loc/brightness/per_image"] == pytest.approx(auc_loc(maps, masks).nanmean().item())
    assert metrics["auc_loc/random/total"] != metrics["auc_loc/brightness/total"]
