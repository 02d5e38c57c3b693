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

"""Lesions planted into a data set in the Decathlon's layout."""

from __future__ import annotations

import json
from collections import Counter

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter

from monai_advexplain.__main__ import main
from monai_advexplain.data import load_datalist, plant_lesions

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
N_CASES = 12


@pytest.fixture(scope="module")
def decathlon_dir(tmp_path_factory):
    """Cases of different sizes and units, of textured tissue."""
    folder = tmp_path_factory.mktemp("Task04")
    (folder / "imagesTr").mkdir()
    rng, entries = np.random.default_rng(0), []
    for i in range(N_CASES):
        noise = gaussian_filter(rng.standard_normal((24 + i % 3, 28, 20)), 1.0)
        image = 10.0 ** (i % 4) * (20 + 100 * (noise > -0.1) + 30 * noise)
        nibabel.save(
            nibabel.Nifti1Image(image.astype(np.float32), AFFINE), folder / "imagesTr" / f"case_{i:02d}.nii.gz"
        )
        entries.append({"image": f"./imagesTr/case_{i:02d}.nii.gz", "label": f"./labelsTr/case_{i:02d}.nii.gz"})
    (folder / "dataset.json").write_text(json.dumps({"training": entries, "test": []}))
    return folder


@pytest.fixture(scope="module")
def planted_dir(decathlon_dir, tmp_path_factory):
    return plant_lesions(decathlon_dir, tmp_path_factory.mktemp("out") / "planted", versions=2, progress=False)


def test_every_case_is_there_with_and_without_lesion_and_in_one_section(planted_dir):
    splits = load_datalist(planted_dir)
    items = [item for section in splits.values() for item in section]
    assert Counter(item["label"] for item in items) == {0: N_CASES, 1: N_CASES}
    assert all(("mask" in item) == bool(item["label"]) for item in items)
    groups = [{item["group"] for item in section} for section in splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == N_CASES


def test_volumes_keep_the_grid_of_their_case_and_change_only_where_the_mask_says(decathlon_dir, planted_dir):
    for item in load_datalist(planted_dir)["training"][:6]:
        source = nibabel.load(decathlon_dir / "imagesTr" / f"{item['group']}.nii.gz")
        image = nibabel.load(item["image"])
        np.testing.assert_allclose(image.affine, AFFINE)
        assert image.shape == source.shape
        ratio = image.get_fdata() / source.get_fdata()  # 1 but for a smooth shading
        rough = np.abs(ratio - gaussian_filter(ratio, 1.0))
        if item["label"]:
            mask = nibabel.load(item["mask"])
            np.testing.assert_allclose(mask.affine, AFFINE)
            marked = mask.get_fdata() > 0
            assert 0 < marked.mean() < 0.2
            around = binary_dilation(marked, iterations=3)
            assert rough[around].max() > 3 * rough[~around].max()
        else:
            assert rough[3:-3, 3:-3, 3:-3].max() < 0.05


def test_one_seed_writes_the_same_volumes_and_another_writes_others(decathlon_dir, planted_dir, tmp_path):
    def pixels(folder):
        return [nibabel.load(path).get_fdata() for path in sorted((folder / "images").iterdir())]

    same = plant_lesions(decathlon_dir, tmp_path / "same", versions=2, progress=False)
    other = plant_lesions(decathlon_dir, tmp_path / "other", seed=1, versions=2, progress=False)
    wanted = pixels(planted_dir)
    assert all(np.array_equal(a, b) for a, b in zip(pixels(same), wanted, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(pixels(other), wanted, strict=True))
    stamp = (same / "datalist.json").stat().st_mtime_ns
    assert plant_lesions(decathlon_dir, same, versions=2, progress=False) == same
    assert (same / "datalist.json").stat().st_mtime_ns == stamp


def test_the_share_of_volumes_with_lesions_is_as_wanted(decathlon_dir, tmp_path):
    folder = plant_lesions(decathlon_dir, tmp_path / "out", share=0.75, versions=4, progress=False)
    labels = Counter(item["label"] for items in load_datalist(folder).values() for item in items)
    assert labels == {1: 36, 0: 12}


def test_the_command_writes_what_the_function_writes(decathlon_dir, planted_dir, tmp_path, capsys):
    assert main(["plant", str(decathlon_dir), str(tmp_path / "out"), "--versions", "2"]) == 0
    assert f"{2 * N_CASES} images in" in capsys.readouterr().out
    assert (tmp_path / "out" / "datalist.json").read_text() == (planted_dir / "datalist.json").read_text()


def test_what_cannot_be_planted_is_one_line_and_leaves_nothing(decathlon_dir, planted_dir, tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match=r"dataset\.json: no such file"):
        plant_lesions(tmp_path, tmp_path / "out")
    (tmp_path / "dataset.json").write_text('{"training": [{"image": "./imagesTr/none.nii.gz"}]}')
    assert main(["plant", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "1 of 1 images missing" in capsys.readouterr().err
    with pytest.raises(ValueError, match="share must lie between 0 and 1, got 1"):
        plant_lesions(decathlon_dir, tmp_path / "out", share=1)
    with pytest.raises(FileExistsError, match="is not empty"):
        plant_lesions(decathlon_dir, planted_dir, versions=3)
    assert not (tmp_path / "out").exists()
