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

"""One binary decision read from every head."""

from __future__ import annotations

import math

import pytest
import torch

from monai_advexplain import Decision

OUTPUT = torch.tensor([[1.5, -0.5, 0.25], [-2.0, 3.0, 0.0], [0.1, 0.2, 0.3], [9.0, -9.0, 4.0]])
HEADS = {
    "sigmoid": (Decision(), OUTPUT[:, :1]),
    "sigmoid, flat": (Decision("sigmoid"), OUTPUT[:, 0]),
    "multilabel": (Decision("multilabel", index=1), OUTPUT),
    "softmax": (Decision("softmax", index=1), OUTPUT),
    "softmax of two": (Decision("softmax", index=0), OUTPUT[:, :2]),
}


def plain_probability(name):
    """Probability of "yes", one image at a time."""
    decision, output = HEADS[name]
    found = []
    for row in output.reshape(len(output), -1).tolist():
        if decision.head == "softmax":
            found.append(math.exp(row[decision.index]) / sum(math.exp(value) for value in row))
        else:
            found.append(1 / (1 + math.exp(-row[decision.index or 0])))
    return torch.tensor(found)


@pytest.mark.parametrize("name", HEADS)
def test_the_probability_of_every_head_equals_a_plain_computation(name):
    decision, output = HEADS[name]
    torch.testing.assert_close(decision.probability(output), plain_probability(name))


@pytest.mark.parametrize("name", HEADS)
def test_the_margin_is_positive_exactly_where_the_decision_is_yes(name):
    decision, output = HEADS[name]
    yes = plain_probability(name) > 0.5
    assert 0 < yes.sum() < len(yes)
    assert torch.equal(decision.hard(output), yes)
    assert torch.equal(decision.margin(output) > 0, yes)
    assert decision.margin(output).shape == (4,)


@pytest.mark.parametrize("index", [0, 1, 2, -1])
def test_the_sigmoid_of_a_softmax_margin_is_the_softmax_probability_of_the_class(index):
    margin = Decision("softmax", index=index).margin(OUTPUT)
    torch.testing.assert_close(torch.sigmoid(margin), OUTPUT.softmax(dim=1)[:, index])


def test_a_softmax_margin_of_extreme_logits_stays_finite():
    margin = Decision("softmax", index=0).margin(torch.tensor([[800.0, -800.0, 0.0], [-800.0, 800.0, 0.0]]))
    torch.testing.assert_close(margin, torch.tensor([800.0, -1600.0]))


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("head", ["sigmoid", "multilabel", "softmax"])
def test_the_threshold_moves_the_decision_but_not_the_probability(head, threshold):
    index = None if head == "sigmoid" else 0
    output = torch.linspace(-4, 4, 41)[:, None]
    if head != "sigmoid":
        output = torch.cat([output, torch.zeros_like(output)], dim=1)
    decision = Decision(head, index=index, threshold=threshold)
    probability = Decision(head, index=index).probability(output)
    assert torch.equal(decision.probability(output), probability)
    assert torch.equal(decision.hard(output), probability > threshold)


def test_hard_targets_are_zero_and_one_and_soft_targets_are_probabilities():
    hard = Decision().target(OUTPUT[:, :1])
    assert hard.tolist() == [1.0, 0.0, 1.0, 1.0]
    torch.testing.assert_close(Decision(soft=True).target(OUTPUT[:, :1]), torch.sigmoid(OUTPUT[:, 0]))


def test_a_soft_target_is_one_half_at_the_threshold():
    at_threshold = torch.logit(torch.tensor([[0.8]]))
    torch.testing.assert_close(Decision(threshold=0.8, soft=True).target(at_threshold), torch.tensor([0.5]))


@pytest.mark.parametrize("name", HEADS)
def test_gradients_flow_through_margin_and_probability_but_not_through_the_target(name):
    decision, output = HEADS[name]
    output = output.clone().requires_grad_(True)
    (of_margin,) = torch.autograd.grad(decision.margin(output).sum(), output)
    (of_probability,) = torch.autograd.grad(decision.probability(output).sum(), output)
    p = plain_probability(name)
    factor = (p * (1 - p)).reshape(-1, *[1] * (output.ndim - 1))
    assert (of_margin.reshape(len(output), -1)[:, decision.index or 0] == 1).all()
    torch.testing.assert_close(of_probability, factor * of_margin)
    assert not decision.target(output).requires_grad


@pytest.mark.parametrize(
    ("decision", "shape"),
    [
        (Decision(), (4, 2)),
        (Decision(), (4, 1, 1)),
        (Decision(), ()),
        (Decision("multilabel", index=0), (4, 1)),
        (Decision("multilabel", index=0), (4,)),
        (Decision("multilabel", index=0), (4, 3, 2)),
        (Decision("softmax", index=0), (4, 1)),
        (Decision("softmax", index=0), (4,)),
        (Decision("softmax", index=0), (4, 3, 8, 8)),
    ],
)
def test_an_output_of_the_wrong_shape_is_refused_with_its_shape_and_the_ways_to_declare_it(decision, shape):
    for method in (decision.margin, decision.probability, decision.hard, decision.target):
        with pytest.raises(ValueError, match="does not fit") as error:
            method(torch.zeros(shape))
        assert f"shape {shape}" in str(error.value)
        assert f"head={decision.head!r}" in str(error.value)
        for way in ('Decision("sigmoid")', 'Decision("multilabel", index=k)', 'Decision("softmax", index=k)'):
            assert way in str(error.value)


@pytest.mark.parametrize("head", ["multilabel", "softmax"])
@pytest.mark.parametrize("index", [3, -4])
def test_an_index_beyond_the_outputs_is_refused_with_their_number(head, index):
    with pytest.raises(ValueError, match=rf"index={index} is outside the classifier's 3 outputs \(shape \(4, 3\)\)"):
        Decision(head, index=index).margin(OUTPUT)


def test_of_a_tuple_the_first_entry_is_the_logits():
    decision = Decision("softmax", index=1)
    assert torch.equal(decision.margin((OUTPUT, None)), decision.margin(OUTPUT))
    assert torch.equal(decision.target((OUTPUT, None)), decision.target(OUTPUT))


@pytest.mark.parametrize(
    ("output", "kind"), [((), "tuple"), ({"logits": OUTPUT}, "dict"), ((None, OUTPUT), "NoneType")]
)
def test_a_classifier_that_returns_no_tensor_is_refused(output, kind):
    with pytest.raises(TypeError, match=f"must return a tensor of logits.* got {kind}"):
        Decision().margin(output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"head": "tanh"}, "head must be one of .*'tanh'"),
        ({"head": "sigmoid", "index": 0}, "index for head='sigmoid' must be None.* got 0"),
        ({"head": "softmax"}, "index for head='softmax' must be the label or class to explain, got None"),
        ({"head": "multilabel"}, "index for head='multilabel' must be"),
        ({"threshold": 0.0}, r"threshold must lie in \(0, 1\), got 0.0"),
        ({"threshold": 1.0}, r"threshold must lie in \(0, 1\), got 1.0"),
        ({"threshold": float("nan")}, r"threshold must lie in \(0, 1\), got nan"),
    ],
)
def test_an_argument_out_of_range_is_refused_with_its_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        Decision(**arguments)
