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

"""Planting of lesions into a data set in the layout of the Medical Segmentation Decathlon."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import load_decathlon_datalist
from monai.transforms import RandBiasField

from monai_advexplain.data.volumes import Volume, write_volumes
from monai_advexplain.transforms.plant_lesion import LesionRange, RandPlantLesiond

BIAS = (-0.15, 0.15)


def _cases(decathlon_dir: Path) -> list[Path]:
    description = decathlon_dir / "dataset.json"
    if not description.is_file():
        raise FileNotFoundError(f"{description}: no such file; wanted a data set in the Decathlon's layout.")
    try:
        items = load_decathlon_datalist(str(description), is_segmentation=True, data_list_key="training")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{description}: not a Decathlon data list: {error}.") from error
    paths = sorted({Path(item["image"]) for item in items})
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        raise FileNotFoundError(f"{description}: {len(missing)} of {len(paths)} images missing: {missing[:3]}.")
    return paths


def _planted(paths: list[Path], seed: int, share: float, versions: int, lesions: LesionRange) -> Iterator[Volume]:
    from monai_advexplain.transforms.load_image import LoadMedicalImage  # its readers import from this package

    load, bias = LoadMedicalImage(spatial_dims=3), RandBiasField(coeff_range=BIAS, prob=1.0)
    plant = RandPlantLesiond("image", lesions=lesions)
    has_lesion = np.arange(len(paths) * versions) < round(share * len(paths) * versions)
    order = np.random.default_rng([seed, 0]).permutation(len(paths))
    # version after version, so that every case has about the same number of volumes with lesions
    flags = dict(zip(((int(c), v) for v in range(versions) for c in order), has_lesion, strict=True))
    for case, path in enumerate(paths):
        clean = load(path)
        for version in range(versions):
            draw = int(np.random.default_rng([seed, 1, case, version]).integers(2**32))
            bias.set_random_state(draw)
            plant.set_random_state(draw)
            item: dict[Hashable, Any] = {"image": bias(clean)}
            if flags[case, version]:
                item = plant(item)
            name = path.name.split(".")[0]
            mask = item.get("mask")
            yield Volume(
                f"{name}_{version}",
                name,
                item["image"][0].numpy(),
                clean.affine.numpy(),
                None if mask is None else mask[0].numpy() > 0,
            )


def plant_lesions(
    decathlon_dir: str | Path,
    output_dir: str | Path,
    seed: int = 0,
    share: float = 0.5,
    versions: int = 4,
    lesions: LesionRange | None = None,
    progress: bool = True,
) -> Path:
    """Write a data set for weak localisation: volumes of a Decathlon task, with and without planted lesions.

    Every case (``training`` in ``dataset.json``, files in ``imagesTr``) is written in several versions, each under a
    smooth random shading of its own; a share of all volumes gets one or two lesions. All versions of a case are one
    group, so that the split by case, 70/10/20, keeps them together. Grid and affine stay those of the case.

    Args:
        decathlon_dir: folder with ``dataset.json``.
        output_dir: the folder to make, in the layout that :func:`~monai_advexplain.data.load_datalist` reads.
        seed: same arguments, same volumes.
        share: of the volumes with lesions, between 0 and 1.
        versions: volumes for each case.
        lesions: what lesions are drawn from.
        progress: whether to show a progress bar.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: when the data set or images of it are missing.
        FileExistsError: when the folder is not empty and holds anything else.
        ValueError: when an argument is outside its range, or an image has several channels or shows no tissue.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}.")
    if versions < 1:
        raise ValueError(f"versions must be at least 1, got {versions}.")
    paths = _cases(Path(decathlon_dir))
    drawn_from = lesions or LesionRange()
    made_with = {
        "data": "planted lesions",
        "cases": [path.name for path in paths],
        "seed": seed,
        "share": share,
        "versions": versions,
        "lesions": {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(drawn_from).items()},
    }
    count = len(paths) * versions if progress else None
    return write_volumes(output_dir, lambda: _planted(paths, seed, share, versions, drawn_from), made_with, count)
