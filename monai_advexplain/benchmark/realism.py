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

"""Realism of adversaries: how near they come to real images of the decision that they were made for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.data import Dataset
from monai.utils import convert_to_tensor
from torch import Tensor
from tqdm import tqdm

from monai_advexplain._version import __version__
from monai_advexplain.benchmark.describe import checksum, describe, one_line
from monai_advexplain.benchmark.latent_space import LatentSpace
from monai_advexplain.benchmark.records import LATENT_SPACE, REALISM, write_atomically
from monai_advexplain.data.splits import spread
from monai_advexplain.explainers.base import Explainer
from monai_advexplain.metrics.distributions import RealPlane, frechet_distance
from monai_advexplain.metrics.proximity import l1_change, mse_change, ssim
from monai_advexplain.networks.discriminative_vae import DiscriminativeVAE

REAL, UNCHANGED = "real against real", "unchanged images"
"""The controls: the other half of the real images of the decision, and the images before they were changed."""
TOWARDS = ("no", "yes")
"""The decisions that adversaries are made for, in the order of the tables."""
PER_BIN = 2
"""Images of a set for each bin of a histogram on average: with many fewer all histograms are far from each other."""
BATCH = 16  # images generated and encoded at a time

Decide = Callable[[Tensor], Tensor]


class Draw(NamedTuple):
    """Positions of as many images each: to be changed, and of two sets of real ones; no group is on both sides.

    Attributes:
        real: images with the decision, of one half of the groups: what the others are compared with.
        other_real: images with the decision, of the other half.
        changed: images with the opposite decision, of the other half too.
    """

    real: np.ndarray
    other_real: np.ndarray
    changed: np.ndarray


def draw_sets(groups: Sequence[str], target: np.ndarray, count: int, seed: int) -> list[Draw]:
    """Random sets of one size, so that the bias of a distance of few points is the same in all of them.

    The groups are cut in two at random, so that of the images with the decision as nearly half as can be lie on each
    side; then as many images are drawn for each set as the smallest has.

    Args:
        groups: the group of each of N images.
        target: (N,), bool, which of them have the decision.
        count: number of draws.
        seed: of all of them.

    Returns:
        The draws; those that leave a set fewer than 2 images are left out.
    """
    random = np.random.default_rng(seed)
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(codes, weights=target)
    draws = []
    for _ in range(count if len(names) > 1 else 0):
        order = random.permutation(len(names))
        cut = np.abs(2 * np.cumsum(sizes[order])[:-1] - target.sum()).argmin() + 1
        side = np.isin(codes, order[:cut])
        sets = [np.flatnonzero(chosen) for chosen in (target & side, target & ~side, ~target & ~side)]
        size = min(map(len, sets))
        if size >= 2:
            draws.append(Draw(*(random.permutation(positions)[:size] for positions in sets)))
    return draws


def encode(network: DiscriminativeVAE, images: Tensor, device: torch.device) -> Tensor:
    """Posterior means (N, D), double precision on the CPU, of images (N, C, *spatial)."""
    with torch.no_grad():
        return torch.cat([network.encode(batch.to(device)).cpu() for batch in images.split(BATCH)]).double()


def distances(codes: Tensor, others: Tensor, pairs: Sequence[tuple[np.ndarray, np.ndarray]], plane: RealPlane) -> dict:
    """Frechet and Jensen-Shannon distance of codes, mean and spread over the sets drawn.

    Args:
        codes: (N, D).
        others: (M, D).
        pairs: positions in ``codes`` and in ``others``; at least one pair.
        plane: of the real codes.

    Returns:
        ``fd`` and ``js``, each with its 5th and 95th percentile over the pairs, ``_low`` and ``_high``. They show how
        much the choice of images matters, and are no confidence interval.
    """
    found: dict[str, float] = {}
    for name, distance in (("fd", frechet_distance), ("js", plane.jensen_shannon)):
        values = [float(distance(codes[a], others[b])) for a, b in pairs]
        low, high = np.quantile(values, [0.05, 0.95])
        found |= {name: float(np.mean(values)), f"{name}_low": float(low), f"{name}_high": float(high)}
    return found


class _Real(NamedTuple):
    """The real images of the split, the decisions about them (N,), and where they lie in the latent space."""

    images: Tensor
    yes: np.ndarray
    network: DiscriminativeVAE
    codes: Tensor
    plane: RealPlane
    draws: dict[str, list[Draw]]  # for each decision to reach
    device: torch.device

    def decided(self, towards: str) -> np.ndarray:
        """Which images have a decision already, (N,), bool."""
        return self.yes == (towards == "yes")

    def row(self, name: str, towards: str) -> dict[str, Any]:
        """The beginning of a row of the table; halves of whole groups differ in size, so that of a set is a mean."""
        sizes = [len(draw.real) for draw in self.draws[towards]]
        about = {"row": name, "towards": towards, "n_changed": int((~self.decided(towards)).sum())}
        return about | {"n_each": round(float(np.mean(sizes))) if sizes else 0}


class Realism:
    """Realism and domain translation of the methods that generate images, on a whole split, masks or not.

    Adversaries of the images that the classifier decides "yes" should look like real images that it decides "no", and
    the other way round. Both are encoded by a small VAE that was trained on real images of the **training** split and
    the classifier's decisions about them; the codes of adversaries and of real images are compared by the Frechet
    distance, and in the plane of the first two principal components of the real images' codes by the Jensen-Shannon
    distance. Both distances are biased upwards for few images, so all sets of a table row are drawn of one size, and
    no group (patient) is on both sides: the real images of one half of the groups are compared with the adversaries of
    the other half and, as controls, with its real images (as near as real images are) and with its images before they
    were changed (as far as no change is).

    Args:
        items: dictionaries of the split, with ``id``, ``group`` and what ``transform`` needs.
        training_items: the same of the training split.
        transform: item -> dictionary with ``image`` (C, *spatial), in [0, 1]; None when the items are such.
        latent_space: the VAE and its training; default :class:`LatentSpace` with its own defaults.
        max_images: the most images of the split, evenly spread over it.
        max_training_images: the most images that the VAE is trained on, evenly spread.
        n_draws: how often halves are drawn.
        bins: along each principal component; None for about :data:`PER_BIN` images of a set a bin.
        seed: of the draws.

    Raises:
        ValueError: when there are no items, or an argument is outside its range.

    Source:
        The measure of Charachon et al., arXiv 2106.10947, on codes of a VAE of ours and on sets of one size.
    """

    def __init__(
        self,
        *,
        items: Sequence[Mapping[str, Any]],
        training_items: Sequence[Mapping[str, Any]],
        transform: Callable | None = None,
        latent_space: LatentSpace | None = None,
        max_images: int = 1000,
        max_training_images: int = 2000,
        n_draws: int = 20,
        bins: int | None = None,
        seed: int = 0,
    ) -> None:
        limits = {"max_images": max_images, "max_training_images": max_training_images, "n_draws": n_draws}
        for name, value in {**limits, "bins": 1 if bins is None else bins}.items():
            if value < 1:
                raise ValueError(f"{name} of realism must be at least 1, got {value}.")
        if not items or not training_items:
            raise ValueError(f"realism needs images, got {len(items)} and {len(training_items)} for training.")
        self._items = spread(items, max_images)
        self._training_items = spread(training_items, max_training_images)
        self._transform = transform
        self.latent_space = LatentSpace() if latent_space is None else latent_space
        self.n_draws = n_draws
        self.bins = bins
        self.seed = seed

    def check(self, image: Tensor) -> None:
        """Raise ValueError when images as this one, (1, C, *spatial), do not fit the latent space."""
        try:
            self.latent_space.network(image)
        except ValueError as error:
            raise ValueError(f"realism cannot be measured: {error} Leave it out with --set realism=null.") from error

    def measure(
        self,
        explainers: Mapping[str, Explainer],
        decide: Decide,
        folder: Path,
        device: torch.device,
        asked: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Measure what is not measured yet; every method is on disk, in ``realism.json``, as soon as it is.

        Args:
            explainers: name -> explainer with ``generate``.
            decide: images (B, C, *spatial) -> decisions (B,), bool.
            folder: of the comparison.
            device: where to run.
            asked: what else the numbers depend on, as JSON takes it: the classifier and the decision.

        Returns:
            ``settings``; ``n_images``, ``n_yes`` and ``n_no``; ``agreement``, the share of the images of which the
            VAE's head tells the classifier's decision; ``bins`` along a component; ``yes``, the decisions about the
            images; ``points``, in the plane (N, 2), of the real images and of each method's adversaries; and ``rows``,
            for each decision in :data:`TOWARDS` the controls and the methods: ``row``, ``towards``, ``n_changed``,
            ``n_each`` (images in a set), ``fd`` and ``js`` (see :func:`distances`), for methods ``flipped``, ``l1``,
            ``mse`` and ``ssim`` of adversarial image and image, means over the images; or an ``error``.
        """
        path = folder / REALISM
        found = self._found(path, {**asked, "device": str(device)})
        described = {name: describe(explainer) for name, explainer in explainers.items()}
        pending = [name for name, one in described.items() if found["methods"].get(name, {}).get("asked") != one]
        if pending or not found["real"]:
            real = self._real(decide, folder / LATENT_SPACE, device)
            found["real"] = self._controls(real)
            for name in pending:
                measured = self._method(name, explainers[name], real, decide)
                found["methods"][name] = {"asked": described[name], **measured}
                kept = {key: one for key, one in found["methods"].items() if not one.get("error")}  # tried again
                write_atomically(path, json.dumps({**found, "methods": kept}) + "\n")
        methods = [found["methods"][name] for name in explainers]
        rows = [row for one in (found["real"], *methods) for row in one["rows"]]
        return {
            "settings": describe(self),
            **{key: found["real"][key] for key in ("n_images", "n_yes", "n_no", "agreement", "bins", "yes")},
            "rows": sorted(rows, key=lambda row: TOWARDS.index(row["towards"])),
            "points": {REAL: found["real"]["points"]}
            | {name: one["points"] for name, one in zip(explainers, methods, strict=True) if one["points"]},
        }

    def _found(self, path: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What an earlier run with the same settings measured."""
        first = [self._load(items[:1], None) for items in (self._items, self._training_items)]
        asked = {
            **asked,
            "version": __version__,
            "settings": describe(self),
            "images": [[str(item["id"]), str(item["group"])] for item in self._items],
            "training_images": [str(item["id"]) for item in self._training_items],
            "first_images": checksum(*first),
        }
        asked = json.loads(json.dumps(asked))
        if path.is_file():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if found.get("asked") == asked:
                return found
        return {"asked": asked, "real": {}, "methods": {}}

    def _load(self, items: Sequence[Mapping[str, Any]], what: str | None) -> Tensor:
        """Images (N, C, *spatial), on the CPU."""
        data = Dataset(items, self._transform)
        indices = tqdm(range(len(items)), desc=what, unit="image", disable=what is None)
        images = [convert_to_tensor(data[i]["image"], track_meta=False, dtype=torch.float32) for i in indices]
        return torch.stack([image.cpu() for image in images])

    def _real(self, decide: Decide, path: Path, device: torch.device) -> _Real:
        training, images = (
            self._load(items, f"realism, {what}")
            for items, what in ((self._training_items, "training images"), (self._items, "images"))
        )
        network = self.latent_space.fitted(path, training, _decided(decide, training, device), device)
        yes = _decided(decide, images, device).numpy()
        codes = encode(network, images, device)
        groups = [str(item["group"]) for item in self._items]
        draws = {to: draw_sets(groups, yes == (to == "yes"), self.n_draws, self.seed) for to in TOWARDS}
        sizes = [len(draw.real) for some in draws.values() for draw in some]
        bins = max(2, round((min(sizes, default=0) / PER_BIN) ** 0.5)) if self.bins is None else self.bins
        return _Real(images, yes, network, codes, RealPlane(codes, bins), draws, device)

    def _controls(self, real: _Real) -> dict[str, Any]:
        rows = []
        for towards, draws in real.draws.items():
            halves = [(draw.other_real, draw.real) for draw in draws]
            sets = [(draw.changed, draw.real) for draw in draws]
            for name, pairs in ((REAL, halves), (UNCHANGED, sets)):
                row = real.row(name, towards)
                if pairs:
                    row |= distances(real.codes, real.codes, pairs, real.plane)
                else:
                    row["error"] = f"too few groups of images for sets decided “{towards}” and the opposite"
                rows.append(row)
        with torch.no_grad():
            head = real.network.decision(real.codes.float().to(real.device)).squeeze(1).cpu().numpy() > 0
        return {
            "n_images": len(real.yes),
            "n_yes": int(real.yes.sum()),
            "n_no": int((~real.yes).sum()),
            "agreement": float((head == real.yes).mean()),
            "bins": real.plane.bins,
            "rows": rows,
            "points": _points(real, real.codes),
            "yes": real.yes.tolist(),
        }

    def _method(self, name: str, explainer: Any, real: _Real, decide: Decide) -> dict[str, Any]:
        """Rows and points of a method, or one line that says why there are none."""
        try:
            parts = [
                explainer.generate(batch.to(real.device)).adversarial.cpu()
                for batch in tqdm(real.images.split(BATCH), desc=f"realism, {name}", unit="batch")
            ]
            adversarial = torch.cat(parts)
            flipped = _decided(decide, adversarial, real.device).numpy() != real.yes
            scores = {
                "flipped": torch.from_numpy(flipped).double(),
                "l1": l1_change(real.images, adversarial),
                "mse": mse_change(real.images, adversarial),
                "ssim": ssim(real.images, adversarial),
            }
            codes = encode(real.network, adversarial, real.device)
            rows = []
            for towards, draws in real.draws.items():
                row, changed = real.row(name, towards), ~real.decided(towards)
                if changed.any():
                    row |= {score: float(values[changed].mean()) for score, values in scores.items()}
                if draws:
                    pairs = [(draw.changed, draw.real) for draw in draws]
                    row |= distances(codes, real.codes, pairs, real.plane)
                rows.append(row)
            return {"rows": rows, "points": _points(real, codes)}
        except Exception as error:
            reason = one_line(error)
            return {
                "rows": [{"row": name, "towards": towards, "error": reason} for towards in TOWARDS],
                "points": [],
                "error": reason,
            }


def _decided(decide: Decide, images: Tensor, device: torch.device) -> Tensor:
    """Decisions (N,), bool, on the CPU."""
    return torch.cat([decide(batch.to(device)).cpu().bool() for batch in images.split(BATCH)])


def _points(real: _Real, codes: Tensor) -> list[list[float]]:
    return np.round(real.plane.project(codes).numpy(), 4).tolist()
