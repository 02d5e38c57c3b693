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

"""A teacher whose maps the pair's are to resemble: when it is asked, what it changes, who is averaged."""

from __future__ import annotations

import pytest
import torch

from monai_advexplain import ExplainerLoss
from monai_advexplain.explainers import GeometricAveraging, ProposedExplainer
from monai_advexplain.handlers import MovingAverage
from monai_advexplain.transforms import AffineRange
from tests.engines.test_trainer import batches, recorded, trainer_of
from tests.small import explainer_net, trained_looking

CONSISTENT = ExplainerLoss(weights={"consistency": 50.0})


def test_it_rests_for_the_epochs_it_is_told_to():
    asked = []

    def teacher(images):
        asked.append(tuple(images.shape))
        return torch.zeros_like(images[:, :1])

    net = trained_looking(explainer_net())
    trainer = trainer_of(batches(2), net, 3, loss=CONSISTENT, teacher=teacher, teacher_rests=2)
    found = recorded(trainer)
    trainer.run()
    assert len(asked) == 2  # the batches of the third epoch
    assert [terms["loss/consistency"] > 0 for terms in found] == [False] * 4 + [True] * 2


def test_a_teacher_without_its_term_is_not_asked_and_its_term_without_a_teacher_is_an_error():
    def teacher(images):
        raise AssertionError("asked")

    trainer_of(batches(1), explainer_net(), 1, teacher=teacher).run()
    with pytest.raises(ValueError, match="teacher"):
        trainer_of(batches(1), explainer_net(), 1, loss=CONSISTENT).run()
    with pytest.raises(ValueError, match="teacher_rests"):
        trainer_of(batches(1), explainer_net(), 1, teacher=teacher, teacher_rests=-1)


def test_the_pair_learns_the_map_of_the_teacher():
    """A teacher that shows the left half: what the map says of the right half goes."""

    def teacher(images):
        shown = torch.zeros_like(images[:, :1])
        shown[:, :, :8] = 0.2
        return shown

    shares = []
    for weight in (0.0, 200.0):
        net = trained_looking(explainer_net())
        data = batches(3)
        trainer_of(data, net, 30, lr=0.01, loss=ExplainerLoss(weights={"consistency": weight}), teacher=teacher).run()
        with torch.no_grad():
            maps = torch.cat([net.eval()(batch["image"]) for batch in data])
        shares.append(float(maps[:, :, :8].sum() / maps.sum()))
    assert shares[1] > max(0.7, shares[0])


def test_a_moving_average_under_random_transformations_teaches():
    net = trained_looking(explainer_net())
    average = MovingAverage(net, momentum=0.1)
    teacher = GeometricAveraging(ProposedExplainer(average.network), n=2, affine=AffineRange(rotation=15.0), seed=None)
    trainer = trainer_of(batches(2), net, 2, loss=CONSISTENT, teacher=teacher, teacher_rests=1)
    average.attach(trainer)
    found = recorded(trainer)
    trainer.run()
    assert all(terms["loss/consistency"] > 0 for terms in found[2:])
    pairs = list(zip(net.parameters(), average.network.parameters(), strict=True))
    assert not all(torch.equal(*pair) for pair in pairs)
    assert all(weight.grad is None for _, weight in pairs)
