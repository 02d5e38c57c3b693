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

"""Inferers: how an image goes through an ExplainerNet."""

from __future__ import annotations

from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor

from monai_advexplain.decision import Decision
from monai_advexplain.networks.explainer_net import GeneratedPair


class PairInferer(Inferer):
    """The generated pair of an image in one forward pass; MetaTensor in, plain tensors through the network."""

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> GeneratedPair:
        """(similar, adversarial), each (B, C, *spatial), of ``inputs`` (B, C, *spatial).

        Args:
            inputs: images.
            network: an ExplainerNet, or its TorchScript.
            args: not used.
            kwargs: not used.
        """
        return network.generate(_plain(inputs))

    def classify(self, images: Tensor, classifier: torch.nn.Module, decision: Decision) -> Any:
        """What the classifier says about whole images, in the way in which this inferer shows them to networks.

        Args:
            images: (B, C, *spatial).
            classifier: images -> logits.
            decision: which decision is explained; an inferer that asks several times needs it to choose an answer.

        Returns:
            The classifier's output, B rows.
        """
        return classifier(_plain(images))


def _plain(images: Tensor) -> Tensor:
    return images.as_tensor() if isinstance(images, MetaTensor) else images
