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

"""Files of explanations: NIfTI, pictures and DICOM, in one folder, each under a name of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monai.data import MetaTensor
from torch import Tensor

from monai_advexplain.data.inputs import SUFFIXES
from monai_advexplain.explanation import Explanation
from monai_advexplain.transforms.overlay import overlay_figure, save_figure

RESULTS = "results.jsonl"
THRESHOLD = "5%"
DICOM_ROLES = ("parametric_map", "segmentation", "secondary_capture")


class ExplanationFiles:
    """Writes explanations into a folder. What an explanation leaves there is whole, or nothing at all.

    ======================  =========================================================================================
    format                  files of an input that is called ``<name>``
    ======================  =========================================================================================
    ``nifti``               ``<name>_explanation.nii.gz``, ``<name>_similar.nii.gz``, ``<name>_adversarial.nii.gz``
    ``png``                 ``<name>_overlay.png``, the explanation over the image with a colour bar
    ``dicom-pm``            ``<name>_parametric_map.dcm``
    ``dicom-seg``           ``<name>_segmentation.dcm``
    ``dicom-sc``            ``<name>_secondary_capture.dcm``, of several slices a folder without ``.dcm``
    ======================  =========================================================================================

    Args:
        folder: made when missing.
        formats: of the table.
        threshold: what ``dicom-seg`` marks: voxels above a value of the map, or the highest ones, as in ``"5%"``.
        overwrite: whether to replace files that are there.

    Raises:
        ValueError: for an unknown format, or a threshold that is neither.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        formats: Sequence[str] = ("nifti", "png"),
        threshold: str | float = THRESHOLD,
        overwrite: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.formats = _checked_formats(formats)
        self.threshold = _selection(threshold)
        self.overwrite = overwrite
        self._names: set[str] = set()

    def name(self, files: Sequence[str]) -> str:
        """A name for the files of an input: the file's without its suffix, of several files their folder's.

        Args:
            files: of one image.

        Returns:
            The name, numbered where an earlier input has it.
        """
        base = _stem(files)
        unique, count = base, 1
        while unique.casefold() in self._names:
            count += 1
            unique = f"{base}_{count}"
        self._names.add(unique.casefold())
        return unique

    def write(self, name: str, explanation: Explanation, sources: Sequence[str] = ()) -> dict[str, str]:
        """Write one explanation.

        Args:
            name: see :meth:`name`.
            explanation: what to write, with its image.
            sources: the image's DICOM files, for DICOM formats.

        Returns:
            What each file is, and its name.

        Raises:
            FileExistsError: when a file is there that is not to be replaced.
            ValueError: when the explanation cannot be written in a format.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".explanation_", dir=self.folder) as temporary:
            written: dict[str, Path] = {}
            for form in self.formats:
                written |= _WRITERS[form](f"{Path(temporary) / name}", explanation, sources, self.threshold)
            for path in written.values():
                if not self.overwrite and (self.folder / path.name).exists():
                    raise FileExistsError(f"{self.folder / path.name} exists and may not be overwritten.")
            for path in written.values():
                _replace(path, self.folder / path.name)
        return {role: path.name for role, path in written.items()}


def _image(explanation: Explanation) -> Tensor:
    if explanation.image is None:
        raise ValueError("this explanation has no image for its map to be drawn over.")
    return explanation.image


def _placed(image: Tensor) -> MetaTensor:
    return MetaTensor(image.cpu())


def _nifti(place: str, explanation: Explanation, *_: Any) -> dict[str, Path]:
    images = {"explanation": explanation.map, "similar": explanation.similar, "adversarial": explanation.adversarial}
    for role, image in images.items():
        # Not SaveImage of MONAI 1.6, which takes a flat map of a colour image for a line.
        values = np.moveaxis(image.numpy(force=True), 0, -1)
        values = values if values.ndim == 4 else values[:, :, None]
        values = values[..., 0] if values.shape[-1] == 1 else values
        nib.save(nib.Nifti1Image(values.astype(np.float32), _placed(image).affine.numpy()), f"{place}_{role}.nii.gz")
    return {role: Path(f"{place}_{role}.nii.gz") for role in images}


def _png(place: str, explanation: Explanation, *_: Any) -> dict[str, Path]:
    path = Path(f"{place}_overlay.png")
    title = f"decision {'yes' if explanation.decision else 'no'}, probability {explanation.probability:.2f}"
    save_figure(overlay_figure(_image(explanation), explanation.map, title=title), path)
    return {"overlay": path}


# highdicom takes a second to import, and only these need it.


def _parametric_map(place: str, explanation: Explanation, sources: Sequence[str], *_: Any) -> dict[str, Path]:
    from monai_advexplain.dicom import write_parametric_map

    path = f"{place}_parametric_map.dcm"
    return {"parametric_map": write_parametric_map(_placed(explanation.map), sources, path)}


def _segmentation(
    place: str, explanation: Explanation, sources: Sequence[str], threshold: dict[str, Any]
) -> dict[str, Path]:
    from monai_advexplain.dicom import write_segmentation

    path = f"{place}_segmentation.dcm"
    return {"segmentation": write_segmentation(_placed(explanation.map), sources, path, **threshold)}


def _secondary_capture(place: str, explanation: Explanation, sources: Sequence[str], *_: Any) -> dict[str, Path]:
    from monai_advexplain.dicom import write_secondary_capture

    slices = explanation.map.shape[3:].numel()
    path = Path(f"{place}_secondary_capture{'.dcm' if slices == 1 else ''}")
    write_secondary_capture(_placed(explanation.map), _placed(_image(explanation)), sources, path)
    return {"secondary_capture": path}


_WRITERS: dict[str, Callable[..., dict[str, Path]]] = {
    "nifti": _nifti,
    "png": _png,
    "dicom-pm": _parametric_map,
    "dicom-seg": _segmentation,
    "dicom-sc": _secondary_capture,
}


def _checked_formats(formats: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in formats if name not in _WRITERS]
    if unknown or not formats:
        found = f"unknown format {unknown[0]!r}" if unknown else "no format"
        raise ValueError(f"formats: {found}; known: {', '.join(_WRITERS)}.")
    return tuple(formats)


def _selection(threshold: str | float) -> dict[str, Any]:
    """The arguments of ``write_segmentation`` that say which voxels are marked."""
    text = str(threshold).strip()
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = float("nan")
    if text.endswith("%") and 0.0 < number < 100.0:
        return {"share": number / 100.0}
    if not text.endswith("%") and 0.0 <= number < float("inf"):
        return {"threshold": number}
    raise ValueError(f"threshold must be a value of the map from 0, or a share between 0% and 100%, got {threshold!r}.")


def _stem(files: Sequence[str]) -> str:
    path = Path(files[0])
    if len(files) > 1:
        return path.resolve().parent.name or "series"
    suffix = max((s for s in SUFFIXES if path.name.lower().endswith(s)), key=len, default="")
    return path.name[: len(path.name) - len(suffix)] or "image"


def _replace(path: Path, target: Path) -> None:
    if target.is_dir():  # a folder is replaced by a whole one only, which os.replace refuses
        shutil.rmtree(target)
    os.replace(path, target)
