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

"""JointExplainerTrainer: both generators trained at once against a frozen classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from ignite.engine import Engine, EventEnum
from ignite.metrics import Metric
from monai.engines import Trainer, default_metric_cmp_fn, default_prepare_batch
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer
from monai.transforms import Transform
from monai.utils import convert_to_tensor
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor
from torch.optim import Optimizer

from monai_advexplain.decision import Decision
from monai_advexplain.inferers.pair_inferer import PairInferer
from monai_advexplain.losses import Expectation, ExplainerLoss, ExplanationStep
from monai_advexplain.networks.frozen import freeze, without_gradients


class JointExplainerTrainer(Trainer):
    """Trains an :class:`~monai_advexplain.networks.ExplainerNet` against a frozen classifier, in the style of
    ``monai.engines.SupervisedTrainer``.

    Every iteration leaves in ``engine.state.output``: ``image``, ``label`` (when the batch has one), ``similar``,
    ``adversarial`` and whatever else the network generates under its name, ``loss``, and every unweighted loss term as
    ``loss/<name>``, those of a discriminator as ``loss/discriminator_<name>``. It fires the iteration events
    FORWARD_COMPLETED, LOSS_COMPLETED, BACKWARD_COMPLETED and MODEL_COMPLETED. With ``amp`` it runs under autocast on
    CUDA (with gradient scaling) and on the CPU (bfloat16).

    Args:
        device: where to run.
        max_epochs: number of epochs.
        train_data_loader: batches with ``image`` (B, C, *spatial).
        network: the ExplainerNet to train.
        classifier: the classifier to explain, images -> logits; it is moved to ``device``, put in eval mode, and its
            parameters lose ``requires_grad``. Weights and buffers never change.
        optimizer: one optimiser, or several (one for each generator); all step together.
        loss_function: terms and weights.
        decision: which decision of the classifier is explained.
        expectation: random transformations of what the classifier sees of the generated images; None for none.
        inferer: network, image -> named tuple of generated images, ``similar`` and ``adversarial`` among them.
        accumulation_steps: mini-batches over which gradients are accumulated; the rest of an epoch is not discarded.
        discriminator: judges how real images look, (images (B, C, *spatial), decisions (B,)) -> verdicts (B, *patches),
            such as :class:`~monai_advexplain.networks.DecisionDiscriminator`; moved to ``device`` and trained on the
            images of each step, beside the network. None for none; terms of realism then need a weight of 0.
        discriminator_optimizer: of the discriminator; it steps together with the others.
        discriminator_loss: terms and weights that the discriminator minimises; the recipe ``discriminator`` by default.
        critics: further classifiers of the same decision, such as the same training from other seeds, frozen as the
            classifier is. Decisions about generated images have to be theirs too: what fools one classifier seldom
            fools another, and what is a finding does. Whose decision is explained stays the classifier's.
        teacher: an explainer, images (B, C, *spatial) -> maps (B, 1, *spatial), whose maps the pair's are to resemble
            (loss term ``consistency``): :class:`~monai_advexplain.explainers.GeometricAveraging` around the
            :class:`~monai_advexplain.explainers.ProposedExplainer` of a
            :class:`~monai_advexplain.handlers.MovingAverage`, say, or of networks trained before.
        teacher_rests: number of epochs before it begins; maps of an average that has seen little teach nothing.
        epoch_length, non_blocking, prepare_batch, postprocessing, key_train_metric, additional_metrics, metric_cmp_fn,
            train_handlers, amp, event_names, event_to_attr, decollate, optim_set_to_none, to_kwargs, amp_kwargs:
            see ``monai.engines.SupervisedTrainer``.

    Raises:
        ValueError: for ``accumulation_steps`` below 1, ``teacher_rests`` below 0, no optimiser, a discriminator without
            an optimiser of its own or the other way round, or ``discriminator_loss`` without a discriminator.
        FloatingPointError: in a run, when a loss term is not finite; the message names it. Weights are as before the
            iteration.
    """

    def __init__(
        self,
        device: str | torch.device,
        max_epochs: int,
        train_data_loader: Iterable,
        network: torch.nn.Module,
        classifier: torch.nn.Module,
        optimizer: Optimizer | Sequence[Optimizer],
        loss_function: ExplainerLoss | None = None,
        decision: Decision | None = None,
        expectation: Expectation | None = None,
        epoch_length: int | None = None,
        non_blocking: bool = False,
        prepare_batch: Callable = default_prepare_batch,
        inferer: Inferer | None = None,
        postprocessing: Transform | None = None,
        key_train_metric: dict[str, Metric] | None = None,
        additional_metrics: dict[str, Metric] | None = None,
        metric_cmp_fn: Callable = default_metric_cmp_fn,
        train_handlers: Sequence | None = None,
        amp: bool = False,
        event_names: list[str | EventEnum | type[EventEnum]] | None = None,
        event_to_attr: dict | None = None,
        decollate: bool = True,
        optim_set_to_none: bool = True,
        to_kwargs: dict | None = None,
        amp_kwargs: dict | None = None,
        accumulation_steps: int = 1,
        discriminator: torch.nn.Module | None = None,
        discriminator_optimizer: Optimizer | None = None,
        discriminator_loss: ExplainerLoss | None = None,
        critics: Sequence[torch.nn.Module] = (),
        teacher: Callable[[Tensor], Tensor] | None = None,
        teacher_rests: int = 0,
    ) -> None:
        if accumulation_steps < 1:
            raise ValueError(f"accumulation_steps must be at least 1, got {accumulation_steps!r}.")
        if teacher_rests < 0:
            raise ValueError(f"teacher_rests must be at least 0 epochs, got {teacher_rests!r}.")
        if (discriminator is None) != (discriminator_optimizer is None):
            missing = "discriminator" if discriminator is None else "discriminator_optimizer"
            raise ValueError(f"discriminator and discriminator_optimizer go together, but {missing} is None.")
        if discriminator_loss is not None and discriminator is None:
            raise ValueError("discriminator_loss is given, but discriminator is None.")
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            data_loader=train_data_loader,
            epoch_length=epoch_length,
            non_blocking=non_blocking,
            prepare_batch=prepare_batch,
            postprocessing=postprocessing,
            key_metric=key_train_metric,
            additional_metrics=additional_metrics,
            metric_cmp_fn=metric_cmp_fn,
            handlers=train_handlers,
            amp=amp,
            event_names=event_names,
            event_to_attr=event_to_attr,
            decollate=decollate,
            to_kwargs=to_kwargs,
            amp_kwargs=amp_kwargs,
        )
        device = self.state.device
        self.network = network
        self.classifier = freeze(classifier).to(device)
        self.critics = tuple(freeze(critic).to(device) for critic in critics)
        self.optimizers = (optimizer,) if isinstance(optimizer, Optimizer) else tuple(optimizer)
        if not self.optimizers:
            raise ValueError("optimizer is empty; give one optimiser or several.")
        self.loss_function = ExplainerLoss() if loss_function is None else loss_function
        self.discriminator = None if discriminator is None else discriminator.to(device)
        if discriminator_optimizer is not None:
            self.optimizers += (discriminator_optimizer,)
        self.discriminator_loss = ExplainerLoss("discriminator") if discriminator_loss is None else discriminator_loss
        self.decision = Decision() if decision is None else decision
        self.expectation = Expectation() if expectation is None else expectation
        self.inferer = PairInferer() if inferer is None else inferer
        self.teacher, self.teacher_rests = teacher, teacher_rests
        self.optim_set_to_none = optim_set_to_none
        self.accumulation_steps = accumulation_steps
        # float16 gradients need scaling; CPU autocast is bfloat16, which does not.
        self.scaler = torch.amp.GradScaler(device.type, enabled=amp and device.type == "cuda")  # type: ignore

    def run(self) -> None:  # type: ignore[override]
        """Train; called again, it goes on from the state it is in."""
        super(Trainer, self).run()  # Trainer.run would replace the scaler by CUDA's

    def _accumulation(self) -> tuple[bool, bool, int]:
        """(zero the gradients before, step after, number of mini-batches in this accumulation)."""
        done, length = self.state.iteration - 1, self.state.epoch_length
        if length is None:
            steps = self.accumulation_steps
            return done % steps == 0, (done + 1) % steps == 0, steps
        done %= length
        start = done - done % self.accumulation_steps
        steps = min(self.accumulation_steps, length - start)
        return done == start, done + 1 == start + steps, steps

    def _iteration(self, engine: Engine, batchdata: dict[str, Tensor]) -> dict:
        """One step of joint training; see the class for what it leaves in ``engine.state.output``."""
        if batchdata is None:
            raise ValueError("Must provide batch data for current iteration.")
        image, label = self.prepare_batch(batchdata, self.state.device, self.non_blocking, **self.to_kwargs)[:2]
        plain = convert_to_tensor(image, track_meta=False)
        output: dict[str, Any] = {Keys.IMAGE: image} | ({} if label is None else {Keys.LABEL: label})
        self.state.output = output
        zero_grad, step_optimizers, steps = self._accumulation()

        self.network.train()
        if self.discriminator is not None:
            self.discriminator.train()
        if zero_grad:
            for optimizer in self.optimizers:
                optimizer.zero_grad(set_to_none=self.optim_set_to_none)

        with torch.autocast(self.state.device.type, enabled=self.amp, **self.amp_kwargs):
            pair = self.inferer(plain, self.network)
            generated = pair._asdict()
            output |= generated
            self.fire_event(IterationEvents.FORWARD_COMPLETED)
            step = self._step(plain, generated)
            with nullcontext() if self.discriminator is None else without_gradients(self.discriminator):
                terms = self.loss_function(step)
            judged = {} if self.discriminator is None else self.discriminator_loss(step)
            named = terms | {f"discriminator_{name}": value for name, value in judged.items()}
            for name, value in named.items():
                if not torch.isfinite(value):
                    raise FloatingPointError(
                        f"the loss term {name!r} is {value.item()} at epoch {self.state.epoch}, iteration "
                        f"{self.state.iteration}; training stops, the last checkpoint is untouched. A lower learning "
                        "rate, or a look at this batch's images, is the first thing to try."
                    )
            output |= {f"{Keys.LOSS}/{name}": value.detach() for name, value in named.items()}
            output[Keys.LOSS] = self.loss_function.total(terms)
            self.fire_event(IterationEvents.LOSS_COMPLETED)

        # One sum, two graphs: the generators' loss has no gradient in the discriminator, nor the other way round.
        total = output[Keys.LOSS] + self.discriminator_loss.total(judged)
        self.scaler.scale(total / steps).backward()  # type: ignore[union-attr]
        self.fire_event(IterationEvents.BACKWARD_COMPLETED)
        if step_optimizers:
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)  # type: ignore[union-attr]
            self.scaler.update()  # type: ignore[union-attr]
        self.fire_event(IterationEvents.MODEL_COMPLETED)
        return self.state.output

    def _step(self, image: Tensor, generated: dict[str, Tensor]) -> ExplanationStep:
        with torch.no_grad():
            output = self.classifier(image)
        draw = self.expectation.draw(image)

        def critic(images: Tensor) -> Tensor:
            seen = draw(images)
            margins = [self.decision.margin(network(seen)) for network in (self.classifier, *self.critics)]
            return torch.cat(margins).reshape(-1, len(images))

        def teacher(images: Tensor) -> Tensor | None:
            if self.teacher is None or self.state.epoch <= self.teacher_rests:
                return None
            return self.teacher(images)

        return ExplanationStep(
            {"image": image, **generated},
            self.decision.target(output),
            critic,
            self.decision.margin(output),
            self.discriminator,
            None if self.teacher is None else teacher,
        )
