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

"""Explanation: whether an image was flipped and preserved, and what fits into a line of JSON."""

from __future__ import annotations

import json

import pytest
import torch
from monai.data import MetaTensor

from monai_advexplain import Explanation


def output_of(decision=True, similar=True, adversarial=False, **more):
    """One image's entry of an evaluator's decollated output."""
    return {
        "explanation": MetaTensor(torch.rand(1, 4, 4), meta={"filename_or_obj": "a/b.dcm"}),
        "similar": torch.rand(1, 4, 4),
        "adversarial": torch.rand(1, 4, 4),
        "probability": torch.tensor([0.75]),
        "probability_similar": torch.tensor([0.5]),
        "probability_adversarial": torch.tensor([0.25]),
        "decision": torch.tensor([decision]),
        "decision_similar": torch.tensor([similar]),
        "decision_adversarial": torch.tensor([adversarial]),
    } | more


@pytest.mark.parametrize("decision", [True, False])
@pytest.mark.parametrize("similar", [True, False])
@pytest.mark.parametrize("adversarial", [True, False])
def test_flipped_is_another_decision_and_preserved_the_same(decision, similar, adversarial):
    explanation = Explanation.from_output(output_of(decision, similar, adversarial))
    assert explanation.flipped is (adversarial != decision)
    assert explanation.preserved is (similar == decision)


def test_the_scores_survive_a_line_of_json():
    scores = Explanation.from_output(output_of()).scores()
    assert json.loads(json.dumps(scores)) == {
        "input": "a/b.dcm",
        "decision": True,
        "probability": 0.75,
        "probability_similar": 0.5,
        "probability_adversarial": 0.25,
        "flipped": True,
        "preserved": True,
    }


def test_the_images_are_those_of_the_output():
    output = output_of()
    explanation = Explanation.from_output(output)
    assert explanation.map is output["explanation"]
    assert explanation.similar is output["similar"]
    assert explanation.adversarial is output["adversarial"]
    assert explanation.image is None


def test_a_map_that_came_from_no_file_has_no_input():
    assert Explanation.from_output(output_of(explanation=torch.rand(1, 4, 4))).input == ""
    assert Explanation.from_output(output_of(explanation=MetaTensor(torch.rand(1, 4, 4)))).input == ""


def test_an_output_without_scores_is_refused_with_the_reason():
    output = output_of()
    output = {name: output[name] for name in ("explanation", "similar", "adversarial")}
    with pytest.raises(KeyError, match="made without a classifier"):
        Explanation.from_output(output)
