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

"""What is examined: the images, networks and methods of a bundle's configs, under some other entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.utils import convert_to_tensor
from torch import Tensor

from monai_advexplain.data.splits import spread
from monai_advexplain.decision import Decision
from monai_advexplain.explainers.base import Explainer
from monai_advexplain.explainers.generated import ProposedExplainer
from monai_advexplain.metrics.decision_rates import flipped, preserved
from monai_advexplain.networks.frozen import evaluating
from monai_advexplain.networks.gated import without_fallback

PROPOSED = "proposed"


class Images(NamedTuple):
    """N images (N, C, *spatial) and masks (N, 1, *spatial) on the device; labels (N,), bool; ids and groups."""

    images: Tensor
    masks: Tensor
    labels: np.ndarray
    ids: list[str]
    groups: list[str]


class Subject:
    """The contents of ``evaluate.json`` and, where there is one, ``compare.json``; each is made when it is asked for.

    Args:
        bundle_root: the bundle's folder.
        entries: of the configs, to replace.
        batch_size: images that go through a network at once.
    """

    def __init__(self, bundle_root: Path, entries: Mapping[str, Any], batch_size: int = 16) -> None:
        files = [bundle_root / "configs" / name for name in ("evaluate.json", "compare.json")]
        self._parser = ConfigParser(ConfigParser.load_config_files([str(file) for file in files if file.is_file()]))
        self._parser.update({"bundle_root": str(bundle_root), **entries})
        self.batch_size = batch_size

    def entry(self, name: str) -> Any:
        """What an entry of the configs stands for."""
        return self._parser.get_parsed_content(name)

    @cached_property
    def device(self) -> torch.device:
        """Where everything runs."""
        return torch.device(self.entry("device"))

    @cached_property
    def decision(self) -> Decision:
        """Which decision is explained."""
        decision: Decision = self.entry("decision")
        return decision

    @cached_property
    def classifier(self) -> torch.nn.Module:
        """The frozen classifier."""
        classifier: torch.nn.Module = self.entry("classifier").to(self.device)
        return classifier

    @cached_property
    def proposed(self) -> ProposedExplainer:
        """The explainer of the trained generators."""
        return ProposedExplainer(self.entry("network"))

    def explainer(self, name: str) -> Explainer:
        """A method: the generators' own, or one of ``compare.json``."""
        explainer: Explainer = self.proposed if name == PROPOSED else self.entry(f"methods#{name}")
        return explainer

    def load(self, split: str, count: int | None) -> Images:
        """At most ``count`` images of a split, evenly spread over it."""
        items, transform = spread(self.entry("splits")[split], count), self.entry("preprocessing")
        read = [transform(item) for item in items]
        images, masks = (
            torch.stack([convert_to_tensor(one[key], track_meta=False, dtype=torch.float32) for one in read])
            for key in ("image", "mask")
        )
        labels = np.array([bool(item["label"]) for item in items])
        ids, groups = ([str(item[key]) for item in items] for key in ("id", "group"))
        return Images(images.to(self.device), masks.to(self.device), labels, ids, groups)

    def _in_batches(self, function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        return torch.cat([function(batch) for batch in images.split(self.batch_size)])

    def maps(self, method: str, images: Tensor) -> Tensor:
        """Maps (N, 1, *spatial) by a method of :meth:`explainer`."""
        return self._in_batches(self.explainer(method), images)

    @torch.no_grad()
    def decided(self, images: Tensor) -> Tensor:
        """The classifier's decisions (N,), bool."""
        with evaluating(self.classifier):
            return self._in_batches(lambda batch: self.decision.hard(self.classifier(batch)), images)

    def rates(self, images: Tensor) -> dict[str, np.ndarray]:
        """Of every image, whether its adversarial image is decided the opposite and its similar one alike.

        Similar images are the generator's own: a gate that is a copy of the classifier would make all of them alike.
        """
        with without_fallback(self.proposed.network):
            pairs = [self.proposed.generate(batch) for batch in images.split(self.batch_size)]
        similar, adversarial = (self.decided(torch.cat(parts)) for parts in zip(*pairs, strict=True))
        decided = self.decided(images)
        return {
            "flipped": flipped(decided, adversarial).double().cpu().numpy(),
            "preserved": preserved(decided, similar).double().cpu().numpy(),
        }
