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

"""Bundles as a server holds them, without MONAI Label."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

import monai_advexplain
from monai_advexplain.label import BundleExplanationd, ImageAloned, NotReadyError, ServedBundle, as_volume
from tests.label.conftest import FLAT, oblique


@pytest.fixture
def image(studies):
    return studies / "slice.nii.gz"


def test_a_served_bundle_explains_as_the_package_and_says_why_it_cannot(bundles, image):
    wanted = monai_advexplain.load(bundles[FLAT])(image)
    torch.testing.assert_close(ServedBundle(bundles[FLAT], device="cpu").explain(image).map, wanted.map)
    with pytest.raises(NotReadyError, match=r"^bundle misfit: the weights in .* do not fit GatedExplainerNet: missing"):
        ServedBundle(bundles["misfit"]).explain(image)
    with pytest.raises(FileNotFoundError, match="is not a bundle: there is no"):
        ServedBundle(image.parent)


def test_monai_labels_last_transform_gives_map_scores_and_place(bundles, image):
    wanted = monai_advexplain.load(bundles[FLAT])(image)
    given = {"image_path": str(image), "result_dtype": "uint8", "model": FLAT}
    done = BundleExplanationd(bundles[FLAT])(given)
    np.testing.assert_array_equal(done["pred"].numpy(), wanted.map.array[0][..., None])
    np.testing.assert_allclose(done["image"].meta["original_affine"], wanted.map.affine)
    assert done["result"] == wanted.scores()
    assert (done["result_dtype"], done["result_extension"], done["model"]) == (None, ".nii.gz", FLAT)
    assert given["result_dtype"] == "uint8"


def test_pre_processing_sees_the_image_alone():
    done = ImageAloned(lambda item: {name: f"loaded {value}" for name, value in item.items()})(
        {"image": "a", "image_path": "b"}
    )
    assert done == {"image": "loaded a", "image_path": "b"}


def test_a_volume_keeps_its_place_and_a_flat_image_is_one_slice():
    affine = torch.as_tensor(oblique((1.0, 2.0, 3.0)))
    values, place = as_volume(MetaTensor(torch.rand(1, 4, 5, 6), affine=affine))
    assert values.shape == (4, 5, 6)
    np.testing.assert_allclose(place, affine)
    values, place = as_volume(torch.tensor([[[0.0, 1.0]], [[1.0, 3.0]]]))
    assert values.tolist() == [[[0.5], [2.0]]]
    np.testing.assert_array_equal(place, np.eye(4))
