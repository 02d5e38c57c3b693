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

"""The discriminator as a part of JointExplainerTrainer: who learns from what, precision, accumulation; SyCE, CyCE."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.networks.nets import PatchDiscriminator

from monai_advexplain import ExplainerLoss
from monai_advexplain.handlers import loss_terms
from monai_advexplain.losses import Realism
from monai_advexplain.networks import DecisionDiscriminator, DecisionDomainGenerators, DomainExplainerNet, Frozen
from tests.engines.test_trainer import assert_same_weights, balanced_classifier, batches, joined, recorded, trainer_of
from tests.small import assert_unchanged, explainer_net, snapshot, trained_looking, trunk

JUDGED = {"loss/discriminator_real", "loss/discriminator_generated", "loss/discriminator_gradient_penalty"}


def discriminator_of(dims=2, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DecisionDiscriminator(PatchDiscriminator(dims, 8, 1, out_channels=2, num_layers_d=1, norm="INSTANCE"))


def adversarial_trainer(data, net, epochs=1, discriminator=None, lr=0.002, optimise=torch.optim.Adam, **kwargs):
    """A trainer with a discriminator, realism in the loss."""
    discriminator = discriminator_of() if discriminator is None else discriminator
    given = {"loss": ExplainerLoss(weights={"realism": 1.0}), "optimise": optimise} | kwargs
    return trainer_of(
        data,
        net,
        epochs,
        discriminator=discriminator,
        discriminator_optimizer=optimise(discriminator.parameters(), lr=lr),
        **given,
    )


def domain_net(f, dims=2, rule="similar_adversarial"):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunks = [trunk(dims) for _ in range(2)]
        generators = DecisionDomainGenerators(*trunks, Frozen(copy.deepcopy(f)), 4, spatial_dims=dims, hidden=4)
    return DomainExplainerNet(generators, spatial_dims=dims, size_divisor=2, rule=rule)


@pytest.mark.parametrize(("dims", "recipe"), [(2, "syce"), (2, "cyce"), (3, "syce")])
def test_syce_and_cyce_train_as_any_recipe_does_and_every_loss_is_in_the_output_by_name(dims, recipe):
    f = balanced_classifier(dims)
    before = snapshot(f)
    net = domain_net(f, dims, "similar_adversarial" if recipe == "syce" else "naive")
    trainer = adversarial_trainer(
        batches(4, dims=dims),
        net,
        15,
        discriminator_of(dims),
        classifier=f,
        loss=ExplainerLoss(recipe, weights={"flip": 2.0, "realism": 0.1}),
        decollate=False,
    )
    found = recorded(trainer)
    trainer.run()
    first, last = (sum(terms["loss/flip"] for terms in part) for part in (found[:4], found[-4:]))
    assert last < 0.8 * first
    terms = {f"loss/{name}" for name in ExplainerLoss(recipe).terms}
    assert set(found[0]) == {"loss"} | terms | JUDGED
    images = {"similar", "adversarial", "cycle", "estimate"}
    assert set(trainer.state.output) == {"image", "loss"} | terms | JUDGED | images
    for frozen in (f, net.generator.gate.network):
        frozen.requires_grad_(True)
        assert_unchanged(frozen, (before[0], [False] * len(before[1]), before[2]))


def test_the_discriminator_learns_to_tell_real_images_from_generated_ones_and_the_total_is_the_networks_alone():
    f = balanced_classifier()
    net = trained_looking(explainer_net())
    still = torch.optim.SGD(net.parameters(), lr=0.0)
    trainer = adversarial_trainer(batches(4), net, 20, classifier=f, optimizer=still)
    found = recorded(trainer)
    trainer.run()
    first, last = (
        sum(terms["loss/discriminator_real"] + terms["loss/discriminator_generated"] for terms in part)
        for part in (found[:4], found[-4:])
    )
    assert last < 0.5 * first
    weights = {name: weighted.weight for name, weighted in trainer.loss_function.terms.items()}
    for terms in found:
        assert terms["loss"] == pytest.approx(sum(weight * terms[f"loss/{name}"] for name, weight in weights.items()))


def test_a_frozen_discriminator_can_be_pleased():
    net = explainer_net()
    judge = discriminator_of()
    loss = ExplainerLoss(None, weights={"realism": 1.0}, terms={"realism": Realism()})
    trainer = adversarial_trainer(batches(4), net, 20, judge, lr=0.0, loss=loss)
    found = recorded(trainer)
    trainer.run()
    assert found[-1]["loss/realism"] < 0.85 * found[0]["loss/realism"]


def after_one_step(net, judge, **kwargs):
    adversarial_trainer(batches(1), net, discriminator=judge, optimise=torch.optim.SGD, **kwargs).run()
    return net.state_dict(), judge.state_dict()


def test_the_discriminator_learns_nothing_from_the_generators_loss_nor_the_other_way_round():
    """SGD, so that a step is the gradient."""
    found = {}
    for name, weights in {"": {}, "realism": {"realism": 5.0}, "judge": {"realism": 5.0}}.items():
        more = {"discriminator_loss": ExplainerLoss("discriminator", {"real": 9.0})} if name == "judge" else {}
        net, judge = trained_looking(explainer_net()), discriminator_of()
        found[name] = after_one_step(net, judge, loss=ExplainerLoss(weights=weights), **more)
    (plain, judge_plain), (pleased, judge_pleased), (same, judge_other) = found.values()
    assert_same_weights(judge_pleased, judge_plain)
    with pytest.raises(AssertionError):
        assert_same_weights(pleased, plain)
    assert_same_weights(same, pleased)
    with pytest.raises(AssertionError):
        assert_same_weights(judge_other, judge_pleased)


def test_a_part_of_the_discriminator_that_its_owner_froze_stays_frozen():
    judge = discriminator_of()
    judge.network[0].requires_grad_(False)
    before = snapshot(judge)
    adversarial_trainer(batches(2), explainer_net(), discriminator=judge).run()
    after = snapshot(judge)
    assert after[2] == before[2]
    moved = {name.split(".")[1] for name, value in after[0].items() if not torch.equal(value, before[0][name])}
    assert "initial_conv" not in moved
    assert "final_conv" in moved


def after_training(data, steps):
    net, judge = trained_looking(explainer_net()), discriminator_of()
    adversarial_trainer(data, net, discriminator=judge, optimise=torch.optim.SGD, accumulation_steps=steps).run()
    return {**net.state_dict(), **judge.state_dict()}


def test_accumulating_two_half_batches_equals_one_step_on_the_full_batch_for_the_discriminator_too():
    one, two = batches(2)
    full = after_training([joined(one, two)], steps=1)
    assert_same_weights(after_training([one, two], steps=2), full)
    with pytest.raises(AssertionError):
        assert_same_weights(after_training([one, two], steps=1), full)


def test_mixed_precision_gives_finite_losses_close_to_those_of_full_precision():
    found = {}
    for amp in (False, True):
        net, judge = trained_looking(explainer_net()), discriminator_of()
        trainer = adversarial_trainer(batches(3), net, 2, judge, lr=1e-4, amp=amp)
        found[amp] = recorded(trainer)
        trainer.run()
        assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in judge.parameters())
    for full, mixed in zip(found[False], found[True], strict=True):
        assert mixed == pytest.approx(full, rel=0.1, abs=0.03)
    assert found[True] != found[False]


def test_a_discriminator_that_is_not_finite_stops_the_run_by_name_before_any_weight_changes():
    net, judge = trained_looking(explainer_net()), discriminator_of()
    with torch.no_grad():
        judge.network.final_conv.conv.bias.fill_(float("inf"))
    before = snapshot(net), snapshot(judge)
    trainer = adversarial_trainer(batches(1), net, discriminator=judge, loss=ExplainerLoss())
    with pytest.raises(FloatingPointError, match="loss term 'discriminator_real' is inf at epoch 1, iteration 1"):
        trainer.run()
    assert_unchanged(net, before[0])
    assert_unchanged(judge, before[1])


def test_realism_without_a_discriminator_says_what_is_missing():
    trainer = trainer_of(batches(1), explainer_net(), loss=ExplainerLoss(weights={"realism": 1.0}))
    with pytest.raises(ValueError, match="give the trainer discriminator and discriminator_optimizer"):
        trainer.run()


def test_a_discriminator_and_its_optimiser_go_together():
    judge = discriminator_of()
    optimizer = torch.optim.Adam(judge.parameters())
    for arguments, missing in (
        ({"discriminator": judge}, "discriminator_optimizer is None"),
        ({"discriminator_optimizer": optimizer}, "discriminator is None"),
        (
            {"discriminator_loss": ExplainerLoss("discriminator")},
            "loss is given, but discriminator is None",
        ),
    ):
        with pytest.raises(ValueError, match=missing):
            trainer_of(batches(1), explainer_net(), **arguments)


def test_a_discriminator_that_nobody_asks_changes_nothing_for_the_network():
    alone, beside = (trained_looking(explainer_net()) for _ in range(2))
    plain = trainer_of(batches(2), alone, 2)
    judged = adversarial_trainer(batches(2), beside, 2, loss=ExplainerLoss())
    found = recorded(plain), recorded(judged)
    plain.run()
    judged.run()
    assert found[0] == [{name: terms[name] for name in found[0][0]} for terms in found[1]]
    assert all(torch.equal(value, beside.state_dict()[name]) for name, value in alone.state_dict().items())
    assert set(loss_terms(judged.state.output)) - set(loss_terms(plain.state.output)) == JUDGED
