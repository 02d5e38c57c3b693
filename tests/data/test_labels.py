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

"""Tests of what labels say."""

from __future__ import annotations

import pytest
import torch

from monai_advexplain import Decision
from monai_advexplain.data import decision_label, for_decision, label_vector


@pytest.mark.parametrize(
    ("label", "decision", "wanted"),
    [
        (0, Decision(), 0),
        (1, Decision(), 1),
        (0, Decision("softmax", 0), 1),
        (2, Decision("softmax", 2), 1),
        (1, Decision("softmax", 2), 0),
        ([0, 1, 0], Decision("multilabel", 1), 1),
        ([0, 1, 0], Decision("multilabel", 2), 0),
        ([0, 1, 0], Decision("multilabel", -2), 1),
    ],
)
def test_a_label_is_yes_or_no_to_a_decision(label, decision, wanted):
    assert decision_label(label, decision) == wanted


@pytest.mark.parametrize(
    ("label", "decision"),
    [
        (2, Decision()),
        ([0, 1], Decision()),
        ([0, 1], Decision("softmax", 1)),
        (1, Decision("softmax", -1)),
        (1, Decision("multilabel", 1)),
        ([0, 1], Decision("multilabel", 2)),
    ],
)
def test_a_label_that_is_none_of_the_head_is_refused_naming_the_image(label, decision):
    with pytest.raises(ValueError, match=r"x\.png: label .* does not fit Decision\(head="):
        for_decision({"training": [{"image": "x.png", "label": label}]}, decision)


def test_only_the_explained_class_keeps_its_mask_and_the_items_given_stay_as_they_were():
    items = [{"image": "a", "label": k, "mask": f"m{k}", "group": "g"} for k in (1, 2)]
    seen = for_decision({"test": items}, Decision("softmax", 2))["test"]
    assert seen == [{"image": "a", "label": 0, "group": "g"}, {"image": "a", "label": 1, "mask": "m2", "group": "g"}]
    assert items[0]["mask"] == "m1"
    assert for_decision({"test": items[:1]}, Decision())["test"] == items[:1]


def test_targets_are_what_the_losses_take_for_one_output_classes_and_several_labels():
    assert label_vector(1, 1).tolist() == [1.0]
    assert label_vector(2, 3).tolist() == [0.0, 0.0, 1.0]
    assert label_vector([1, 0, 1], 3).tolist() == [1.0, 0.0, 1.0]
    logits = torch.randn(4, 3)
    targets = torch.stack([label_vector(label, 3) for label in (0, 2, 1, 1)])
    cross_entropy = torch.nn.CrossEntropyLoss()
    assert torch.allclose(cross_entropy(logits, targets), cross_entropy(logits, torch.tensor([0, 2, 1, 1])))


@pytest.mark.parametrize(("label", "outputs"), [(2, 1), (3, 3), (-1, 3), ([0, 1], 3)])
def test_a_label_of_another_classifier_is_refused(label, outputs):
    with pytest.raises(ValueError, match="does not fit a classifier of"):
        label_vector(label, outputs)
