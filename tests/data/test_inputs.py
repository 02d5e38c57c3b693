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

"""What to explain: a file, a folder or a list of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import ComputedRadiographyImageStorage, MediaStorageDirectoryStorage, SegmentationStorage

from monai_advexplain.data.inputs import list_images
from tests.hard_dicom import plane, write_dicom, write_series

DICOM = bytes(128) + b"DICM"


@pytest.fixture
def folder(tmp_path):
    """A folder with images of every kind in sub-folders, and what is none."""
    names = ["b.PNG", "a.jpg", "sub/c.nii.gz", "sub/d.dcm", "sub/deep/e.nii", "notes.txt", ".hidden.png", "f.csv"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"content")
    (tmp_path / "IM0001").write_bytes(DICOM)
    (tmp_path / "README").write_bytes(b"no image, and no suffix either, but long enough " * 5)
    return tmp_path


def names(items, folder):
    assert all(set(item) == {"image"} and isinstance(item["image"], str) for item in items)
    return [item["image"].removeprefix(f"{folder}/") for item in items]


def test_a_folder_gives_its_images_sorted_with_those_of_its_sub_folders(folder):
    expected = ["IM0001", "a.jpg", "b.PNG", "sub/c.nii.gz", "sub/d.dcm", "sub/deep/e.nii"]
    assert names(list_images(folder), folder) == expected
    assert names(list_images(str(folder)), folder) == expected


@pytest.mark.parametrize("name", ["a.jpg", "notes.txt", "README", ".hidden.png"])
def test_a_file_that_is_named_is_taken_whatever_its_suffix(folder, name):
    assert names(list_images(folder / name), folder) == [name]


def test_a_list_of_files_and_folders_keeps_its_order(folder):
    found = list_images([folder / "b.PNG", str(folder / "sub"), folder / "a.jpg"])
    assert names(found, folder) == ["b.PNG", "sub/c.nii.gz", "sub/d.dcm", "sub/deep/e.nii", "a.jpg"]


@pytest.mark.parametrize("wrap", [lambda path: path, lambda path: [path]])
def test_a_path_that_does_not_exist_is_named(tmp_path, wrap):
    with pytest.raises(FileNotFoundError, match=r"no image file or folder at .*nowhere\.dcm"):
        list_images(wrap(tmp_path / "nowhere.dcm"))


def test_a_folder_without_an_image_says_where_and_what_was_looked_for(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"no image in .*; looked for .*\.nii\.gz.* and DICOM") as error:
        list_images(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_an_empty_list_is_refused():
    with pytest.raises(ValueError, match="no image in an empty list"):
        list_images([])


PIXELS = np.zeros((3, 4, 6), dtype=np.int16)


def images(folder):
    """The items' files by name, a series as a list."""
    found = [item["image"] for item in list_images(folder)]
    return [[Path(p).name for p in f] if isinstance(f, list) else Path(f).name for f in found]


def named(paths):
    return [path.name for path in paths]


def test_every_series_of_a_folder_is_one_item_under_whatever_names(tmp_path):
    one = write_series(tmp_path, PIXELS, prefix="1.2.840.", SeriesInstanceUID="1.1")
    two = write_series(tmp_path, PIXELS[:2], prefix="IM", SeriesInstanceUID="1.2")
    (tmp_path / "a.png").write_bytes(b"content")
    (tmp_path / "J.nii.gz").write_bytes(b"content")
    assert images(tmp_path) == [named(one), named(two), "J.nii.gz", "a.png"]


def test_slices_of_one_series_are_found_across_sub_folders(tmp_path):
    paths = write_series(tmp_path, PIXELS)
    (tmp_path / "sub").mkdir()
    moved = paths[1].rename(tmp_path / "sub" / paths[1].name)
    assert images(tmp_path) == [named([paths[0], paths[2], moved])]


@pytest.mark.parametrize(
    "odd",
    [
        {"shape": (4, 5)},
        {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
        {"FrameOfReferenceUID": "1.9"},
        {"ImagePositionPatient": None},
        {"SeriesInstanceUID": None},
        {"shape": (2, 4, 6)},
    ],
)
def test_an_image_that_cannot_be_a_slice_of_the_series_stays_alone(tmp_path, odd):
    series = write_series(tmp_path, PIXELS)
    tags = plane(7.5) | odd
    write_dicom(tmp_path / "odd.dcm", np.zeros(tags.pop("shape", (4, 6)), np.int16), **tags)
    assert images(tmp_path) == [named(series), "odd.dcm"]


def test_images_of_one_place_are_not_a_volume(tmp_path):
    series = write_series(tmp_path, PIXELS, step=0.0)
    assert images(tmp_path) == named(series)


def test_radiographs_of_one_series_stay_alone(tmp_path):
    tags = {"SOPClassUID": ComputedRadiographyImageStorage, "ImagerPixelSpacing": [0.2, 0.2]}
    paths = [write_dicom(tmp_path / name, PIXELS[0], **tags) for name in ("1", "2.dcm")]
    assert images(tmp_path) == named(paths)


@pytest.mark.parametrize("content", [b"", b"this is text", DICOM, DICOM + b"\xff" * 50])
def test_a_broken_file_neither_stops_nor_joins_a_series(tmp_path, content):
    series = write_series(tmp_path, PIXELS)
    (tmp_path / "broken.dcm").write_bytes(content)
    assert images(tmp_path) == [named(series), "broken.dcm"]


def test_dicom_objects_that_are_no_images_are_left_out_of_a_folder_but_not_when_named(tmp_path):
    series = write_series(tmp_path, PIXELS)
    write_dicom(tmp_path / "DICOMDIR", PIXELS[0], SOPClassUID=MediaStorageDirectoryStorage)
    write_dicom(tmp_path / "seg.dcm", PIXELS[0], SOPClassUID=SegmentationStorage)
    assert images(tmp_path) == [named(series)]
    assert images(tmp_path / "seg.dcm") == ["seg.dcm"]


def test_slices_that_are_named_stay_alone(tmp_path):
    series = write_series(tmp_path, PIXELS)
    assert images(series) == named(series)
