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

"""Our app with a real PACS as its datastore."""

from __future__ import annotations

import pytest
import requests

from tests.label.conftest import SERIES, VOLUME
from tests.label.serving import APP, assert_same_image, explain, infer, nifti, server
from tests.orthanc import orthanc


@pytest.fixture(scope="module")
def url(bundles, series, tmp_path_factory):
    settings = {"MONAI_LABEL_DICOMWEB_SEARCH_FILTER": "{}", "MONAI_LABEL_DICOMWEB_CONVERT_TO_NIFTI": "false"}
    conf = {"models": str(bundles[VOLUME])}
    with (
        orthanc(tmp_path_factory.mktemp("orthanc"), series) as pacs,
        server(APP, f"{pacs}/dicom-web", tmp_path_factory.mktemp("label"), conf, **settings) as address,
    ):
        yield address


def test_the_datastore_lists_the_series_of_the_pacs(url):
    stats = requests.get(f"{url}/datastore/", timeout=60).json()
    assert stats["total"] == 1
    sample = requests.post(f"{url}/activelearning/first", json={}, timeout=60).json()
    assert sample["id"] == SERIES


def test_a_series_is_explained_as_the_package_explains_its_files(url, bundles, series, tmp_path):
    (wanted,) = explain(bundles[VOLUME], [series[0].parent], tmp_path / "out").values()
    for role in ("explanation", "adversarial"):
        response = infer(url, f"{VOLUME}_{role}", SERIES)
        assert response.status_code == 200, response.text
        assert_same_image(nifti(response.content), wanted[role])


def test_a_series_that_the_pacs_does_not_have_is_named(url):
    response = infer(url, f"{VOLUME}_explanation", "1.2.99")
    assert response.status_code == 404
    assert "no image '1.2.99' in http://127.0.0.1" in response.json()["detail"]
