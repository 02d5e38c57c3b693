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

"""MONAI Label app that explains classifiers: bundles of MONAI AdvExplain behind MONAI Label's server."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import requests
from fastapi import HTTPException
from lib.explanation_task import ROLES, ExplanationTask
from monailabel.config import settings
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.tasks.activelearning.first import First
from monailabel.tasks.activelearning.random import Random

import monai_advexplain
from monai_advexplain.data.inputs import SUFFIXES
from monai_advexplain.label import NotReadyError, ServedBundle

logger = logging.getLogger(__name__)


class AdvExplainApp(MONAILabelApp):
    """Every bundle gives three tasks: ``<bundle>_explanation``, ``<bundle>_adversarial`` and ``<bundle>_region``.

    Args:
        app_dir: this folder.
        studies: folder with images, or the address of a DICOMweb server.
        conf: ``models``, folders of bundles, comma separated, absolute or under ``<app_dir>/model`` (default: all
            bundles there); ``device``, such as ``cpu``, instead of the one that the bundle chooses.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        models = Path(app_dir) / "model"
        names = [name.strip() for name in conf.get("models", "").split(",") if name.strip()]
        roots = [models / name for name in names] or sorted(
            p.parent.parent for p in models.glob("*/configs/inference.json")
        )
        if not roots:
            raise ValueError(f"no bundle: none in {models}, and --conf models names none.")
        overrides = {"device": conf["device"]} if conf.get("device") else {}
        self.bundles = {root.name: ServedBundle(root, **overrides) for root in roots}
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="MONAI AdvExplain",
            description="Explains a classifier by a similar and an adversarial image. For research only",
            version=monai_advexplain.__version__,
        )

    def init_infers(self) -> dict[str, InferTask]:
        """The tasks of all bundles."""
        return {f"{n}_{role}": ExplanationTask(b, role) for n, b in self.bundles.items() for role in ROLES}

    def init_strategies(self) -> dict[str, Any]:
        """How a viewer's "next sample" is chosen."""
        return {"first": First(), "random": Random()}

    def init_datastore(self) -> Datastore:
        """A folder also gives its DICOM files, which MONAI Label alone passes over."""
        if self.studies.startswith(("http://", "https://")):
            return super().init_datastore()
        extensions = dict.fromkeys(["*.nii.gz", *settings.MONAI_LABEL_DATASTORE_FILE_EXT, *(f"*{s}" for s in SUFFIXES)])
        return LocalDatastore(
            self.studies,
            extensions=list(extensions),
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )

    def _download_dcmqi_tools(self) -> None:
        """No download at the start: only writing DICOM SEG needs the tool, and hospitals are often offline."""
        if not shutil.which("itkimage2segimage"):
            logger.warning(
                "itkimage2segimage is not on the PATH (`pip install dcmqi`): labels cannot be stored as DICOM SEG."
            )

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """MONAI Label's inference; what goes wrong is one sentence with a fitting status, where the client sees it."""
        model, image = request.get("model"), request.get("image")
        if model not in self._infers:
            raise HTTPException(404, f"no model {model!r}; there are {', '.join(sorted(self._infers))}.")
        if not os.path.exists(image):
            self._check_known(image, datastore or self.datastore())
        try:
            return super().infer(request, datastore)
        except NotReadyError as error:
            raise HTTPException(503, _sentence(error)) from error
        except ValueError as error:
            raise HTTPException(422, _sentence(error)) from error
        except Exception as error:
            logger.exception("%s failed for %s", model, image)
            raise HTTPException(500, f"{type(error).__name__}: {_sentence(error)}") from error

    @staticmethod
    def _check_known(image: str, datastore: Datastore) -> None:
        try:
            uri = datastore.get_image_uri(image)
        except requests.RequestException as error:
            raise HTTPException(502, f"the datastore {datastore.name()} does not answer: {_sentence(error)}") from error
        except Exception as error:  # MONAI Label trips over what a DICOMweb server does not have in its own ways
            raise HTTPException(404, f"no image {image!r} in {datastore.name()}: {_sentence(error)}") from error
        if not uri:
            raise HTTPException(
                404, f"no image {image!r} in the datastore; there are {len(datastore.list_images())} images."
            )


def _sentence(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
