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

"""Tests of the descriptions of explainers."""

from __future__ import annotations

import json
from functools import partial

import torch

from monai_advexplain import Decision
from monai_advexplain.benchmark.describe import describe
from monai_advexplain.explainers import BBMPExplainer, Explainer, GeometricAveraging, GradCAMExplainer, RandomExplainer
from monai_advexplain.transforms import AffineRange
from tests.small import classifier, images


def test_parameters_and_the_decision_are_readable():
    described = describe(BBMPExplainer(classifier(), Decision("softmax", index=2), iterations=7))
    assert described["class"] == "BBMPExplainer"
    assert described["iterations"] == 7
    assert described["decision"]["index"] == 2
    json.dumps(described, allow_nan=False)


def test_equal_networks_are_described_alike_and_one_weight_or_buffer_makes_a_difference():
    net = classifier()
    before = describe(net)
    assert describe(classifier()) == before
    with torch.no_grad():
        net[0].weight[0, 0, 0, 0] += 1e-3
    assert describe(net) != before
    net = classifier()
    net[1].running_mean[0] += 1e-3
    assert describe(net) != before
    assert describe(classifier().train()) == before


def test_a_torchscript_network_is_described_by_its_class_and_weights():
    net = classifier()
    scripted = describe(torch.jit.trace(net, images()))
    assert scripted == describe(net)


def test_a_partial_is_described_by_its_arguments():
    described = describe(partial(GeometricAveraging, n=3, affine=AffineRange(rotation=5.0)))
    assert (described["class"], described["n"], described["affine"]["rotation"]) == ("GeometricAveraging", 3, 5.0)


def test_use_does_not_change_a_description():
    for explainer in (GradCAMExplainer(classifier()), RandomExplainer(seed=3)):
        before = describe(explainer)
        explainer(images())
        assert describe(explainer) == before


def test_a_third_partys_explainer_is_described_by_its_attributes_and_foreign_objects_by_their_class():
    class Mine(Explainer):
        def __init__(self, strength):
            super().__init__(None)
            self.strength, self.tool = strength, object()

        def explain(self, images):
            return images

    assert describe(Mine(2))["strength"] == 2
    assert describe(Mine(2))["tool"] == {"class": "object"}
    assert describe(Mine(2)) == describe(Mine(2)) != describe(Mine(3))
