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

"""ExplainerEvaluator: what it leaves in its output, in which geometry, with which metrics."""

from __future__ import annotations

import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines.utils import IterationEvents

from monai_advexplain import Decision, ExplainerEvaluator, Explanation
from monai_advexplain.explainers import GradientExplainer, NaiveExplainer, ProposedExplainer, RandomExplainer
from monai_advexplain.handlers import explainer_metrics
from monai_advexplain.metrics import pooled_auc_loc
from monai_advexplain.metrics.auc_loc import localisation_curve
from tests.small import SIZES, assert_unchanged, classifier, explainer_net, images, snapshot, trained_looking

DIMS = pytest.mark.parametrize("dims", [2, 3])
IMAGES = {"image", "similar", "adversarial", "explanation"}
SCORES = {f"{score}{suffix}" for score in ("probability", "decision") for suffix in ("", "_similar", "_adversarial")}
AFFINE = torch.tensor([[0.0, 2.0, 0.0, 5.0], [-3.0, 0.0, 0.0, 7.0], [0.0, 0.0, 4.0, -1.0], [0.0, 0.0, 0.0, 1.0]])


def loader(n=4, dims=2, batch_size=2, **more):
    items = [
        {"image": MetaTensor(image, affine=AFFINE, meta={"filename_or_obj": f"{i}.dcm"})}
        | {key: values[i] for key, values in more.items()}
        for i, image in enumerate(images(n, 1, dims))
    ]
    return DataLoader(Dataset(items), batch_size=batch_size)


def evaluator_of(data, net, f=None, **kwargs):
    return ExplainerEvaluator("cpu", data, net, f, **kwargs)


@DIMS
def test_the_output_holds_images_map_and_scores_as_computed_by_hand(dims):
    net, f = trained_looking(explainer_net(dims)), classifier(dims, outputs=3)
    decision = Decision("softmax", index=1, threshold=0.4)
    evaluator = evaluator_of(loader(2, dims), net, f, decision=decision, decollate=False)
    evaluator.run()
    output = evaluator.state.output
    assert set(output) == IMAGES | SCORES
    with torch.no_grad():
        image = images(2, 1, dims)
        similar, adversarial = net.eval().generate(image)
        shown = {"image": image, "similar": similar, "adversarial": adversarial, "explanation": net(image)}
        for name, value in shown.items():
            assert torch.equal(output[name].as_tensor(), value)
        for suffix, one in (("", image), ("_similar", similar), ("_adversarial", adversarial)):
            probability = f(one).softmax(dim=1)[:, 1:2]
            torch.testing.assert_close(output[f"probability{suffix}"], probability)
            assert torch.equal(output[f"decision{suffix}"], probability > 0.4)
    assert output["explanation"].shape == (2, 1, *SIZES[dims])
    assert output["decision"].dtype == torch.bool


@DIMS
def test_what_is_generated_lies_in_the_geometry_of_its_image(dims):
    evaluator = evaluator_of(loader(2, dims), explainer_net(dims), classifier(dims))
    evaluator.run()
    for i, item in enumerate(evaluator.state.output):
        for name in ("similar", "adversarial", "explanation"):
            assert isinstance(item[name], MetaTensor)
            torch.testing.assert_close(item[name].affine, AFFINE.to(item[name].affine))
            assert item[name].meta["filename_or_obj"] == f"{i}.dcm"
            assert item[name].shape == (1, *SIZES[dims])
            assert not item[name].requires_grad


def test_plain_tensors_are_explained_as_metatensors_are():
    net = trained_looking(explainer_net())
    plain = evaluator_of([{"image": images(2)}], net, decollate=False)
    meta = evaluator_of(loader(2), net, decollate=False)
    plain.run()
    meta.run()
    assert type(plain.state.output["explanation"]) is torch.Tensor
    torch.testing.assert_close(plain.state.output["explanation"], meta.state.output["explanation"].as_tensor())


def test_the_explanation_of_one_image_is_made_from_its_entry():
    evaluator = evaluator_of(loader(2), trained_looking(explainer_net()), classifier())
    evaluator.run()
    item = evaluator.state.output[1]
    explanation = Explanation.from_output(item)
    assert explanation.input == "1.dcm"
    torch.testing.assert_close(explanation.map, item["explanation"])
    assert explanation.probability == item["probability"].item()


