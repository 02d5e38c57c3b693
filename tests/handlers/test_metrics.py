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

"""The Ignite handlers in a plain engine and in a MONAI evaluator."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset
from monai.engines import Evaluator
from monai.engines.utils import IterationEvents
from monai.handlers import from_engine

from monai_advexplain.handlers import AUCLoc, FlipRate, PreservationRate
from monai_advexplain.metrics import auc_loc, localisation_curve, pooled_auc_loc

DECISION = torch.tensor([[True], [False], [True], [True], [False]])
ADVERSARIAL = torch.tensor([[False], [True], [True], [False], [True]])


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    masks = (torch.rand(5, 1, 12, 10, generator=generator) < 0.2).float()
    maps = torch.rand(5, 1, 12, 10, generator=generator) + 0.5 * masks
    masks[3] = 0
    return maps, masks


def approx_pooled(maps, masks, max_share):
    return pytest.approx(pooled_auc_loc(*localisation_curve(maps, masks), max_share).item())


def forward_batch(engine, batch):
    """An iteration whose output is its batch, decollated by MONAI where its own evaluators are."""
    engine.state.output = dict(batch)
    engine.fire_event(IterationEvents.MODEL_COMPLETED)
    return engine.state.output


def test_a_plain_engine_gets_the_value_of_the_whole_epoch(case):
    maps, masks = case
    engine = Engine(lambda engine, batch: batch)
    AUCLoc(max_share=0.2).attach(engine, "auc_loc")
    engine.run([(maps[:2], masks[:2]), (maps[2:], masks[2:])])
    assert engine.state.metrics["auc_loc"] == approx_pooled(maps, masks, 0.2)


def test_rates_in_a_plain_engine_start_afresh_each_epoch():
    engine = Engine(lambda engine, batch: batch)
    FlipRate().attach(engine, "flip_rate")
    PreservationRate(output_transform=lambda output: output).attach(engine, "preservation_rate")
    for _ in range(2):
        engine.run([(ADVERSARIAL[:2], DECISION[:2]), (ADVERSARIAL[2:], DECISION[2:])])
        assert engine.state.metrics["flip_rate"] == pytest.approx(0.8)
        assert engine.state.metrics["preservation_rate"] == pytest.approx(0.2)


def test_a_monai_evaluator_computes_them_from_its_decollated_output(case):
    maps, masks = case
    items = [
        {"explanation": maps[i], "mask": masks[i], "decision": DECISION[i], "decision_adversarial": ADVERSARIAL[i]}
        for i in range(len(maps))
    ]
    location = from_engine(["explanation", "mask"])
    decisions = from_engine(["decision_adversarial", "decision"])
    evaluator = Evaluator(
        device="cpu",
        val_data_loader=DataLoader(Dataset(items), batch_size=2),
        iteration_update=forward_batch,
        key_val_metric={"auc_loc": AUCLoc(output_transform=location)},
        additional_metrics={
            "auc_loc_partial": AUCLoc(max_share=0.2, output_transform=location),
            "auc_loc_per_image": AUCLoc(pooling="per_image", output_transform=location),
            "flip_rate": FlipRate(output_transform=decisions),
            "preservation_rate": PreservationRate(output_transform=decisions),
        },
    )
    evaluator.run()
    assert isinstance(evaluator.state.output, list)
    assert evaluator.state.metrics["auc_loc"] == approx_pooled(maps, masks, 1.0)
    assert evaluator.state.metrics["auc_loc_partial"] == approx_pooled(maps, masks, 0.2)
    assert evaluator.state.metrics["auc_loc_per_image"] == pytest.approx(auc_loc(maps, masks).nanmean().item())
    assert evaluator.state.metrics["flip_rate"] == pytest.approx(0.8)
    assert evaluator.state.metrics["preservation_rate"] == pytest.approx(0.2)
    assert set(evaluator.state.metric_details) == {"auc_loc_per_image", "flip_rate", "preservation_rate"}
    torch.testing.assert_close(
        evaluator.state.metric_details["auc_loc_per_image"], auc_loc(maps, masks)[:, None], equal_nan=True
    )
