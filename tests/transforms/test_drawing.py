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

"""Tests of what all pictures share."""

from __future__ import annotations

import numpy as np
import pytest

from monai_advexplain.transforms.drawing import HEAT, grey_window, heat_colours, heat_window


def test_windows_run_between_percentiles_and_stay_windows_for_flat_pictures():
    pixels = np.arange(1000.0)
    grey = grey_window(pixels)
    assert (grey.vmin, grey.vmax) == pytest.approx(tuple(np.percentile(pixels, [0.5, 99.5])))
    assert (heat_window(pixels).vmin, heat_window(pixels).vmax) == pytest.approx((0, np.percentile(pixels, 99.5)))
    flat = np.full(4, 3.0)
    assert (grey_window(flat).vmin, grey_window(flat).vmax) == (3.0, 4.0)
    assert heat_window(np.zeros(4)).vmax == 1.0
    one_bright = np.zeros(1000)
    one_bright[0] = 0.5
    assert heat_window(one_bright).vmax == 0.5


def test_heat_has_its_own_colour_and_is_as_opaque_as_it_is_high():
    colours = heat_colours(np.array([0.0, 0.25, 1.0]))
    np.testing.assert_allclose(colours[:, :3], HEAT(np.array([0.0, 0.25, 1.0]))[:, :3])
    np.testing.assert_allclose(colours[:, 3], [0.0, 0.45, 0.9])
