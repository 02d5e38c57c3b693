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

import pytest

from monai_advexplain.data.inputs import list_images

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
