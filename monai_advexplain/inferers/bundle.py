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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImaged

from monai_advexplain.explanation import Explanation
from monai_advexplain.inferers.backends import on_backend
from monai_advexplain.inferers.explain import explain_images

CONFIG = Path("configs") / "inference.json"
Image: TypeAlias = str | os.PathLike | torch.Tensor | np.ndarray


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What went wrong as it was raised, not as MONAI's parser and transforms wrap it."""
    try:
        yield
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
        backend: what runs the explainer, see :func:`~monai_advexplain.inferers.on_backend`; its file lies in the
            bundle's ``model_dir``. The classifier stays on PyTorch.

    Raises:
        FileNotFoundError: when the bundle, its config or its weights are missing.
        ValueError: when weights do not fit, or the backend is unknown, not installed, or its file does not fit.
    """

    def __init__(
        self, bundle_root: str | os.PathLike, overrides: dict[str, Any] | None = None, backend: str = "torch"
    ) -> None:
        config = Path(bundle_root) / CONFIG
        if not config.is_file():
            raise FileNotFoundError(f"{bundle_root} is not a bundle of this package: there is no {config}.")
        parser = ConfigParser()
        parser.read_config(str(config))
        parser.read_meta(str(config.with_name("metadata.json")))
        parser.update({"bundle_root": str(bundle_root), **(overrides or {})})
        with _plain_errors():
            self.device = torch.device(parser.get_parsed_content("device"))
            self.decision = parser.get_parsed_content("decision")
            network = parser.get_parsed_content("network").to(self.device).eval()
            folder = parser.get_parsed_content("model_dir") if "model_dir" in parser else Path(bundle_root) / "models"
            self.network = on_backend(network, backend, folder)
            self.classifier = parser.get_parsed_content("classifier").to(self.device).eval()
            self.inferer = parser.get_parsed_content("inferer")
            self.preprocessing = parser.get_parsed_content("preprocessing")
            self.postprocessing = parser.get_parsed_content("postprocessing")

    @torch.no_grad()
    def __call__(self, image: Image | Sequence[str | os.PathLike]) -> Explanation:
        """Explain one image.

        Args:
            image: a file that the bundle's pre-processing can read, or the files of a DICOM series in any order, or its
                folder; or a tensor or array (C, *spatial) as it would have been loaded (axis 1 is x, axis 2 is y, axis
                3 the slices; intensities before any scaling).

        Returns:
            The explanation in the image's own grid.

        Raises:
            FileNotFoundError: when a file is missing.
            ValueError: when the image cannot be read, or does not fit the network.
        """
        with _plain_errors():
            loaded = self._load(image)
            item = self._steps(LoadImaged, leave_out=True)({"image": loaded})
            batch = item["image"][None].to(self.device)
            result = explain_images(batch.as_tensor(), self.network, self.classifier, self.decision, self.inferer)
            for name, value in result.items():
                one = value[0].float() if value.ndim > 2 else value[0]
                item[name] = MetaTensor(one).copy_meta_from(item["image"]) if value.ndim > 2 else one
            return replace(Explanation.from_output(self.postprocessing(item)), image=loaded)

    def _load(self, image: Image | Sequence[str | os.PathLike]) -> MetaTensor:
        if isinstance(image, (torch.Tensor, np.ndarray)):
            return image if isinstance(image, MetaTensor) else MetaTensor(image)
        files = [str(image)] if isinstance(image, (str, os.PathLike)) else [str(file) for file in image]
        missing = [file for file in files if not Path(file).exists()]
        if missing or not files:
            raise FileNotFoundError(f"no image at {missing[0]}." if files else "no image: the list of files is empty.")
        return self._steps(LoadImaged)({"image": files if len(files) > 1 else files[0]})["image"]

    def _steps(self, kind: type, leave_out: bool = False) -> Compose:
        """The steps of the pre-processing that are of a kind, or those that are not."""
        return Compose([step for step in self.preprocessing.transforms if isinstance(step, kind) is not leave_out])


def load(bundle_root: str | os.PathLike, backend: str = "torch", **overrides: Any) -> BundleExplainer:
    """The explainer of a bundle.

    Args:
        bundle_root: folder of the bundle.
        backend: ``"torch"``, ``"torchscript"``, ``"onnx"`` or ``"openvino"``, see :class:`BundleExplainer`.
        overrides: entries of its ``configs/inference.json`` to replace, for instance ``device="cpu"``.

    Example::

        explainer = monai_advexplain.load("bundles/chest_xray_advexplain")
        explanation = explainer("radiograph.dcm")
        explanation.map, explanation.adversarial, explanation.probability, explanation.flipped
    """
    return BundleExplainer(bundle_root, overrides, backend)
