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

"""JointExplainerTrainer on small real parts: what it learns, what it leaves alone, and MONAI's handlers around it."""

from __future__ import annotations

import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines.utils import IterationEvents
from monai.handlers import (
    EarlyStopHandler,
    LrScheduleHandler,
    MLFlowHandler,
    StatsHandler,
    TensorBoardStatsHandler,
    ValidationHandler,
)

from monai_advexplain import (
    Decision,
    Expectation,
    ExplainerEvaluator,
    ExplainerLoss,
    JointExplainerTrainer,
)
from monai_advexplain.handlers import AtomicCheckpointSaver, decision_metrics, loss_terms
from monai_advexplain.losses import RECIPES, Distance
from monai_advexplain.networks import MaskExplainerNet, MaskGenerator
from monai_advexplain.transforms.random_affine import AffineRange
from tests.small import (
    classifier,
    explainer_net,
    images,
    snapshot,
    trained_looking,
    trunk,
)

TERMS = {"loss", "loss/preservation", "loss/flip", "loss/image_similar", "loss/similar_adversarial", "loss/variation"}


def batches(n=2, size=2, dims=2, channels=1):
    """A list of n batches of ``size`` images."""
    return [{"image": images(size, channels, dims, seed=seed)} for seed in range(n)]


def balanced_classifier(dims=2):
    """A classifier to whom some images are yes and some no, neither by much."""
    net = classifier(dims)
    with torch.no_grad():
        logits = torch.cat([net(batch["image"]) for batch in batches(8, dims=dims)])
        net[-1].weight.mul_(1 / logits.std())
        net[-1].bias.copy_((net[-1].bias - logits.mean()) / logits.std())
    return net


def trainer_of(
    data, net, epochs=1, lr=0.01, classifier=None, optimizer=None, optimise=torch.optim.Adam, loss=None, **kwargs
):
    return JointExplainerTrainer(
        device="cpu",
        max_epochs=epochs,
        train_data_loader=data,
        network=net,
        classifier=balanced_classifier() if classifier is None else classifier,
        optimizer=optimise(net.parameters(), lr=lr) if optimizer is None else optimizer,
        loss_function=loss,
        **kwargs,
    )


def recorded(trainer):
    """The trainer's loss terms, iteration by iteration, in a list that fills while it runs."""
    found = []
    trainer.add_event_handler(
        IterationEvents.MODEL_COMPLETED, lambda engine: found.append(loss_terms(engine.state.output))
    )
    return found


@pytest.mark.parametrize(("dims", "separate"), [(2, False), (2, True), (3, False)])
def test_training_flips_the_decision_and_leaves_the_classifier_bit_for_bit_alone(dims, separate):
    net = explainer_net(dims, separate=separate)
    f = balanced_classifier(dims)
    f.train()
    before = {name: value.clone() for name, value in f.state_dict().items()}
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    if separate:
        generator = net.generator
        optimizer = [
            torch.optim.Adam([*generator.similar_trunk.parameters(), *generator.similar.parameters()], lr=0.02),
            torch.optim.Adam([*generator.adversarial_trunk.parameters(), *generator.adversarial.parameters()], lr=0.02),
        ]
    weights = {"similar_adversarial": 0.1, "variation": 0.1}
    trainer = trainer_of(
        batches(4, dims=dims), net, 15, classifier=f, optimizer=optimizer, loss=ExplainerLoss(weights=weights)
    )
    found = recorded(trainer)
    trainer.run()
    first, last = (sum(terms["loss/flip"] for terms in part) for part in (found[:4], found[-4:]))
    assert last < 0.6 * first
    assert set(found[0]) == TERMS
    assert {name for name in before if not torch.equal(before[name], f.state_dict()[name])} == set()
    assert not any(module.training for module in f.modules())
    assert all(p.grad is None and not p.requires_grad for p in f.parameters())


def test_each_of_two_optimisers_steps_its_own_generator():
    net = trained_looking(explainer_net(separate=True))
    before = snapshot(net)[0]
    frozen = torch.optim.SGD([*net.generator.similar_trunk.parameters(), *net.generator.similar.parameters()], lr=0.0)
    moving = torch.optim.SGD(
        [*net.generator.adversarial_trunk.parameters(), *net.generator.adversarial.parameters()], lr=0.1
    )
    trainer_of(batches(1), net, optimizer=(frozen, moving)).run()
    moved = {name.split(".")[1] for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"adversarial_trunk", "adversarial"}


