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

"""The latent space in which realism is measured: a small VAE of real images, trained briefly and kept on disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import trange

from monai_advexplain.benchmark.describe import checksum, describe
from monai_advexplain.benchmark.records import replacing
from monai_advexplain.networks.discriminative_vae import DiscriminativeVAE, LatentImage


def latent_loss(made: LatentImage, images: Tensor, yes: Tensor, noise: float, decision_weight: float) -> Tensor:
    """The negative evidence lower bound of images per pixel, and the cross-entropy of the decision.

    Args:
        made: what the network makes of the images.
        images: (B, C, *spatial), in [0, 1].
        yes: (B,), 1 where the classifier decides "yes", else 0.
        noise: standard deviation of the pixels around the reconstruction, in units of intensity.
        decision_weight: of the cross-entropy.

    Returns:
        Scalar. The mean over images and pixels of ``(x - r)^2 / (2 noise^2)``, plus the Kullback-Leibler divergence of
        the posterior from the standard normal distribution over the number of pixels, plus the weighted cross-entropy.

    Source:
        Kingma and Welling, "Auto-Encoding Variational Bayes", arXiv 1312.6114.
    """
    pixels = images[0].numel()
    variance = made.log_variance.exp()
    divergence = 0.5 * (made.mean.square() + variance - made.log_variance - 1).sum(dim=1).mean()
    fit = F.mse_loss(made.reconstruction, images) / (2 * noise**2)
    return fit + divergence / pixels + decision_weight * F.binary_cross_entropy_with_logits(made.logit, yes)


class LatentSpace:
    """How the VAE is made; :meth:`fitted` trains it, or loads what an earlier run trained alike.

    Args:
        latent_size: numbers of a code.
        features: channels of each level of the encoder, finest first; each level halves the image.
        epochs: over the images.
        batch_size: images a step.
        learning_rate: of Adam.
        noise: see :func:`latent_loss`.
        decision_weight: see :func:`latent_loss`.
        seed: of weights, order and codes. On a GPU equal seeds give equal codes to rounding only.

    Raises:
        ValueError: when an argument is outside its range.
    """

    def __init__(
        self,
        *,
        latent_size: int = 32,
        features: Sequence[int] = (16, 32, 64),
        epochs: int = 30,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        noise: float = 0.1,
        decision_weight: float = 0.5,
        seed: int = 0,
    ) -> None:
        for name, value in (("epochs", epochs), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{name} of the latent space must be at least 1, got {value}.")
        for name, positive in (("learning_rate", learning_rate), ("noise", noise)):
            if not positive > 0:
                raise ValueError(f"{name} of the latent space must be above 0, got {positive}.")
        if decision_weight < 0:
            raise ValueError(f"decision_weight of the latent space must be at least 0, got {decision_weight}.")
        self.latent_size = latent_size
        self.features = tuple(features)
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.noise = noise
        self.decision_weight = decision_weight
        self.seed = seed

    def network(self, images: Tensor) -> DiscriminativeVAE:
        """The untrained network for images (N, C, *spatial).

        Raises:
            ValueError: when their size does not fit ``features``.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return DiscriminativeVAE(images.shape[2:], images.shape[1], self.latent_size, self.features)

    def fitted(self, path: Path, images: Tensor, yes: Tensor, device: torch.device) -> DiscriminativeVAE:
        """The trained network, in eval mode on the device.

        Args:
            path: file that keeps the network; one that was trained otherwise, or on other images, is replaced.
            images: (N, C, *spatial), in [0, 1], N at least 2; on any device.
            yes: (N,), whether the classifier decides "yes" about each.
            device: where to train.

        Raises:
            ValueError: when there are fewer than 2 images, or they do not fit ``features``.
            RuntimeError: when the loss is not finite.
        """
        if len(images) < 2:
            raise ValueError(f"the latent space is trained on at least 2 images, got {len(images)}.")
        network = self.network(images).to(device)
        asked = {**describe(self), "images": checksum(images), "yes": checksum(yes)}
        kept = _load(path)
        if kept.get("asked") == asked:
            network.load_state_dict(kept["network"])
            return network.eval()
        self._train(network, images, yes, device)
        with replacing(path) as temporary:
            torch.save({"asked": asked, "network": network.state_dict()}, temporary)
        return network.eval()

    def _train(self, network: DiscriminativeVAE, images: Tensor, yes: Tensor, device: torch.device) -> None:
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        target = yes.float()
        order = torch.Generator().manual_seed(self.seed)
        # Batch norm wants more than one image: the steps of an epoch are alike, and no batch is smaller than half.
        steps = max(1, round(len(images) / self.batch_size))
        cuda = [device] if device.type == "cuda" else []
        network.train()
        with torch.enable_grad(), torch.random.fork_rng(devices=cuda), trange(self.epochs, desc="latent space") as bar:
            torch.manual_seed(self.seed)
            for _ in bar:
                total = 0.0
                for chosen in torch.randperm(len(images), generator=order).tensor_split(steps):
                    batch, decided = images[chosen].to(device), target[chosen].to(device)
                    loss = latent_loss(network(batch), batch, decided, self.noise, self.decision_weight)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    total += loss.item()
                if not math.isfinite(total):
                    raise RuntimeError(f"the loss of the latent space is {total}: try a lower learning_rate.")
                bar.set_postfix(loss=total / steps)


def _load(path: Path) -> dict[str, Any]:
    """What the file holds; nothing when there is none, or none that can be read."""
    if not path.is_file():
        return {}
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        return {}
    return kept if isinstance(kept, dict) else {}
