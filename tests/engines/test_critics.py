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

"""Critics: further frozen classifiers whose decision about generated images has to turn too."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from monai_advexplain import ExplainerLoss
from tests.engines.test_trainer import balanced_classifier, batches, recorded, trainer_of
from tests.small import assert_unchanged, classifier, explainer_net, snapshot


def test_a_critic_stays_bit_for_bit_and_is_frozen():
    critic = classifier(seed=1)
    critic.train()
    trainer = trainer_of(batches(2), explainer_net(), 2, critics=[critic])
    before = snapshot(critic)
    trainer.run()
    assert_unchanged(critic, before)
    assert not critic.training
    assert not any(parameter.requires_grad for parameter in critic.parameters())


def test_the_flip_is_that_of_classifier_and_critics_and_the_decision_the_classifiers():
    f, critic, data = balanced_classifier(), classifier(seed=1), batches(1)
    net = explainer_net()
    with torch.no_grad():
        image = data[0]["image"]
        adversarial = net.train().generate(image).adversarial
        turned = (f(image) <= 0).float()  # of the classifier, for whom else would the images be explained
        wanted = [F.binary_cross_entropy_with_logits(g.eval()(adversarial), turned) for g in (f, critic)]
    trainer = trainer_of(data, net, classifier=f, critics=[critic], loss=ExplainerLoss(weights={"variation": 0.0}))
    found = recorded(trainer)
    trainer.run()
    assert wanted[0] != wanted[1]
    assert found[0]["loss/flip"] == pytest.approx(float(sum(wanted)) / 2, rel=1e-5)


def test_what_fools_the_classifier_alone_does_not_do():
    """The critic is the classifier with the opposite decision: to convince both is impossible."""
    f, against = balanced_classifier(), balanced_classifier()
    with torch.no_grad():
        against[-1].weight.neg_()
        against[-1].bias.neg_()
    cheap = ExplainerLoss(weights={"image_similar": 0.1, "similar_adversarial": 0.1, "variation": 0.1})
    last = []
    for critics in ([], [against]):
        trainer = trainer_of(batches(4), explainer_net(), 15, lr=0.02, classifier=f, critics=critics, loss=cheap)
        found = recorded(trainer)
        trainer.run()
        last.append(sum(terms["loss/flip"] for terms in found[-4:]) / 4)
    assert last[0] < 0.5 < last[1]  # log 2 = 0.69 is the least that two opposite decisions allow
