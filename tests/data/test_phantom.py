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

"""Tests of the chest phantom: what decides about the label is known, and nothing else does."""

from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import pydicom
import pytest
from monai.transforms import Compose

from monai_advexplain.data import load_rsna, phantom_dicom, render_chest, write_chest_phantom
from monai_advexplain.transforms import GroundTruthMaskd, LoadMedicalImage, LoadMedicalImaged


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def labels(folder):
    with (folder / "stage_2_train_labels.csv").open() as file:
        return {row["patientId"]: int(row["Target"]) for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def pairs():
    """The same patients and visits without and with lesions."""
    return [tuple(render_chest([1, i], [2, i], 96, lesion=lesion) for lesion in (False, True)) for i in range(30)]


def test_images_are_floats_between_0_and_1_that_use_their_range(pairs):
    for pair in pairs:
        for chest in pair:
            assert chest.image.dtype == np.float32
            assert chest.image.shape == (96, 96)
            assert 0 <= chest.image.min() < 0.15
            assert 0.75 < chest.image.max() <= 1


def test_the_drawing_is_a_pure_function_of_its_arguments():
    first, second = (render_chest(3, 4, 64, lesion=True).image for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, render_chest(3, 5, 64, lesion=True).image)
    assert not np.array_equal(first, render_chest(4, 4, 64, lesion=True).image)


def test_only_images_with_lesions_have_boxes(pairs):
    for healthy, ill in pairs:
        assert healthy.boxes == []
        assert not healthy.lesions.any()
        assert len(ill.boxes) in (1, 2)
        assert ill.lesions.any()
    assert {len(ill.boxes) for _, ill in pairs} == {1, 2}


def test_boxes_enclose_the_visible_lesions_tightly(pairs):
    for _, ill in pairs:
        inside = np.zeros_like(ill.lesions)
        for x, y, width, height in ill.boxes:
            inside[y : y + height, x : x + width] = True
        assert not (ill.lesions & ~inside).any()
        if len(ill.boxes) == 1:
            rows, columns = np.nonzero(ill.lesions)
            extent = columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1
            assert ill.boxes == [extent]


def test_a_lesion_changes_the_image_inside_its_box_and_hardly_elsewhere(pairs):
    for healthy, ill in pairs:
        change = ill.image.astype(float) - healthy.image
        near = np.zeros_like(ill.lesions)
        for x, y, width, height in ill.boxes:
            near[max(0, y - 4) : y + height + 4, max(0, x - 4) : x + width + 4] = True
        assert np.abs(change[~near]).max() < 0.08
        assert change[ill.lesions].mean() > 0.05
        assert np.abs(change[near]).sum() > 0.95 * np.abs(change).sum()


def test_lesions_lie_in_dark_lungs(pairs):
    for healthy, ill in pairs:
        mediastinum = healthy.image[30:60, 45:51].mean()
        assert healthy.image[ill.lesions].mean() < 0.8 * mediastinum


def test_lesions_vary_in_contrast_and_cover_a_few_percent_of_the_image(pairs):
    contrasts = [(ill.image - healthy.image)[ill.lesions].mean() for healthy, ill in pairs]
    assert np.std(contrasts) > 0.03
    assert np.min(contrasts) < 0.15 < np.max(contrasts)
    assert 0.01 < np.mean([ill.lesions.mean() for _, ill in pairs]) < 0.04


def test_visits_of_one_patient_resemble_each_other_more_than_other_patients():
    def centre(patient, visit):
        image = render_chest(patient, visit, 64).image[8:56, 8:56]
        return (image - image.mean()) / image.std()

    same = [np.mean(centre(i, [i, 0]) * centre(i, [i, 1])) for i in range(8)]
    other = [np.mean(centre(i, [i, 0]) * centre(i + 50, [i, 1])) for i in range(8)]
    assert np.mean(same) > np.mean(other) + 0.02


def test_a_marker_changes_the_upper_corner_only():
    plain, marked = (render_chest(1, 2, 128, marker=marker).image for marker in (False, True))
    rows, columns = np.nonzero(plain != marked)
    assert rows.max() < 0.2 * 128
    assert columns.min() > 0.8 * 128
    assert marked[rows, columns].max() > 0.85


def test_the_same_arguments_give_the_same_bytes(phantom_dir, tmp_path):
    again = write_chest_phantom(tmp_path / "again", n_images=48, size=64, progress=False)
    assert files(again) == files(phantom_dir)
    other = write_chest_phantom(tmp_path / "other", n_images=48, size=64, seed=1, progress=False)
    assert not set(files(other).values()) & set(files(phantom_dir).values())


def test_every_file_reads_as_the_drawing_times_255_whatever_its_encoding(phantom_dir):
    load, seen = LoadMedicalImage(), Counter()
    for path in (phantom_dir / "stage_2_train_images").iterdir():
        patient, visit = int(path.stem[1:6]), int(path.stem[7:])
        lesion = bool(labels(phantom_dir)[path.stem])
        drawn = render_chest([0, 1, patient], [0, 2, patient, visit], 64, lesion=lesion).image
        np.testing.assert_allclose(load(path)[0].numpy().T, 255 * drawn, atol=0.501)
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        seen[ds.PhotometricInterpretation, ds.BitsStored] += 1
    assert set(seen) >= {("MONOCHROME1", 8), ("MONOCHROME2", 8), ("MONOCHROME2", 12)}
    assert seen["MONOCHROME2", 8] > 24


def test_headers_are_those_of_valid_radiographs(phantom_dir):
    uids = []
    for path in (phantom_dir / "stage_2_train_images").iterdir():
        ds = pydicom.dcmread(path)
        assert (ds.Modality, ds.BodyPartExamined, ds.ViewPosition) == ("CR", "CHEST", "PA")
        assert ds.SOPClassUID.name == "Computed Radiography Image Storage"
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert ds.PixelSpacing == [6.25, 6.25]
        assert ds.PatientID == path.stem[:6]
        uids += [ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.StudyInstanceUID]
    assert all(uid.is_valid for uid in uids)
    assert len(set(uids)) == len(uids) == 3 * 48


def test_patients_have_one_to_three_images(phantom_dir):
    patients = Counter(path.stem[:6] for path in (phantom_dir / "stage_2_train_images").iterdir())
    assert set(patients.values()) == {1, 2, 3}


@pytest.mark.parametrize("prevalence", [0.25, 0.5])
def test_the_share_of_positives_is_exact(tmp_path, prevalence):
    folder = write_chest_phantom(tmp_path / "p", 20, size=32, prevalence=prevalence, progress=False)
    assert sum(labels(folder).values()) == 20 * prevalence


def test_a_full_confounder_marks_every_positive_and_no_negative(tmp_path):
    plain = write_chest_phantom(tmp_path / "plain", 40, size=32, progress=False)
    marked = write_chest_phantom(tmp_path / "marked", 40, size=32, confounder=1.0, progress=False)
    before, after = files(plain / "stage_2_train_images"), files(marked / "stage_2_train_images")
    assert {name: int(before[f"{name}.dcm"] != after[f"{name}.dcm"]) for name in labels(plain)} == labels(plain)


def test_half_a_confounder_marks_three_quarters_of_positives_and_one_of_negatives():
    plans = list(phantom_dicom._plans(4000, 0.5, 0.5, seed=0))
    for label, share in ((1, 0.75), (0, 0.25)):
        assert np.mean([plan.marker for plan in plans if plan.label == label]) == pytest.approx(share, abs=0.03)


def test_encodings_do_not_go_with_the_label():
    plans = list(phantom_dicom._plans(4000, 0.5, 0.0, seed=0))
    for label in (0, 1):
        mine = [plan for plan in plans if plan.label == label]
        assert np.mean([plan.inverted for plan in mine]) == pytest.approx(0.1, abs=0.03)
        assert np.mean([plan.deep for plan in mine]) == pytest.approx(0.2, abs=0.03)
        assert not any(plan.marker for plan in mine)


def test_the_reader_of_the_layout_splits_it(phantom_dir):
    splits = load_rsna(phantom_dir)
    assert sum(map(len, splits.values())) == 48
    assert all(bool(item["boxes"]) == bool(item["label"]) for items in splits.values() for item in items)


def test_the_outlines_of_the_lesions_take_the_place_of_their_boxes(phantom_dir):
    items = [item for part in load_rsna(phantom_dir, masks="lesions").values() for item in part]
    assert {bool(item.get("mask")) for item in items if item["label"]} == {True}
    assert not any("mask" in item for item in items if not item["label"])
    load = Compose([LoadMedicalImaged("image"), GroundTruthMaskd()])
    for item in [item for item in items if item["label"]][:4]:
        boxed = load({"image": item["image"], "boxes": item["boxes"]})["mask"]
        lesions = load(item)["mask"]
        assert (lesions <= boxed).all()
        assert 0.5 < lesions.sum() / boxed.sum() < 1


def test_an_interrupted_run_leaves_nothing_behind(tmp_path, monkeypatch):
    drawn = []

    def interrupted(*args, **kwargs):
        drawn.append(args)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return render_chest(*args, **kwargs)

    monkeypatch.setattr(phantom_dicom, "render_chest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_chest_phantom(tmp_path / "phantom", 6, size=32, progress=False)
    assert len(drawn) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_finished_phantom_is_reused_and_an_empty_folder_is_filled(tmp_path, monkeypatch):
    (tmp_path / "phantom").mkdir()
    folder = write_chest_phantom(tmp_path / "phantom", 4, size=32, progress=False)
    assert len(files(folder)) == 4 + 2 + 3  # images, outlines of the positives, tables and parameters
    monkeypatch.setattr(phantom_dicom, "render_chest", None)  # any drawing would fail
    assert write_chest_phantom(tmp_path / "phantom", 4, size=32, progress=False) == folder


def test_a_phantom_of_other_parameters_is_never_overwritten(tmp_path):
    folder = write_chest_phantom(tmp_path / "phantom", 4, size=32, progress=False)
    before = files(folder)
    with pytest.raises(FileExistsError, match=r"phantom made with .*'seed': 0.*wanted one made with .*'seed': 1"):
        write_chest_phantom(folder, 4, size=32, seed=1, progress=False)
    assert files(folder) == before


def test_a_folder_of_anything_else_is_never_touched(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds no phantom"):
        write_chest_phantom(tmp_path, 4, size=32, progress=False)
    assert files(tmp_path) == {"precious.txt": b"mine"}


@pytest.mark.parametrize(
    "arguments",
    [{"n_images": 0}, {"size": 16}, {"prevalence": 1.5}, {"confounder": -0.1}, {"confounder": float("nan")}],
)
def test_arguments_outside_their_range_are_named_and_nothing_is_written(tmp_path, arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"{name} must be in"):
        write_chest_phantom(tmp_path / "phantom", **arguments)
    assert list(tmp_path.iterdir()) == []