def test_the_output_holds_image_pair_and_every_term_and_the_total_is_their_weighted_sum():
    net = trained_looking(explainer_net())
    data = batches(1)
    data[0]["label"] = torch.tensor([[1.0], [0.0]])
    pair = net.train().generate(data[0]["image"])
    trainer = trainer_of(data, net, decollate=False)
    trainer.run()
    output = trainer.state.output
    assert set(output) == {"image", "label", "similar", "adversarial"} | TERMS
    torch.testing.assert_close(output["similar"], pair.similar)
    torch.testing.assert_close(output["adversarial"], pair.adversarial)
    assert torch.equal(output["label"], data[0]["label"])
    weights = {name: weighted.weight for name, weighted in trainer.loss_function.terms.items()}
    expected = sum(weight * float(output[f"loss/{name}"]) for name, weight in weights.items())
    assert output["loss"].item() == pytest.approx(expected)


def test_whatever_else_the_network_generates_reaches_the_loss_terms_and_the_output_by_its_name():
    generator = MaskGenerator(trunk(), features=4, hidden=4)
    net = MaskExplainerNet(generator, size_divisor=2)
    data = batches(1)
    with torch.no_grad():
        mask = net.train().generate(data[0]["image"]).mask
    trainer = trainer_of(data, net, loss=ExplainerLoss("mask_generator"), decollate=False)
    trainer.run()
    terms = {f"loss/{name}" for name in RECIPES["mask_generator"]}
    assert set(trainer.state.output) == {"image", "similar", "adversarial", "mask", "loss"} | terms
    assert torch.equal(trainer.state.output["mask"], mask)
    torch.testing.assert_close(trainer.state.output["loss/area"], mask.mean())


def after_training(data, steps, loader_epochs=1):
    net = trained_looking(explainer_net())
    trainer = trainer_of(data, net, loader_epochs, lr=0.02, optimise=torch.optim.SGD, accumulation_steps=steps)
    trainer.run()
    return net.state_dict()


def assert_same_weights(found, expected):
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=2e-6, rtol=1e-4)


def joined(*parts):
    return {"image": torch.cat([part["image"] for part in parts])}


def test_accumulating_two_half_batches_equals_one_step_on_the_full_batch():
    one, two = batches(2)
    full = after_training([joined(one, two)], steps=1)
    assert_same_weights(after_training([one, two], steps=2), full)
    with pytest.raises(AssertionError):
        assert_same_weights(after_training([one, two], steps=1), full)


def test_the_rest_of_an_epoch_is_stepped_on_by_itself_and_not_carried_over():
    one, two, three = batches(3)
    expected = after_training([joined(one, two), three], steps=1, loader_epochs=2)
    assert_same_weights(after_training([one, two, three], steps=2, loader_epochs=2), expected)


def test_a_loader_of_unknown_length_accumulates_too():
    one, two = batches(2)
    full = after_training([joined(one, two)], steps=1)
    assert_same_weights(after_training((batch for batch in (one, two)), steps=2), full)


@pytest.mark.parametrize("residual", [True, False])
def test_mixed_precision_on_the_cpu_gives_finite_losses_close_to_those_of_full_precision(residual):
    found = {}
    for amp in (False, True):
        net = trained_looking(explainer_net(residual=residual))
        trainer = trainer_of(
            batches(3), net, 2, lr=1e-3, amp=amp, expectation=Expectation(AffineRange(), samples=2, clean=True)
        )
        found[amp] = recorded(trainer)
        trainer.run()
        assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in net.parameters())
    assert len(found[True]) == 6
    for full, mixed in zip(found[False], found[True], strict=True):
        assert all(isinstance(value, float) for value in mixed.values())
        assert mixed == pytest.approx(full, rel=0.1, abs=0.02)
    assert found[True] != found[False]


