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

"""ExplainerEvaluator: what the generated images and maps are worth, image by image."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, EventEnum, Events
from ignite.metrics import Metric
from monai.data import MetaTensor
from monai.engines import Evaluator, default_metric_cmp_fn, default_prepare_batch
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer
from monai.transforms import Transform
from monai.utils import ForwardMode, convert_to_tensor
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor

from monai_advexplain.decision import Decision
from monai_advexplain.engines.keys import ExplainerKeys
from monai_advexplain.inferers.explain import explain_images
from monai_advexplain.inferers.pair_inferer import PairInferer
from monai_advexplain.networks.frozen import freeze


class ExplainerEvaluator(Evaluator):
    """Explains every image of a loader and asks the classifier about the image and both generated ones.

    Every iteration leaves in ``engine.state.output``: ``image``, ``label`` and ``mask`` (when the batch has them),
    ``similar``, ``adversarial`` and ``explanation`` (B, 1, *spatial) as MetaTensors in the image's geometry;
    ``probability``, ``probability_similar``, ``probability_adversarial`` (B, 1), ``decision``, ``decision_similar``,
    ``decision_adversarial`` (B, 1) bool; and the map of every explainer under its own name. It fires FORWARD_COMPLETED
    and MODEL_COMPLETED. Seconds per image of every explainer are appended, batch by batch, to
    ``engine.state.seconds[name]``; the first batch warms up and is not timed when there are more.

    Args:
        device: where to run.
        val_data_loader: batches with ``image`` (B, C, *spatial), and perhaps ``label`` and ``mask``.
        network: the ExplainerNet.
        classifier: the classifier to explain; frozen as the trainer does it. None to explain without scores.
        decision: which decision of the classifier is explained.
        explainers: name -> explainer, evaluated beside the network's own map.
        additional_metrics: computed only when there is a ``key_val_metric`` too (MONAI's Workflow ignores them else).
        inferer: network, image -> pair of generated images.
        epoch_length, non_blocking, prepare_batch, postprocessing, key_val_metric, metric_cmp_fn,
            val_handlers, amp, mode, event_names, event_to_attr, decollate, to_kwargs, amp_kwargs:
            see ``monai.engines.SupervisedEvaluator``.

    Raises:
        ValueError: when an explainer's name is one of the evaluator's own keys.
    """

    def __init__(
        self,
        device: str | torch.device,
        val_data_loader: Iterable,
        network: torch.nn.Module,
        classifier: torch.nn.Module | None = None,
        decision: Decision | None = None,
        explainers: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
        epoch_length: int | None = None,
        non_blocking: bool = False,
        prepare_batch: Callable = default_prepare_batch,
        inferer: Inferer | None = None,
        postprocessing: Transform | None = None,
        key_val_metric: dict[str, Metric] | None = None,
        additional_metrics: dict[str, Metric] | None = None,
        metric_cmp_fn: Callable = default_metric_cmp_fn,
        val_handlers: Sequence | None = None,
        amp: bool = False,
        mode: ForwardMode | str = ForwardMode.EVAL,
        event_names: list[str | EventEnum | type[EventEnum]] | None = None,
        event_to_attr: dict | None = None,
        decollate: bool = True,
        to_kwargs: dict | None = None,
        amp_kwargs: dict | None = None,
    ) -> None:
        super().__init__(
            device=torch.device(device),
            val_data_loader=val_data_loader,
            epoch_length=epoch_length,
            non_blocking=non_blocking,
            prepare_batch=prepare_batch,
            postprocessing=postprocessing,
            key_val_metric=key_val_metric,
            additional_metrics=additional_metrics,
            metric_cmp_fn=metric_cmp_fn,
            val_handlers=val_handlers,
            amp=amp,
            mode=mode,
            event_names=event_names,
            event_to_attr=event_to_attr,
            decollate=decollate,
            to_kwargs=to_kwargs,
            amp_kwargs=amp_kwargs,
        )
        self.network = network
        self.classifier = None if classifier is None else freeze(classifier).to(self.state.device)
        self.decision = Decision() if decision is None else decision
        self.explainers = dict(explainers or {})
        reserved = {*ExplainerKeys, Keys.IMAGE, Keys.LABEL} & set(self.explainers)
        if reserved:
            raise ValueError(f"explainers cannot be named {sorted(map(str, reserved))}: the evaluator uses these keys.")
        self.inferer = PairInferer() if inferer is None else inferer
        self.state.seconds = {}
        self.add_event_handler(Events.STARTED, self._reset_seconds)

    def _reset_seconds(self) -> None:
        self.state.seconds = {name: [] for name in self.explainers}

    def _iteration(self, engine: Engine, batchdata: dict[str, Tensor]) -> dict:
        """One batch; see the class for what it leaves in ``engine.state.output``."""
        if batchdata is None:
            raise ValueError("Must provide batch data for current iteration.")
        image, label = self.prepare_batch(batchdata, self.state.device, self.non_blocking, **self.to_kwargs)[:2]
        plain = convert_to_tensor(image, track_meta=False)
        output: dict[str, Any] = {Keys.IMAGE: image} | ({} if label is None else {Keys.LABEL: label})
        if isinstance(batchdata, Mapping) and ExplainerKeys.MASK in batchdata:
            output[ExplainerKeys.MASK] = batchdata[ExplainerKeys.MASK].to(self.state.device)
        self.state.output = output

        with self.mode(self.network), torch.autocast(self.state.device.type, enabled=self.amp, **self.amp_kwargs):
            result = explain_images(plain, self.network, self.classifier, self.decision, self.inferer)
        for name, value in result.items():
            output[name] = _like(image, value) if value.ndim > 2 else value
        self.fire_event(IterationEvents.FORWARD_COMPLETED)
        for name, explainer in self.explainers.items():
            start = _now(self.state.device)
            output[name] = explainer(plain)
            if self.state.iteration > 1 or self.state.epoch_length == 1:
                self.state.seconds[name].append((_now(self.state.device) - start) / len(plain))
        self.fire_event(IterationEvents.MODEL_COMPLETED)
        return self.state.output


def _like(image: Tensor, generated: Tensor) -> Tensor:
    """The generated batch with the geometry and the history of transforms of the image that it was made from."""
    generated = generated.detach().float()
    return MetaTensor(generated).copy_meta_from(image) if isinstance(image, MetaTensor) else generated


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
