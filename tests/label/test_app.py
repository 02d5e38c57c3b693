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

"""Our app on a real MONAI Label server."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import nibabel as nib
import numpy as np
import pytest
import requests

from tests.label.conftest import FLAT, VOLUME
from tests.label.serving import APP, assert_same_image, infer, nifti, parts_of, server

SCORES = ("decision", "flipped", "preserved", "probability", "probability_similar", "probability_adversarial")
IMAGES = {"slice": FLAT, "scan": FLAT, "chest": FLAT, "volume": VOLUME}


@pytest.fixture(scope="module")
def url(bundles, studies, tmp_path_factory):
    conf = {"models": ",".join(map(str, bundles.values()))}
    with server(APP, studies, tmp_path_factory.mktemp("label"), conf) as address:
        yield address


def test_info_names_three_tasks_of_every_bundle(url):
    models = requests.get(f"{url}/info/", timeout=60).json()["models"]
    assert {name for name in models if name.startswith(FLAT)} == {
        f"{FLAT}_explanation",
        f"{FLAT}_adversarial",
        f"{FLAT}_region",
    }
    assert [models[f"{name}_region"]["dimension"] for name in (FLAT, VOLUME)] == [2, 3]
    assert [models[f"{FLAT}_{role}"]["type"] for role in ("explanation", "region")] == ["others", "segmentation"]
    assert models[f"{FLAT}_region"]["labels"] == {"explanation": 1}


def test_the_datastore_lists_nifti_png_and_dicom_files(url):
    listed = requests.get(f"{url}/datastore/", params={"output": "all"}, timeout=60).json()["objects"]
    assert listed.keys() >= IMAGES.keys()


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("role", ["explanation", "adversarial"])
def test_an_image_is_the_one_of_the_package_in_voxels_and_place(url, explained, image, role):
    response = infer(url, f"{IMAGES[image]}_{role}", image)
    assert response.status_code == 200, response.text
    assert_same_image(nifti(response.content), explained[image][role])


@pytest.mark.parametrize("image", IMAGES)
def test_the_scores_are_those_of_the_package(url, explained, image):
    found = infer(url, f"{IMAGES[image]}_explanation", image, "json").json()
    for name in SCORES:
        assert found[name] == pytest.approx(explained[image][name], abs=1e-6)


@pytest.mark.parametrize("image", ["scan", "volume"])
def test_the_region_is_where_the_map_is_highest_and_comes_with_the_scores(url, explained, image):
    parts = parts_of(infer(url, f"{IMAGES[image]}_region", image, "all", share=0.1))
    values = explained[image]["explanation"].get_fdata(dtype=np.float32)
    label = nifti(parts["image"])
    region = np.asarray(label.dataobj).reshape(values.shape)
    assert region.dtype == np.uint8
    assert 0.09 < region.mean() <= 0.1
    assert values[region == 1].min() >= values[region == 0].max() - 1e-6
    np.testing.assert_allclose(label.affine, explained[image]["explanation"].affine, atol=1e-5)
    params = json.loads(parts["params"])
    assert params["probability"] == pytest.approx(explained[image]["probability"], abs=1e-6)
    assert params["label_names"] == {"explanation": 1}


def test_a_viewer_gets_the_region_in_the_form_that_it_asks_for(url, explained, tmp_path):
    """3D Slicer and OHIF ask for NRRD of uint8."""
    response = infer(url, f"{VOLUME}_region", "volume", result_extension=".nrrd", result_dtype="uint8")
    assert response.content.startswith(b"NRRD")
    header = response.content.split(b"\n\n")[0].decode()
    assert "type: unsigned char" in header
    assert "sizes: 50 44 20" in header
    directions = explained["volume"]["explanation"].affine[:3, :3] * [[-1], [-1], [1]]  # RAS to LPS
    said = header.split("space directions: ")[1].split("\n")[0].replace("(", "[").replace(")", "]").replace(" ", ",")
    np.testing.assert_allclose(np.array(json.loads(f"[{said}]")).T, directions, atol=1e-5)


def test_an_uploaded_file_is_explained(url, studies, explained):
    with (studies / "scan.png").open("rb") as file:
        response = requests.post(
            f"{url}/infer/{FLAT}_explanation", params={"output": "image"}, files={"file": ("x.png", file)}, timeout=60
        )
    assert_same_image(nifti(response.content), explained["scan"]["explanation"])


def test_sixteen_requests_at_once_give_sixteen_right_answers(url, explained):
    asked = [(image, role) for image in IMAGES for role in ("explanation", "adversarial")] * 2
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda a: infer(url, f"{IMAGES[a[0]]}_{a[1]}", a[0]), asked))
    assert len(answers) == 16
    for (image, role), answer in zip(asked, answers, strict=True):
        assert_same_image(nifti(answer.content), explained[image][role])


BAD = [
    (f"{FLAT}_explanation", "nobody", {}, 404, "no image 'nobody' in the datastore; there are 7 images"),
    ("brain_region", "scan", {}, 404, "no model 'brain_region'; there are brain_flat_adversarial"),
    (f"{FLAT}_explanation", "volume", {}, 422, "volume.nii.gz: 3 spatial dimensions found"),
    (f"{VOLUME}_explanation", "scan", {}, 422, "scan.png: 2 spatial dimensions found"),
    (f"{FLAT}_explanation", "broken_dicom", {}, 422, "broken_dicom.dcm: cannot decode the pixel data"),
    (f"{VOLUME}_explanation", "broken_nifti", {}, 422, "broken_nifti.nii.gz: cannot load the image"),
    (f"{FLAT}_explanation", "broken_png", {}, 422, "broken_png.png"),
    (f"{FLAT}_region", "scan", {"share": 2}, 422, "share must be in (0, 1), got 2.0."),
    ("untrained_explanation", "scan", {}, 503, "bundle untrained: no weights at"),
    ("misfit_explanation", "scan", {}, 503, "model.pt do not fit GatedExplainerNet: missing"),
]


@pytest.mark.parametrize(("model", "image", "params", "status", "said"), BAD)
def test_a_bad_request_is_told_in_one_sentence_and_the_server_goes_on(
    url, explained, model, image, params, status, said
):
    response = infer(url, model, image, **params)
    assert (response.status_code, response.json().keys()) == (status, {"detail"})
    assert said in response.json()["detail"]
    assert "\n" not in response.json()["detail"]
    assert infer(url, f"{FLAT}_explanation", "scan", "json").ok


def test_weights_that_come_later_are_taken_without_a_restart(url, bundles, explained):
    for name in ("model.pt", "classifier.pt"):
        (bundles["untrained"] / "models" / name).write_bytes((bundles[FLAT] / "models" / name).read_bytes())
    answer = infer(url, "untrained_explanation", "scan")
    assert isinstance(nifti(answer.content), nib.Nifti1Image)
    assert_same_image(nifti(answer.content), explained["scan"]["explanation"])
