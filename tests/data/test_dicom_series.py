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

"""Where slices lie and which belong together, from headers alone."""

from __future__ import annotations

import numpy as np
import pytest

from monai_advexplain.data.dicom_series import slices_of, stack_slices
from tests.hard_dicom import COSINES, NORMAL, SPACING, header, plane


def slices(*tags):
    return [found for i, t in enumerate(tags) for found in slices_of(header(**t), f"{'abcdefgh'[i]}.dcm")]


def assert_voxels_lie_where_the_headers_say(ordered, affine):
    """Every corner by the formula of the DICOM standard, C.7.6.2.1.1."""
    for z, s in enumerate(ordered):
        x_cosines, y_cosines = np.reshape(s.header.ImageOrientationPatient, (2, 3))
        rows_apart, columns_apart = s.header.PixelSpacing
        for column, row in [(0, 0), (s.header.Columns - 1, 0), (0, s.header.Rows - 1)]:
            wanted = s.header.ImagePositionPatient + x_cosines * columns_apart * column + y_cosines * rows_apart * row
            assert np.linalg.norm((affine @ [column, row, z, 1])[:3] - wanted) < 0.01


@pytest.mark.parametrize("distances", [(0, 2.5, 5, 7.5), (5, 0, 7.5, 2.5), (-7.5, -5, -2.5, 0), (40, 10, 20, 30)])
def test_slices_are_sorted_along_their_normal_and_placed_by_their_positions(distances):
    ordered, affine = stack_slices(slices(*(plane(d, SliceThickness=1, SpacingBetweenSlices=9) for d in distances)))
    along = [float(np.dot(s.header.ImagePositionPatient, NORMAL)) for s in ordered]
    assert along == sorted(along)
    assert np.linalg.det(affine) > 0
    assert_voxels_lie_where_the_headers_say(ordered, affine)


def test_a_gantry_tilt_is_an_exact_shear():
    ordered, affine = stack_slices(slices(*(plane(2 * i, shift=(0.1 * i, -0.7 * i, 0.3 * i)) for i in (2, 0, 1, 3))))
    assert abs(affine[:3, 1] @ affine[:3, 2]) > 0.1
    assert_voxels_lie_where_the_headers_say(ordered, affine)


def test_positions_and_cosines_rounded_by_the_scanner_are_no_reason_to_refuse():
    rounded = [plane(d, ImageOrientationPatient=np.round(COSINES, 4).tolist()) for d in (0, 2.504, 4.997)]
    rounded[1]["ImageOrientationPatient"] = [0.80001, *COSINES[1:]]
    assert_voxels_lie_where_the_headers_say(*stack_slices(slices(*rounded)))


EVEN = [plane(0), plane(2.5), plane(5), plane(7.5)]


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (plane(15), r"d\.dcm and e\.dcm are 7\.500 mm apart, the other slices 2\.500 mm; .*is a slice missing"),
        (plane(10.05), r"d\.dcm and e\.dcm are 2\.550 mm apart"),
        (plane(5), r"c\.dcm and e\.dcm lie in one plane \(0\.000 mm apart\)"),
        (plane(5, shift=np.multiply(COSINES[:3], 30)), r"c\.dcm and e\.dcm lie in one plane"),
        (plane(10, shape=(4, 7)), r"e\.dcm: 4 x 7 pixels \(rows x columns\) found, 4 x 6 wanted as in a\.dcm"),
        (plane(10, SeriesInstanceUID="1.9"), r"2 values of SeriesInstanceUID .*1\.2\.3\.4 \(a\.dcm\), 1\.9 \(e\.dcm\)"),
        (plane(10, FrameOfReferenceUID="1.9"), r"2 values of FrameOfReferenceUID .*1\.9 \(e\.dcm\)"),
        (
            plane(10, ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
            r"e\.dcm: ImageOrientationPatient .*1\.0.*as in a\.dcm",
        ),
        (plane(10, PixelSpacing=[0.75, 0.51]), r"e\.dcm: its voxels lie up to 0\.050 mm off .*0\.01 mm wanted"),
        (plane(10, shift=np.multiply(COSINES[:3], 0.05)), r"dcm: its voxels lie up to 0\.\d* mm off .*0\.01 mm wanted"),
        (plane(10, PixelSpacing=None), r"e\.dcm: no PixelSpacing found"),
        (plane(10, ImageOrientationPatient=None), r"e\.dcm: no ImageOrientationPatient found"),
        ({"ImageOrientationPatient": COSINES, "PixelSpacing": SPACING}, r"e\.dcm: no ImagePositionPatient found"),
    ],
)
def test_a_slice_off_the_common_grid_is_named_with_what_was_found_and_wanted(odd, message):
    with pytest.raises(ValueError, match=message) as error:
        stack_slices(slices(*EVEN, odd))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (
            {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
            r"a\.dcm: ImageOrientationPatient \[0\.0.*unit vectors wanted",
        ),
        ({"ImageOrientationPatient": [1, 0, 0, 0.7, 0.7, 0]}, r"a\.dcm: ImageOrientationPatient .*0\.7"),
        ({"ImageOrientationPatient": [float("nan")] * 6}, r"a\.dcm: ImageOrientationPatient \[nan"),
        ({"PixelSpacing": [0, 0.5]}, r"a\.dcm: pixel spacing \[0\.0, 0\.5\] mm found"),
    ],
)
def test_a_plane_that_is_none_is_refused(tags, message):
    with pytest.raises(ValueError, match=message):
        slices(plane(0, **tags))
