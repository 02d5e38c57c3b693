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

"""GradCAM and GradCAM++: where the last feature maps are that speak for the decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from monai.visualize import GradCAM, GradCAMpp, ModelWithHooks
from torch import Tensor

from monai_advexplain.decision import Decision
from monai_advexplain.explainers.classifier_explainer import ClassifierExplainer
from monai_advexplain.explainers.errors import UnsupportedClassifierError


@contextmanager
def _hooked(network: torch.nn.Module, hook: Callable[[str, Any], Any], only: str | None = None) -> Iterator[None]:
    """Calls ``hook(name, output)`` when a submodule has run, or only that one; what it returns replaces the output."""

    def named(name: str) -> Callable[..., Any]:
        return lambda module, inputs, output: hook(name, output)

    handles = [
        module.register_forward_hook(named(name))
        for name, module in network.named_modules()
        if name and only in (None, name) and not isinstance(module, torch.jit.ScriptModule)  # which takes no hooks
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hidden(network: torch.nn.Module) -> str:
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        return "TorchScript hides the layers of a classifier, use the Python module that it was made of"
    return "the classifier does not run such a layer"


class _Layer(ModelWithHooks):
    """What MONAI's CAM methods ask of a network: the activations and gradients of a layer, here without side effects.

    (MONAI's own leaves its hooks, zeroes the gradients of the parameters and takes ReLUs out of place.)
    """

    def __init__(self, network: torch.nn.Module, name: str, evidence: Callable[[Tensor], Tensor]) -> None:
        self.model = network
        self.target_layers = (name,)
        self.evidence = evidence

    def __call__(self, x: Tensor, class_idx: Any = None, retain_graph: bool = False, **kwargs: Any) -> Any:
        kept: list[Tensor] = []

        def keep(name: str, output: Any) -> Tensor:
            if not isinstance(output, Tensor) or output.ndim != x.ndim:
                found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise UnsupportedClassifierError(
                    f"CAM methods read feature maps (B, C, *spatial), and {name!r} gives {found}."
                )
            kept[:] = [output.detach().requires_grad_(True)]
            return kept[0].clone()  # what follows may work in place

        with _hooked(self.model, keep, only=self.target_layers[0]):
            evidence = self.evidence(x)
        if not kept:
            raise UnsupportedClassifierError(f"CAM methods read {self.target_layers[0]!r}: {_hidden(self.model)}.")
        (activation,) = kept
        (gradient,) = torch.autograd.grad(evidence.sum(), activation)
        # GradCAM++ weighs by exp(score), one positive factor an image, which overflows where the logit is large.
        self.score = torch.zeros(())
        # Neither map changes when gradients grow as activations shrink; but MONAI's GradCAM++ adds 1e-7 to squared
        # gradients, and behind a mean over the image these are smaller.
        factor = gradient.abs().flatten(1).amax(dim=1).clamp(min=torch.finfo(gradient.dtype).tiny ** 0.5)
        factor = factor.reshape(-1, *[1] * (gradient.ndim - 1))
        if getattr(self.model, "reverse_axes", False):  # AdaptedClassifier: feature maps back to the axes of the image
            activation, gradient = activation.transpose(2, -1), gradient.transpose(2, -1)
        return None, ((activation.detach() * factor).contiguous(),), ((gradient / factor).contiguous(),)


class GradCAMExplainer(ClassifierExplainer):
    """``relu(sum_k mean(d e / d A_k) A_k)``, A_k the feature maps of a layer, e the evidence for the decision made.

    Selvaraju et al., 2017, arXiv 1610.02391; computed by ``monai.visualize.GradCAM`` without its normalisation, which
    makes 0 of what is important, and enlarged linearly to the size of the image. The evidence is the margin where the
    decision is "yes" and its opposite where it is "no".

    Args:
        classifier: images -> logits, a Python module (not TorchScript).
        decision: which decision is explained.
        target_layer: dotted name of the layer, as in ``named_modules()``. By default the last module that runs and
            whose output is (B, C, *spatial) with more than one position, found for each size of image with one pass
            of the classifier.

    Raises:
        ValueError: when the classifier has no such layer.
        UnsupportedClassifierError: when an image is explained and there are no feature maps to read: the classifier is
            TorchScript, or a transformer that ends in tokens.
    """

    _cam: type[GradCAM] = GradCAM

    def __init__(
        self, classifier: torch.nn.Module, decision: Decision | None = None, target_layer: str | None = None
    ) -> None:
        super().__init__(classifier, decision)
        if target_layer is not None and target_layer not in dict(classifier.named_modules()):
            raise ValueError(f"the classifier has no layer {target_layer!r}; classifier.named_modules() lists them.")
        self.target_layer = target_layer
        self._found: dict[torch.Size, str] = {}

    def explain(self, images: Tensor) -> Tensor:
        """Maps of ``images``, see :class:`Explainer`."""
        size = images.shape[1:]
        if self.target_layer is None and size not in self._found:
            self._found[size] = self._last_spatial_layer(images[:1])
        layer = _Layer(self.network, self.target_layer or self._found[size], self._evidence)
        cam: Any = self._cam  # MONAI declares that nn_module is a Module, and takes a ModelWithHooks too
        maps: Tensor = cam(layer, target_layers=layer.target_layers[0], postprocessing=lambda raw: raw)(images)
        return maps

    def _evidence(self, images: Tensor) -> Tensor:
        margin = self.decision.margin(self.ask(images))
        return torch.where(margin > 0, margin, -margin)

    @torch.no_grad()
    def _last_spatial_layer(self, image: Tensor) -> str:
        last: str | None = None
        tokens: tuple[int, ...] | None = None

        def look(name: str, output: Any) -> None:
            nonlocal last, tokens
            if not isinstance(output, Tensor) or len(output) != 1:
                return
            if output.ndim == image.ndim and output[0, 0].numel() > 1:
                last, tokens = name, None
            elif output.ndim == 3 and min(output.shape[1:]) > 1:
                tokens = tuple(output.shape)

        with _hooked(self.network, look):
            self.ask(image)
        if tokens is not None:
            raise UnsupportedClassifierError(
                f"CAM methods read feature maps (B, C, *spatial), and this classifier works on tokens {tokens}: name a "
                "target_layer before them, or use another method."
            )
        if last is None:
            raise UnsupportedClassifierError(
                f"CAM methods read feature maps (B, C, *spatial): {_hidden(self.network)}."
            )
        return last


class GradCAMPlusPlusExplainer(GradCAMExplainer):
    """GradCAM with gradients weighed at each position (Chattopadhyay et al., 2018, arXiv 1710.11063).

    As :class:`GradCAMExplainer`, computed by ``monai.visualize.GradCAMpp``, whose sum in the denominator takes the
    gradients of each position with its activation. The source's positive factor exp(score) is left out.

    Args:
        classifier: images -> logits, a Python module (not TorchScript).
        decision: which decision is explained.
        target_layer: as in :class:`GradCAMExplainer`.

    Raises:
        ValueError: as in :class:`GradCAMExplainer`.
        UnsupportedClassifierError: as in :class:`GradCAMExplainer`.
    """

    _cam = GradCAMpp