def test_every_explainer_leaves_its_map_under_its_name_and_is_timed_after_a_warm_up():
    net, f = trained_looking(explainer_net()), classifier()
    explainers = {
        "proposed": ProposedExplainer(net),
        "naive": NaiveExplainer(net),
        "gradient": GradientExplainer(f),
        "random": RandomExplainer(),
    }
    evaluator = evaluator_of(loader(5), net, f, explainers=explainers, decollate=False)
    before = snapshot(f.requires_grad_(False))
    for _ in range(2):  # the seconds start afresh
        evaluator.run()
        assert set(evaluator.state.seconds) == set(explainers)
        assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in evaluator.state.seconds.values())
    assert_unchanged(f, before)
    last = images(5)[4:]
    torch.testing.assert_close(evaluator.state.output["gradient"], explainers["gradient"](last))
    torch.testing.assert_close(evaluator.state.output["proposed"], evaluator.state.output["explanation"].as_tensor())
    torch.testing.assert_close(evaluator.state.output["naive"], explainers["naive"](last))


def test_a_single_batch_is_timed():
    evaluator = evaluator_of(loader(2), explainer_net(), explainers={"random": RandomExplainer()})
    evaluator.run()
    assert len(evaluator.state.seconds["random"]) == 1


def test_metrics_are_those_of_all_images_together():
    generator = torch.Generator().manual_seed(0)
    masks = (torch.rand(5, 1, *SIZES[2], generator=generator) < 0.3).float()
    labels = torch.tensor([[1.0], [0.0], [1.0], [0.0], [1.0]])
    net, f = trained_looking(explainer_net()), classifier()
    with torch.no_grad():
        logits = f(images(5))
        f[-1].bias.sub_(logits.median())
        similar, adversarial = net.eval().generate(images(5))
        decisions = [f(shown).flatten() > 0 for shown in (images(5), similar, adversarial)]
    metrics = explainer_metrics(["explanation", "gradient"])
    data = loader(5, label=labels, mask=masks)
    evaluator = evaluator_of(
        data,
        net,
        f,
        explainers={"gradient": GradientExplainer(f)},
        key_val_metric={"flip_rate": metrics.pop("flip_rate")},
        additional_metrics=metrics,
    )
    evaluator.run()
    found = evaluator.state.metrics
    assert found["flip_rate"] == pytest.approx((decisions[2] != decisions[0]).float().mean().item())
    assert found["preservation_rate"] == pytest.approx((decisions[1] == decisions[0]).float().mean().item())
    scores = logits.flatten().tolist()
    pairs = [(scores[i] > scores[j]) for i in range(5) for j in range(5) if labels[i] > labels[j]]
    assert found["classifier_auc"] == pytest.approx(sum(pairs) / len(pairs))
    maps = {"explanation": net(images(5)).detach(), "gradient": GradientExplainer(f)(images(5))}
    for name, value in maps.items():
        expected = pooled_auc_loc(*localisation_curve(value, masks), 1.0).item()
        assert found[f"auc_loc/{name}/total"] == pytest.approx(expected, abs=1e-5)


def test_without_a_classifier_there_are_images_and_a_map_but_no_scores():
    evaluator = evaluator_of(loader(2), explainer_net())
    evaluator.run()
    assert set(evaluator.state.output[0]) == IMAGES
    with pytest.raises(KeyError, match="made without a classifier"):
        Explanation.from_output(evaluator.state.output[0])


def test_the_classifier_is_frozen_and_the_network_back_in_training_afterwards():
    net, f = explainer_net().train(), classifier().train()
    modes = []
    evaluator = evaluator_of(loader(2), net, f)
    evaluator.add_event_handler(
        IterationEvents.FORWARD_COMPLETED, lambda engine: modes.append(engine.state.output["similar"].requires_grad)
    )
    evaluator.run()
    assert modes == [False]
    assert net.training
    assert not any(m.training for m in f.modules())
    assert not any(p.requires_grad for p in f.parameters())


def test_forward_and_model_events_fire_once_an_iteration():
    fired = []
    evaluator = evaluator_of(loader(4), explainer_net())
    for event in (IterationEvents.FORWARD_COMPLETED, IterationEvents.MODEL_COMPLETED):
        evaluator.add_event_handler(event, lambda _, event=event: fired.append(event.name))
    evaluator.run()
    assert fired == ["FORWARD_COMPLETED", "MODEL_COMPLETED"] * 2


@pytest.mark.parametrize("name", ["image", "label", "mask", "similar", "explanation", "decision_adversarial"])
def test_an_explainer_cannot_take_a_name_that_the_evaluator_uses(name):
    with pytest.raises(ValueError, match=rf"explainers cannot be named \['{name}'\]"):
        evaluator_of(loader(2), explainer_net(), explainers={name: RandomExplainer()})
