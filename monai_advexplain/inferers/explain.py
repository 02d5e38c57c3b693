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

"""What is computed for a batch of images: both generated images, the map, and the classifier's view of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from monai.inferers import Inferer
from torch import Tensor

from monai_advexplain.decision import Decision
from monai_advexplain.inferers.pair_inferer import PairInferer
from monai_advexplain.networks.frozen import Frozen, evaluating


def explain_images(
    images: Tensor,
    network: torch.nn.Module,
    classifier: torch.nn.Module | None = None,
    decision: Decision | None = None,
    inferer: Inferer | None = None,
) -> dict[str, Tensor]:
    """Explain a batch; gradients and modes are the caller's business.

    Args:
        images: (B, C, *spatial), plain tensor.
        network: an ExplainerNet.
        classifier: images -> logits; None to explain without scores.
        decision: which decision of the classifier is explained.
        inferer: network, images -> pair of generated images; a
            :class:`~monai_advexplain.inferers.PairInferer` also says how the classifier sees whole images.

    Returns:
        ``similar`` and ``adversarial`` (B, C, *spatial), ``explanation`` (B, 1, *spatial); and, with a classifier,
        ``probability``, ``probability_similar``, ``probability_adversarial`` (B, 1) and ``decision``,
        ``decision_similar``, ``decision_adversarial`` (B, 1) bool.
    """
    decision = Decision() if decision is None else decision
    inferer = inferer or PairInferer()
    classify = (inferer if isinstance(inferer, PairInferer) else PairInferer()).classify
    pair = inferer(images, network)
    explanation = network.explain(images.to(pair.similar.device), pair)  # type: ignore[operator]
    result = {"similar": pair.similar, "adversarial": pair.adversarial, "explanation": explanation}
    if classifier is not None:
        with evaluating(classifier):
            for suffix, shown in (("", images), ("_similar", pair.similar), ("_adversarial", pair.adversarial)):
                logits = classify(shown, classifier, decision)
                result[f"probability{suffix}"] = decision.probability(logits)[:, None]
                result[f"decision{suffix}"] = decision.hard(logits)[:, None]
    return result


def check_fit(
    image_size: Sequence[int],
    network: torch.nn.Module,
    classifier: torch.nn.Module | None = None,
    decision: Decision | None = None,
    channels: int = 1,
) -> None:
    """Explain an image of zeros, to learn before long work whether network, classifier and decision take such images.

    Args:
        image_size: spatial size of the images.
        network: an ExplainerNet; all parts on one device.
        classifier: images -> logits, if any.
        decision: which decision of the classifier is explained.
        channels: of the images.

    Raises:
        ValueError: when they do not; with the size, the channels and the reason. And when the gate of the network is
            frozen, as a copy of the classifier is, and decides otherwise than the classifier.
    """
    device = next((parameter.device for parameter in network.parameters()), None)
    try:
        with evaluating(network), torch.no_grad():
            explain_images(torch.zeros(1, channels, *image_size, device=device), network, classifier, decision)
    except Exception as error:  # a classifier may raise anything
        raise ValueError(
            f"image_size {list(image_size)} with {channels} channel(s) does not fit the explainer or the classifier: "
            f"{error}"
        ) from error
    gates = [module for module in network.modules() if isinstance(module, Frozen) and module.has_decision]
    if classifier is not None and decision is not None and gates:
        image = torch.rand((1, channels, *image_size), generator=torch.Generator().manual_seed(0)).to(device)
        with evaluating(network), evaluating(classifier), torch.no_grad():
            wanted = float(decision.margin(classifier(image)))
            found = [float(gate(image)) for gate in gates]
        if not all(math.isclose(margin, wanted, rel_tol=1e-3, abs_tol=1e-3) for margin in found):
            raise ValueError(
                f"the frozen gate of the network is another classifier than the one explained: about noise its margin "
                f'is {found}, wanted {wanted:.4g}. Set gate_network to "$copy.deepcopy(@classifier)".'
            )
