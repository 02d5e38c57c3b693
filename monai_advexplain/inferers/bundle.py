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

"""An explainer from a bundle: load it, call it on a file or a tensor, get an Explanation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImaged

from monai_advexplain.explanation import Explanation
from monai_advexplain.inferers.explain import explain_images

CONFIG = Path("configs") / "inference.json"


def _parsed(parser: ConfigParser, name: str) -> Any:
    """An entry of a config; what went wrong as it was raised, not as MONAI's parser wraps it."""
    try:
        return parser.get_parsed_content(name)
    except RuntimeError as error:
        reason: BaseException | None = error
        while reason is not None and not isinstance(reason, (FileNotFoundError, ValueError)):
            reason = reason.__cause__
        if reason is None:
            raise
        raise reason from None


class BundleExplainer:
    """The explainer, classifier and transforms that a bundle's ``configs/inference.json`` describes.

    Args:
        bundle_root: folder of the bundle.
        overrides: entries of the config to replace, ids as in MONAI bundles: ``{"model_dir": "...", "device": "cpu"}``.

    Raises:
        FileNotFoundError: when the bundle, its config or its weights are missing.
        ValueError: when weights do not fit.
    """

    def __init__(self, bundle_root: str | os.PathLike, overrides: dict[str, Any] | None = None) -> None:
        config = Path(bundle_root) / CONFIG
        if not config.is_file():
            raise FileNotFoundError(f"{bundle_root} is not a bundle of this package: there is no {config}.")
        parser = ConfigParser()
        parser.read_config(str(config))
        parser.read_meta(str(config.with_name("metadata.json")))
        parser.update({"bundle_root": str(bundle_root), **(overrides or {})})
        self.device = torch.device(_parsed(parser, "device"))
        self.decision = _parsed(parser, "decision")
        self.network = _parsed(parser, "network").to(self.device).eval()
        self.classifier = _parsed(parser, "classifier").to(self.device).eval()
        self.inferer = _parsed(parser, "inferer")
        self.preprocessing = _parsed(parser, "preprocessing")
        self.postprocessing = _parsed(parser, "postprocessing")

    @torch.no_grad()
    def __call__(self, image: str | os.PathLike | torch.Tensor | np.ndarray) -> Explanation:
        """Explain one image.

        Args:
            image: a file that the bundle's pre-processing can read; or a tensor or array (C, *spatial) as it would have
                been loaded (axis 1 is x, axis 2 is y; intensities before any scaling).

        Returns:
            The explanation in the image's own grid.

        Raises:
            FileNotFoundError: when the file is missing.
            ValueError: when the image does not fit the network.
        """
        loads = not isinstance(image, (torch.Tensor, np.ndarray))
        if loads and not Path(image).is_file():  # type: ignore[arg-type]
            raise FileNotFoundError(f"no image at {image}.")
        steps = [t for t in self.preprocessing.transforms if loads or not isinstance(t, LoadImaged)]
        start = str(image) if loads else image if isinstance(image, MetaTensor) else MetaTensor(image)
        item = Compose(steps)({"image": start})
        batch = item["image"][None].to(self.device)
        result = explain_images(batch.as_tensor(), self.network, self.classifier, self.decision, self.inferer)
        for name, value in result.items():
            one = value[0].float() if value.ndim > 2 else value[0]
            item[name] = MetaTensor(one).copy_meta_from(item["image"]) if value.ndim > 2 else one
        return Explanation.from_output(self.postprocessing(item))


def load(bundle_root: str | os.PathLike, **overrides: Any) -> BundleExplainer:
    """The explainer of a bundle.

    Args:
        bundle_root: folder of the bundle.
        overrides: entries of its ``configs/inference.json`` to replace, for instance ``device="cpu"``.

    Example::

        explainer = monai_advexplain.load("bundles/chest_xray_advexplain")
        explanation = explainer("radiograph.dcm")
        explanation.map, explanation.adversarial, explanation.probability, explanation.flipped
    """
    return BundleExplainer(bundle_root, overrides)
