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

"""``standardised.json`` laid over the chest bundle's configs: exposure and borders no longer reach the classifier."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigParser

from monai_advexplain.transforms import LoadMedicalImage
from tests.bundles.bundle_runs import BUNDLE, SMALL, command

CONFIGS = BUNDLE / "configs"


def laid_over(*names: str) -> list[str]:
    return [str(CONFIGS / f"{name}.json") for name in (*names, "standardised")]


@pytest.mark.parametrize(
    ("names", "entry"),
    [
        (("train_classifier",), "train#deterministic_transforms"),
        (("train_classifier",), "validate#preprocessing#transforms"),
        (("train",), "train#deterministic_transforms"),
        (("train",), "validate#preprocessing#transforms"),
        (("evaluate", "compare"), "preprocessing#transforms"),
        (("inference",), "preprocessing#transforms"),
        (("train_classifier", "train_supervised"), "train#deterministic_transforms"),
    ],
)
def test_every_config_crops_and_equalises_alike(names, entry, phantom_dir):
    image = sorted((phantom_dir / "stage_2_train_images").iterdir())[0]
    item = {"image": str(image), "label": 0, "boxes": []}
    found = {}
    for overlay in (False, True):
        files = laid_over(*names) if overlay else laid_over(*names)[:-1]
        parser = ConfigParser(ConfigParser.load_config_files(files))
        parser.update({"bundle_root": str(BUNDLE), **SMALL})
        data = dict(item)
        for transform in parser.get_parsed_content(entry):
            data = transform(data)
        found[overlay] = np.asarray(data["image"])[0]
    assert found[True].shape == tuple(SMALL["image_size"])
    spread = {overlay: np.histogram(values, 8, (0, 1))[0].std() for overlay, values in found.items()}
    assert spread[True] < 0.5 * spread[False]


def test_maps_of_cropped_images_lie_in_the_file_s_grid_and_are_zero_outside(trained, phantom_dir, tmp_path):
    image = sorted((phantom_dir / "stage_2_train_images").iterdir())[0]
    options = {**trained.options, "input": str(image), "output_dir": str(tmp_path)}
    done = command("inferring", "inference", config_file=str(laid_over("inference")), **options)
    assert done.returncode == 0, done.stderr[-4000:]
    source = LoadMedicalImage()(image)
    explanation = nib.load(tmp_path / f"{image.stem}_explanation.nii.gz").get_fdata().squeeze()
    assert explanation.shape == tuple(source.shape[1:])
    margin = [size // 8 - 1 for size in explanation.shape]
    inside = explanation[margin[0] : -margin[0], margin[1] : -margin[1]]
    assert inside.max() > 0
    assert explanation.sum() == pytest.approx(inside.sum())