def test_every_iteration_event_fires_once_an_iteration_in_order():
    trainer = trainer_of(batches(3), explainer_net())
    order = ("FORWARD_COMPLETED", "LOSS_COMPLETED", "BACKWARD_COMPLETED", "MODEL_COMPLETED")
    fired = []
    for name in order:
        trainer.add_event_handler(getattr(IterationEvents, name), lambda _, name=name: fired.append(name))
    trainer.run()
    assert fired == [*order] * 3


def test_the_decision_and_the_expectation_are_what_the_classifier_is_asked_with():
    f = classifier(outputs=3)
    image = images(2)
    with torch.no_grad():
        target = Decision("softmax", index=1, soft=True).target(f(image))
    asked = []
    f.register_forward_hook(lambda module, inputs, output: asked.append(len(inputs[0])))
    trainer = trainer_of(
        [{"image": image}],
        explainer_net(),
        classifier=f,
        decision=Decision("softmax", index=1, soft=True),
        expectation=Expectation(AffineRange(), samples=3),
        decollate=False,
    )
    trainer.run()
    assert asked == [2, 6, 6]
    # The images are the input still: preservation is the entropy of the soft decision.
    entropy = -(target * target.log() + (1 - target) * (1 - target).log()).mean()
    torch.testing.assert_close(trainer.state.output["loss/preservation"], entropy, atol=1e-4, rtol=1e-4)


def test_metatensors_train_as_plain_tensors_do_and_stay_in_the_output():
    weights = []
    for wrap in (lambda image: image, lambda image: MetaTensor(image, affine=2 * torch.eye(4))):
        net = explainer_net()
        items = [{"image": wrap(image)} for image in images(4)]
        trainer = trainer_of(DataLoader(Dataset(items), batch_size=2), net, 2, decollate=False)
        trainer.run()
        weights.append(net.state_dict())
    assert isinstance(trainer.state.output["image"], MetaTensor)
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


# --- what does not stay finite --------------------------------------------------------------------------------------


class NaNAt:
    """A distance that is not a number, or not finite, the k-th time."""

    def __init__(self, k, value=float("nan")):
        self.left, self.value = k, value

    def __call__(self, step):
        self.left -= 1
        loss = Distance("image", "adversarial")(step)
        return loss * self.value if self.left == 0 else loss


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_term_that_is_not_finite_stops_the_run_by_name_and_costs_neither_weights_nor_checkpoint(tmp_path, value):
    net = trained_looking(explainer_net())
    (tmp_path / "model.pt").write_bytes(b"the final weights of a good run")
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    saver = AtomicCheckpointSaver(
        str(tmp_path),
        {"network": net, "optimizer": optimizer},
        include_engine=True,
        save_interval=1,
        save_final=True,
        final_filename="model.pt",
    )
    # One epoch of two iterations is saved; of the second epoch one iteration is done, and the next one fails.
    loss = ExplainerLoss(weights={"broken": 1.0}, terms={"broken": NaNAt(4, value)})
    trainer = trainer_of(batches(2), net, 3, optimizer=optimizer, loss=loss, train_handlers=[saver])
    seen = []
    trainer.add_event_handler(
        IterationEvents.FORWARD_COMPLETED,
        lambda engine: seen.append((snapshot(net)[0], {p.name: p.read_bytes() for p in tmp_path.glob("*.pt")})),
    )
    with pytest.raises(FloatingPointError, match=rf"loss term 'broken' is {value} at epoch 2, iteration 4"):
        trainer.run()
    assert len(seen) == 4
    weights, files = seen[-1]
    assert not torch.equal(weights["generator.similar.image.weight"], seen[-2][0]["generator.similar.image.weight"])
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    assert set(files) == {"checkpoint_epoch=1.pt", "model.pt"}
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == files
    checkpoint = torch.load(tmp_path / "checkpoint_epoch=1.pt", weights_only=True)
    assert checkpoint["trainer"]["iteration"] == 2
    explainer_net().load_state_dict(checkpoint["network"])


