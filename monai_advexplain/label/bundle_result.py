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

"""The first and the last word of a bundle inside MONAI Label's own ``monaibundle`` app."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform

from monai_advexplain.label.serving import ServedBundle
from monai_advexplain.label.volume import as_volume


class ImageAloned(Transform):
    """Run a bundle's pre-processing on the image alone.

    MONAI Label puts entries such as ``image_path`` beside the image, which ``Spacingd`` of MONAI 1.6 takes for metadata
    and fails on. In the bundle's ``inference.json``, where MONAI Label prefers this entry to ``preprocessing``::

        "pre_transforms": [{"_target_": "monai_advexplain.label.ImageAloned", "preprocessing": "@preprocessing"}]

    Args:
        preprocessing: dictionary transform of the entry ``image``.
    """

    def __init__(self, preprocessing: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        self.preprocessing = preprocessing

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Pre-process ``data["image"]``, and leave the rest as it is.

        Args:
            data: MONAI Label's request.
        """
        return {**data, "image": self.preprocessing({"image": data["image"]})["image"]}


class BundleExplanationd(Transform):
    """Put the explanation and the scores where MONAI Label's writer looks for them.

    MONAI Label runs a network that returns one tensor; an explanation needs the generated pair, the classifier and the
    weights checked. So this post-processing transform explains the requested file itself, with
    :class:`~monai_advexplain.inferers.BundleExplainer`, and replaces what MONAI Label had computed. In the bundle's
    ``inference.json``, where MONAI Label prefers this entry to ``postprocessing``::

        "post_transforms": [{"_target_": "monai_advexplain.label.BundleExplanationd",
                             "bundle_root": "@bundle_root", "device": "@device"}]

    It returns ``pred``, the map (x, y, z), float32 whatever type was asked for (a viewer's uint8 would be all zeros),
    z = 1 for a 2D image; ``result``, the scores; and ``result_extension``, ``.nii.gz`` unless the client wants another.

    Args:
        bundle_root: folder of the bundle.
        device: where to compute, as ``torch.device`` takes it.
    """

    def __init__(self, bundle_root: str | os.PathLike, device: Any = "cpu") -> None:
        self.bundle = ServedBundle(bundle_root, device=str(device))

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Explain ``data["image_path"]``.

        Args:
            data: MONAI Label's request and what it computed for it.

        Raises:
            NotReadyError: when the bundle's weights are missing or do not fit.
            ValueError: when the image does not fit the bundle.
        """
        explanation = self.bundle.explain(data["image_path"])
        volume, affine = as_volume(explanation.map)
        # MONAI Label's Restored compares the last axes of `pred` with this size, and takes the affine from this entry.
        grid = {"spatial_shape": np.array(volume.shape), "original_affine": affine}
        return {
            **data,
            "image": MetaTensor(torch.as_tensor(volume)[None], affine=torch.as_tensor(affine), meta=grid),
            "pred": torch.as_tensor(volume),
            "result": explanation.scores(),
            "result_extension": data.get("result_extension") or ".nii.gz",
            "result_dtype": None,
        }
