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

"""WindowPairInferer: images larger than one pass allows, window by window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.inferers import sliding_window_inference
from monai.utils import fall_back_tuple
from torch import Tensor

from monai_advexplain.decision import Decision
from monai_advexplain.inferers.pair_inferer import PairInferer, _plain
from monai_advexplain.networks.explainer_net import GeneratedPair

ESTIMATE = "estimate"  # the one field of a pair that is not an image, see GatedPair


class WindowPairInferer(PairInferer):
    """The generated pair of an image, made in overlapping windows and blended (MONAI's ``sliding_window_inference``).

    What a network needs at once is bounded by ``sw_batch_size`` windows, whatever the size of the image. An image
    smaller than the window is padded, and its pair cropped back.

    The decision about the whole is that of its most positive window (multiple instance learning): "yes" when any window
    is "yes". For a gated network (:class:`~monai_advexplain.networks.GatedExplainerNet`) the gate says so, and a window
    that is decided otherwise than the whole contributes no change: an adversarial volume without its lesions is what it
    was where there were none. Any other network changes every window. ``estimate`` becomes that of the most positive
    window.

    Args:
        roi_size: the window, one size an axis or one for all; an axis that is not positive is taken whole.
        sw_batch_size: windows a forward pass.
        overlap: share of the window that neighbours have in common, in [0, 1). Centres of windows count most (a
            gaussian of 1/8 of the window), so that with a half the border of a window, where convolutions have seen
            its padding, has less than 1/1000 of the weight. Less is faster, and shows windows sooner.
        device: where the pair is put together, for instance ``"cpu"`` while the network is on a GPU; the images' by
            default.

    Raises:
        ValueError: in a call, when an image has another dimensionality than the window, or the network refuses it.

    Example::

        inferer = WindowPairInferer((64, 64, 64))
        pair = inferer(volumes, network)  # (B, C, x, y, z), each
        explanation = network.explain(volumes, pair)
    """

    def __init__(
        self,
        roi_size: Sequence[int] | int,
        sw_batch_size: int = 1,
        overlap: Sequence[float] | float = 0.5,
        device: torch.device | str | None = None,
    ) -> None:
        self.roi_size = roi_size
        self.sw_batch_size = sw_batch_size
        self.overlap = overlap
        self.device = device

    def _blend(self, images: Tensor, predictor: Callable[[Tensor], Tensor]) -> Any:
        """What ``predictor`` makes of every window, put together."""
        return sliding_window_inference(
            images,
            self.roi_size,
            self.sw_batch_size,
            predictor,
            self.overlap,
            device=self.device,
            roi_weight_map=_gaussian(fall_back_tuple(self.roi_size, images.shape[2:])),
        )

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> GeneratedPair:
        """(similar, adversarial, ...), each (B, C, *spatial), of ``inputs`` (B, C, *spatial).

        Args:
            inputs: images.
            network: an ExplainerNet, or its TorchScript.
            args: not used.
            kwargs: not used.
        """
        images = _plain(inputs)
        estimates: list[Tensor] = []
        kind: Any = None
        channels: dict[str, int] = {}

        def generate(window: Tensor) -> Tensor:
            nonlocal kind
            pair = network.generate(_beside(network, window))
            kind, parts = type(pair), pair._asdict()
            if ESTIMATE in parts:
                estimates.append(parts.pop(ESTIMATE))
                yes = _along(estimates[-1] > 0, window)
                change = parts.pop("adversarial") - parts["similar"]
                parts |= {"to_no": torch.where(yes, change, 0.0), "to_yes": torch.where(yes, 0.0, change)}
            channels.update({name: part.shape[1] for name, part in parts.items()})
            # One tensor: MONAI counts the overlaps of each output anew, and blends in place, which an image that a
            # network returned as it was would not survive.
            return torch.cat(list(parts.values()), dim=1).to(window.device)

        blended = self._blend(images, generate)
        fields = dict(zip(channels, blended.split([*channels.values()], dim=1), strict=True))
        if estimates:
            fields[ESTIMATE] = torch.cat(estimates).view(len(images), -1).amax(dim=1)
            yes = _along(fields[ESTIMATE] > 0, images).to(blended.device)
            change = torch.where(yes, fields.pop("to_no"), fields.pop("to_yes"))
            fields["adversarial"] = fields["similar"] + change
        return kind(**fields)

    def classify(self, images: Tensor, classifier: torch.nn.Module, decision: Decision) -> Tensor:
        """The classifier's output about the window of each image that has the highest probability.

        Args:
            images: (B, C, *spatial).
            classifier: windows -> logits.
            decision: whose probability it is.

        Returns:
            Logits, B rows.
        """
        images = _plain(images)
        answers: list[Tensor] = []

        def ask(window: Tensor) -> Tensor:
            output = classifier(_beside(classifier, window))
            answers.append(output[0] if isinstance(output, tuple) else output)
            return window.new_zeros(len(window), 1, *window.shape[2:])  # only images can be put together

        self._blend(images, ask)
        logits = torch.cat(answers)
        margins = decision.margin(logits).view(len(images), -1)
        first = torch.arange(0, len(logits), margins.shape[1], device=logits.device)
        return logits[first + margins.argmax(dim=1)]


def _gaussian(size: Sequence[int]) -> Tensor:
    """Weights of a window. MONAI's own are at least 1/1000, which along an image's border makes all windows equal."""
    weights = torch.ones(())
    for length in size:
        distance = (torch.arange(length) - (length - 1) / 2) / (length / 8)
        weights = weights[..., None] * torch.exp(-0.5 * distance**2)
    return weights


def _beside(network: torch.nn.Module, window: Tensor) -> Tensor:
    """The window where the network is."""
    return window.to(next((parameter.device for parameter in network.parameters()), window.device))


def _along(values: Tensor, images: Tensor) -> Tensor:
    """(B,) in a shape that goes with (B, C, *spatial)."""
    return values.view(-1, *[1] * (images.ndim - 1))
