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

"""Bundles in MONAI Label's own ``monaibundle`` app."""

from __future__ import annotations

import json
import shutil

import pytest
import requests

from tests.label.conftest import FLAT, VOLUME
from tests.label.serving import SAMPLE_APPS, assert_same_image, infer, nifti, parts_of, server

IMAGES = {"slice": FLAT, "scan": FLAT, "chest": FLAT, "volume": VOLUME}


@pytest.fixture(scope="module")
def url(bundles, studies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("monaibundle")
    for name in (FLAT, VOLUME, "misfit"):
        shutil.copytree(bundles[name], folder / "app" / "model" / name)
    shutil.copytree(SAMPLE_APPS / "monaibundle", folder / "app", dirs_exist_ok=True)
    conf = {"models": f"{FLAT},{VOLUME},misfit", "zoo_source": "ngc", "sam2": "false", "skip_trainers": "true"}
    extensions = json.dumps(["*.nii.gz", "*.png", "*.dcm"])
    with server(SAMPLE_APPS, studies, folder, conf, MONAI_LABEL_DATASTORE_FILE_EXT=extensions) as address:
        yield address


def test_info_names_the_bundles(url):
    models = requests.get(f"{url}/info/", timeout=60).json()["models"]
    assert {name: model["dimension"] for name, model in models.items()} == {FLAT: 2, VOLUME: 3, "misfit": 2}


@pytest.mark.parametrize("image", IMAGES)
def test_a_bundle_gives_the_map_of_the_package_and_its_scores(url, explained, image):
    parts = parts_of(infer(url, IMAGES[image], image, "all"))
    assert_same_image(nifti(parts["image"]), explained[image]["explanation"])
    params = json.loads(parts["params"])
    assert params["probability"] == pytest.approx(explained[image]["probability"], abs=1e-6)
    assert params["flipped"] is explained[image]["flipped"]


def test_a_map_stays_a_map_when_the_client_asks_for_whole_numbers(url, explained):
    response = infer(url, FLAT, "scan", result_dtype="uint8")
    assert_same_image(nifti(response.content), explained["scan"]["explanation"])


@pytest.mark.parametrize(
    ("model", "image"), [(FLAT, "nobody"), (FLAT, "volume"), (FLAT, "broken_png"), ("misfit", "scan")]
)
def test_a_bad_request_fails_and_the_server_goes_on(url, explained, model, image):
    assert infer(url, model, image).status_code == 500
    assert_same_image(nifti(infer(url, FLAT, "scan").content), explained["scan"]["explanation"])
