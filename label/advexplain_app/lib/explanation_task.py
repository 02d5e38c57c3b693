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

"""Inference tasks: the explanation, the adversarial image and the region where the explanation is high."""

from __future__ import annotations

import tempfile
from typing import Any

import nibabel as nib
import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.transform.writer import Writer

from monai_advexplain.label import ServedBundle, as_volume
from monai_advexplain.transforms import highest_region

ROLES = {
    "explanation": "where the image would change to be decided the opposite; float32, high is important",
    "adversarial": "a similar image, decided the opposite; float32, intensities as the network sees them",
    "region": "where the explanation is highest, as a label",
}


class ExplanationTask(InferTask):
    """One of the images that explain a classifier's decision, with the classifier's scores in the result's parameters.

    Only the region is of type "segmentation", which viewers list and turn into segments; they ask for uint8, in which a
    map in [0, 1] would be all zeros, so that the other two are always float32.

    Args:
        bundle: what explains.
        role: one of ``ROLES``.
    """

    def __init__(self, bundle: ServedBundle, role: str) -> None:
        is_region = role == "region"
        super().__init__(
            type=InferType.SEGMENTATION if is_region else InferType.OTHERS,
            labels={"explanation": 1} if is_region else [],
            dimension=bundle.spatial_dims,
            description=f"{bundle.metadata.get('name', bundle.name)}: {ROLES[role]}",
            config={"share": 0.05} if is_region else {},
        )
        self.bundle = bundle
        self.role = role

    def is_valid(self) -> bool:
        """Valid even without weights: a request then says what is missing."""
        return True

    def info(self) -> dict[str, Any]:
        """What ``/info`` says about this task."""
        return super().info() | {"version": self.bundle.metadata.get("version")}

    def __call__(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Explain ``request["image"]``, a path.

        Args:
            request: also ``result_extension``, by default ``.nii.gz``; for the region ``share``, the part of the image
                that it covers at most, or ``threshold``.

        Returns:
            The file that was written, and the scores.
        """
        explanation = self.bundle.explain(request["image"])
        image, dtype = getattr(explanation, "adversarial" if self.role == "adversarial" else "map"), np.float32
        if self.role == "region":
            threshold, share = (request.get(name) for name in ("threshold", "share"))
            limits = {} if share is None else {"share": float(share)}
            image = highest_region(image, None if threshold is None else float(threshold), **limits)
            dtype = np.uint8
        volume, affine = as_volume(image)
        scores = explanation.scores() | {"label_names": self.labels}
        return _write(volume.astype(dtype), affine, request), scores


def _write(volume: np.ndarray, affine: np.ndarray, request: dict[str, Any]) -> str:
    """Write a file that MONAI Label removes once it is sent."""
    extension = request.get("result_extension") or ".nii.gz"
    if extension in (".nii", ".nii.gz"):  # MONAI Label's writer would drop the shear of a tilted gantry
        with tempfile.NamedTemporaryFile(suffix=extension, delete=False) as file:
            nib.save(nib.Nifti1Image(volume, affine), file.name)
        return file.name
    data = {**request, "image_path": request["image"], "pred": volume, "pred_meta_dict": {"affine": affine}}
    return Writer(label="pred")({**data, "result_dtype": None})[0]
