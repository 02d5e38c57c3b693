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

"""High means important, whichever way the decision went: a classifier that reads one spot is explained by that spot."""

from __future__ import annotations

import pytest

from monai_advexplain import explainers
from tests.explainers.cases import CLASSIFIER_METHODS, BrightSpot, with_spot

# A grid fine enough for a spot of 6 pixels.
SETTINGS = CLASSIFIER_METHODS | {
    "BBMPExplainer": {"iterations": 40, "cell": 2, "jitter": 1, "baseline": "mean"},
    "OcclusionExplainer": {"window": 4, "stride": 2},
    "RISEExplainer": {"n_masks": 300, "grid": 5},
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("says_no", [False, True], ids=["yes", "no"])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_map_is_highest_on_the_spot_that_the_classifier_reads(name, says_no, dims):
    images, spot = with_spot(dims)
    classifier = BrightSpot(dims, says_no)
    assert (classifier(images) > 0).all() != says_no
    maps = getattr(explainers, name)(classifier, **SETTINGS[name])(images)
    inside, outside = (((maps * where).flatten(1).sum(1) / where.flatten(1).sum(1)) for where in (spot, 1 - spot))
    assert (inside > outside).all()
    assert spot.flatten(1).gather(1, maps.flatten(1).argmax(dim=1, keepdim=True)).all()
