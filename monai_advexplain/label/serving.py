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

"""A bundle behind a server: loaded when first asked, reloaded when its files changed."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from monai_advexplain.explanation import Explanation
from monai_advexplain.inferers import BundleExplainer


class NotReadyError(RuntimeError):
    """The bundle cannot explain anything now: its weights are missing or do not fit."""


class ServedBundle:
    """A bundle that explains one image after the other, from any thread.

    Args:
        root: folder of the bundle.
        overrides: entries of its ``configs/inference.json`` to replace.

    Raises:
        FileNotFoundError: when the folder is no bundle.
    """

    def __init__(self, root: str | os.PathLike, **overrides: Any) -> None:
        self.root = Path(root)
        self.overrides = overrides
        metadata = self.root / "configs" / "metadata.json"
        if not metadata.is_file():
            raise FileNotFoundError(f"{self.root} is not a bundle: there is no {metadata}.")
        self.metadata = json.loads(metadata.read_text(encoding="utf-8"))
        self._lock = threading.Lock()
        self._loaded: tuple[Any, BundleExplainer] | None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.name

    @property
    def spatial_dims(self) -> int:
        """2 or 3."""
        return len(self.metadata["network_data_format"]["inputs"]["image"]["spatial_shape"])

    def explain(self, image: str | os.PathLike) -> Explanation:
        """Explain an image.

        Args:
            image: a file that the bundle's pre-processing reads, or the folder of one DICOM series.

        Raises:
            NotReadyError: when the bundle's weights or configuration are missing or do not fit.
            ValueError: when the image cannot be read or does not fit the bundle.
        """
        with self._lock:
            return self._explainer()(image)

    def _explainer(self) -> BundleExplainer:
        files = sorted((self.root / "models").glob("*")) + sorted((self.root / "configs").glob("*.json"))
        version = [(file, file.stat().st_mtime_ns) for file in files]
        if self._loaded is None or self._loaded[0] != version:
            try:
                self._loaded = (version, BundleExplainer(self.root, self.overrides))
            except Exception as error:  # a configuration may raise anything
                raise NotReadyError(f"bundle {self.name}: {str(error).strip().splitlines()[0]}") from error
        return self._loaded[1]