def test_an_image_that_holds_nan_stops_the_run_with_the_name_of_a_term():
    data = batches(2)
    data[1]["image"][0, 0, 3, 3] = float("nan")
    net = explainer_net()
    trainer = trainer_of(data, net)
    found = recorded(trainer)
    with pytest.raises(FloatingPointError, match=r"loss term '(preservation|image_similar)' is nan at epoch 1"):
        trainer.run()
    assert len(found) == 1
    assert all(torch.isfinite(p).all() for p in net.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accumulation_steps": 0}, "accumulation_steps must be at least 1, got 0"),
        ({"optimizer": []}, "optimizer is empty"),
    ],
)
def test_arguments_that_cannot_train_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        trainer_of(batches(1), explainer_net(), **arguments)


def test_a_classifier_that_does_not_fit_the_decision_is_named_with_its_shape():
    trainer = trainer_of(batches(1), explainer_net(), classifier=classifier(outputs=3))
    with pytest.raises(ValueError, match=r"output has shape \(2, 3\), which does not fit head='sigmoid'"):
        trainer.run()


# --- MONAI's handlers -----------------------------------------------------------------------------------------------


def validator_of(net, f, **kwargs):
    metrics = decision_metrics()
    key = {"preservation_rate": metrics.pop("preservation_rate")}
    return ExplainerEvaluator("cpu", batches(2), net, f, key_val_metric=key, additional_metrics=metrics, **kwargs)


def test_a_validation_handler_evaluates_with_the_explainer_evaluator_and_early_stopping_ends_the_run():
    net, f = explainer_net(), balanced_classifier()
    stop = EarlyStopHandler(patience=2, score_function=lambda engine: -engine.state.metrics["preservation_rate"])
    validator = validator_of(net, f, val_handlers=[stop])
    trainer = trainer_of(
        batches(2), net, 50, lr=1e-6, classifier=f, train_handlers=[ValidationHandler(1, validator, epoch_level=True)]
    )
    stop.set_trainer(trainer)
    modes = []
    trainer.add_event_handler(IterationEvents.FORWARD_COMPLETED, lambda _: modes.append(net.training))
    trainer.run()
    assert trainer.state.epoch == 3  # the first score is the best; then the patience of two epochs
    assert validator.state.metrics == {"flip_rate": 0.0, "preservation_rate": 1.0}
    assert all(modes)


def test_a_learning_rate_schedule_steps_once_an_iteration():
    net = explainer_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    handler = LrScheduleHandler(schedule, print_lr=False, epoch_level=False)
    trainer_of(batches(3), net, optimizer=optimizer, train_handlers=[handler]).run()
    assert optimizer.param_groups[0]["lr"] == 0.125


def test_the_stats_handler_prints_every_term_by_name(capsys):
    handler = StatsHandler(output_transform=loss_terms, name="terms")
    trainer_of(batches(1), explainer_net(), train_handlers=[handler]).run()
    printed = capsys.readouterr().out
    assert all(f" {name}: " in printed for name in TERMS)


def test_tensorboard_gets_every_term_of_every_iteration_by_name(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    handler = TensorBoardStatsHandler(log_dir=str(tmp_path), output_transform=loss_terms)
    trainer = trainer_of(batches(3), explainer_net(), train_handlers=[handler])
    found = recorded(trainer)
    trainer.run()
    handler.close()
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["scalars"]) >= TERMS
    for name in TERMS:
        assert [event.value for event in events.Scalars(name)] == pytest.approx([terms[name] for terms in found])


def test_mlflow_gets_every_term_of_every_iteration_by_name(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy", reason="mlflow writes to SQLite by sqlalchemy and alembic")
    pytest.importorskip("alembic", reason="mlflow writes to SQLite by sqlalchemy and alembic")
    uri = f"sqlite:///{tmp_path}/mlruns.db"
    handler = MLFlowHandler(
        tracking_uri=uri, experiment_name="explain", output_transform=loss_terms, close_on_complete=True
    )
    trainer = trainer_of(batches(2), explainer_net(), train_handlers=[handler])
    found = recorded(trainer)
    trainer.run()
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("explain")
    (run,) = client.search_runs(experiment.experiment_id)
    assert set(run.data.metrics) >= TERMS
    for name in TERMS:
        history = client.get_metric_history(run.info.run_id, name)
        values = {metric.step: metric.value for metric in history}
        assert values == pytest.approx({i + 1: terms[name] for i, terms in enumerate(found)})
