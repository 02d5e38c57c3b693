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

"""The command explain: what goes in, what comes out, what happens to inputs that fail, and where maps lie."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
import requests
from PIL import Image

import monai_advexplain
from monai_advexplain.__main__ import main
from tests.dicom.sources import mr_series, radiograph, rotation
from tests.orthanc import free_port, orthanc
from tests.tiny_bundle import tiny_bundle

NIFTI = ("explanation", "similar", "adversarial")
SHAPE = (30, 36, 12)
BUMP = (11, 25, 4)  # voxel


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="module")
def flat_bundle(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "flat", dims=2)


def oblique_affine(left_handed=False) -> np.ndarray:
    """Voxels of 1.5 x 1.0 x 4.0 mm, turned, with axes that run against RAS."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(0.3, -0.2, 0.4) @ np.diag([-1.5, 1.0 if left_handed else -1.0, 4.0])
    affine[:3, 3] = (31.0, 20.5, -14.0)
    return affine


def write_volume(path: Path, affine=None, channels=1) -> Path:
    """A dim volume with a bump of 4 mm at BUMP."""
    affine = oblique_affine() if affine is None else affine
    voxels = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    distance = np.linalg.norm((voxels - BUMP) @ affine[:3, :3].T, axis=-1)
    image = 100.0 * np.exp(-0.5 * (distance / 4.0) ** 2) + np.random.default_rng(0).uniform(0, 5, SHAPE)
    path.parent.mkdir(parents=True, exist_ok=True)
    several = np.stack([image * (i + 1) for i in range(channels)], -1)
    nib.save(nib.Nifti1Image((several if channels > 1 else image).astype(np.float32), affine), path)
    return path


def explain(*arguments) -> int:
    return main(["explain", *map(str, arguments)])


def lines_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("left_handed", [False, True])
def test_the_map_lies_in_the_inputs_own_grid_whatever_the_networks(bundle, tmp_path, left_handed):
    source = write_volume(tmp_path / "scan.nii.gz", oblique_affine(left_handed))
    assert explain(source, "--bundle", bundle, "--output", tmp_path / "out", "--formats", "nifti") == 0
    affine = nib.load(source).affine
    for role in NIFTI:
        file = nib.load(tmp_path / "out" / f"scan_{role}.nii.gz")
        assert file.shape == SHAPE
        np.testing.assert_allclose(file.affine, affine, atol=1e-4)
    heat = nib.load(tmp_path / "out" / "scan_explanation.nii.gz").get_fdata()
    core = np.argwhere(heat > 0.5 * heat.max())
    centre = np.average(core, axis=0, weights=heat[tuple(core.T)])
    missed = affine[:3, :3] @ (centre - BUMP)
    assert np.linalg.norm(missed) < 0.1  # mm, of voxels of 1.5 x 1 x 4 mm seen on a grid of 2 mm


def test_volumes_of_several_channels_are_explained(tmp_path):
    bundle = tiny_bundle(tmp_path / "bundle", channels=2)
    source = write_volume(tmp_path / "scan.nii", channels=2)
    assert explain(source, "--bundle", bundle, "--output", tmp_path / "out") == 0
    assert nib.load(tmp_path / "out" / "scan_explanation.nii.gz").shape == SHAPE
    assert nib.load(tmp_path / "out" / "scan_similar.nii.gz").shape == (*SHAPE, 2)


@pytest.fixture
def folder(tmp_path):
    """Two volumes of one name, and what cannot be explained."""
    write_volume(tmp_path / "data" / "a" / "scan.nii.gz")
    write_volume(tmp_path / "data" / "b" / "scan.nii.gz")
    (tmp_path / "data" / "a" / "text.nii.gz").write_text("no image")
    Image.new("L", (20, 20)).save(tmp_path / "data" / "flat.png")
    return tmp_path / "data"


def test_a_bad_file_is_told_of_at_the_end_and_the_others_are_explained(bundle, folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert explain(folder, "--bundle", bundle, "--output", out) == 1
    printed = capsys.readouterr()
    lines = lines_of(printed.out)
    assert printed.out == (out / "results.jsonl").read_text()
    wanted = ["a/scan.nii.gz", "a/text.nii.gz", "b/scan.nii.gz", "flat.png"]
    assert [line["input"] for line in lines] == [str(folder / name) for name in wanted]
    good = [line for line in lines if "error" not in line]
    assert [line["explanation"] for line in good] == ["scan_explanation.nii.gz", "scan_2_explanation.nii.gz"]
    for line in good:
        assert line["decision"] is (line["probability"] > 0.5)
        assert {"probability_similar", "probability_adversarial", "flipped", "preserved"} < line.keys()
    files = {line[role] for line in good for role in (*NIFTI, "overlay")}
    assert names(out) == files | {"results.jsonl"}
    *progress, told, first, second = printed.err.splitlines()
    assert [line.split(" ")[0] for line in progress] == ["1/4", "2/4", "3/4", "4/4"]
    assert told == "2 of 4 inputs failed:"
    assert first.startswith(f"  {folder / 'a' / 'text.nii.gz'}: {lines[1]['error']}")
    assert "2 spatial dimensions found" in second
    assert "wanted 3" in second


def test_the_command_and_python_give_the_same(bundle, tmp_path):
    source = write_volume(tmp_path / "scan.nii.gz")
    assert explain(source, "--bundle", bundle, "--output", tmp_path / "out", "--formats", "nifti") == 0
    result = monai_advexplain.load(bundle)(source)
    for role, image in zip(NIFTI, (result.map, result.similar, result.adversarial), strict=True):
        written = nib.load(tmp_path / "out" / f"scan_{role}.nii.gz").get_fdata(dtype=np.float32)
        np.testing.assert_allclose(image[0].numpy(), written, atol=1e-6)
    (line,) = lines_of((tmp_path / "out" / "results.jsonl").read_text())
    assert result.scores() == {name: line[name] for name in result.scores()}
    assert line.keys() - result.scores().keys() == set(NIFTI)
    np.testing.assert_array_equal(result.image[0].numpy(), nib.load(source).get_fdata(dtype=np.float32))


def test_a_datalist_is_read_beside_itself_and_what_it_lists_in_vain_is_told(bundle, folder, tmp_path, capsys):
    datalist = folder / "datalist.json"
    sections = {
        "name": "two scans",
        "training": [{"image": "b/scan.nii.gz", "label": 1}],
        "validation": [],
        "test": ["./a/scan.nii.gz", "a/gone.nii.gz"],
    }
    datalist.write_text(json.dumps(sections))
    assert explain(datalist, "--bundle", bundle, "--output", tmp_path / "out", "--formats", "png") == 1
    lines = lines_of(capsys.readouterr().out)
    wanted = ["b/scan.nii.gz", "a/scan.nii.gz", "a/gone.nii.gz"]
    assert [line["input"] for line in lines] == [str(folder / name) for name in wanted]
    assert ["error" in line for line in lines] == [False, False, True]
    assert names(tmp_path / "out") == {
        "scan_overlay.png",
        "scan_2_overlay.png",
        "results.jsonl",
    }


def test_results_are_lost_only_when_asked_and_are_no_input(bundle, folder, capsys):
    for name in ("a/text.nii.gz", "flat.png"):
        (folder / name).unlink()
    arguments = (folder, "--bundle", bundle, "--output", folder / "out", "--formats", "nifti")
    assert explain(*arguments) == 0
    first = capsys.readouterr().out
    assert explain(*arguments) == 2
    assert capsys.readouterr().err == (
        f"error: {folder / 'out' / 'results.jsonl'} exists: add --overwrite to lose it, or name another --output.\n"
    )
    assert (folder / "out" / "results.jsonl").read_text() == first
    (folder / "out" / "scan_explanation.nii.gz").write_bytes(b"spoilt")
    assert explain(*arguments, "--overwrite") == 0
    assert capsys.readouterr().out == first
    assert nib.load(folder / "out" / "scan_explanation.nii.gz").shape == SHAPE


def test_a_file_that_would_be_replaced_fails_unless_asked_for(bundle, tmp_path, capsys):
    source = write_volume(tmp_path / "scan.nii.gz")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scan_similar.nii.gz").write_bytes(b"of somebody")
    assert explain(source, "--bundle", bundle, "--output", tmp_path / "out") == 1
    assert "scan_similar.nii.gz exists" in lines_of(capsys.readouterr().out)[0]["error"]
    assert names(tmp_path / "out") == {"scan_similar.nii.gz", "results.jsonl"}
    assert (tmp_path / "out" / "scan_similar.nii.gz").read_bytes() == b"of somebody"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["--formats", "nifti,jpeg"],
            "formats: unknown format 'jpeg'; known: nifti, png, dicom-pm, dicom-seg, dicom-sc",
        ),
        (["--formats", ""], "formats: unknown format ''"),
        (["--threshold", "high"], "threshold must be a value of the map from 0, or a share between 0% and 100%"),
        (["--threshold", "100%"], "got '100%'"),
        (["--set", "device"], "--set takes KEY=VALUE, got 'device'"),
        (["--set", "model_path=none.pt"], "no weights at none.pt"),
        (["--bundle", "nowhere"], "nowhere is not a bundle of this package"),
        (["--formats", "png,dicom-seg"], "scan.nii.gz: not DICOM"),
    ],
)
def test_what_cannot_work_is_said_in_one_line_before_anything_is_written(bundle, tmp_path, capsys, given, said):
    source = write_volume(tmp_path / "scan.nii.gz")
    assert explain(source, "--bundle", bundle, "--output", tmp_path / "out", *given) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert said in printed.err
    assert len(printed.err.splitlines()) == 1
    assert printed.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.nii.gz", None, "no image file or folder at"),
        ("broken.json", '{"training": [', "not valid JSON"),
        ("empty.json", '{"training": []}', 'no entry with "image" found'),
        ("list.json", '["a.nii.gz"]', 'no entry with "image" found'),
        ("folder/readme.txt", "no image", "no image in"),
    ],
)
def test_an_input_that_holds_no_image_is_said_before_anything_is_written(bundle, tmp_path, capsys, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    given = path.parent if "/" in name else path
    assert explain(given, "--bundle", bundle, "--output", tmp_path / "out") == 2
    assert f"{given}" in (printed := capsys.readouterr().err)
    assert said in printed
    assert not (tmp_path / "out").exists()


def test_an_entry_of_the_config_can_be_set(bundle, tmp_path, capsys):
    source = write_volume(tmp_path / "scan.nii.gz")
    given = ("--set", "decision#threshold=0.99", "--formats", "nifti")
    assert explain(source, "--bundle", bundle, "--output", tmp_path / "out", *given) == 0
    (line,) = lines_of(capsys.readouterr().out)
    assert 0.5 < line["probability"] < 0.99
    assert line["decision"] is False


def test_a_series_comes_back_in_every_format_of_its_study(bundle, tmp_path, capsys):
    source = mr_series(tmp_path / "head")
    given = ("--formats", "nifti,png,dicom-pm,dicom-seg,dicom-sc", "--threshold", "10%")
    assert explain(tmp_path / "head", "--bundle", bundle, "--output", tmp_path / "out", *given) == 0
    (line,) = lines_of(capsys.readouterr().out)
    written = {role: tmp_path / "out" / name for role, name in line.items() if name in names(tmp_path / "out")}
    assert written.keys() == {*NIFTI, "overlay", "parametric_map", "segmentation", "secondary_capture"}
    assert {path.name.split("_")[0] for path in written.values()} == {"head"}
    file = nib.load(written["explanation"])
    np.testing.assert_allclose(file.affine, source.image.affine.numpy(), atol=1e-3)
    heat = file.get_fdata()

    parametric = hd.imread(written["parametric_map"])
    assert parametric.StudyInstanceUID == source.first.StudyInstanceUID
    volume = parametric.get_volume()
    corners = np.array([(0, 0, 0), (heat.shape[0] - 1, 2, 3), (1, heat.shape[1] - 1, 0)])
    millimetres = nib.affines.apply_affine(np.diag([-1, -1, 1, 1]) @ file.affine, corners)
    indices = np.rint(nib.affines.apply_affine(np.linalg.inv(volume.affine), millimetres)).astype(int)
    np.testing.assert_allclose(volume.array[tuple(indices.T)], heat[tuple(corners.T)], atol=1e-6)

    segmentation = hd.seg.segread(written["segmentation"])
    assert 0 < segmentation.pixel_array.sum() <= 0.1 * heat.size
    captures = sorted(written["secondary_capture"].iterdir())
    assert [pydicom.dcmread(path).InstanceNumber for path in captures] == [1, 2, 3, 4]


def test_dicom_results_of_what_is_not_dicom_fail_before_work_and_the_rest_goes_on(flat_bundle, tmp_path, capsys):
    (file,) = radiograph(tmp_path / "data").files
    Image.new("L", (20, 20)).save(tmp_path / "data" / "a.png")
    given = ("--formats", "dicom-seg,dicom-sc", "--threshold", "0.2")
    assert explain(tmp_path / "data", "--bundle", flat_bundle, "--output", tmp_path / "out", *given) == 1
    printed = capsys.readouterr()
    said = f"{tmp_path / 'data' / 'a.png'}: not DICOM"
    assert printed.err.startswith(said)
    bad, good = sorted(lines_of(printed.out), key=lambda line: line["input"], reverse=True)
    assert bad["error"].startswith(said)
    assert good["input"] == str(file)
    stem = file.name.removesuffix(".dcm")
    assert names(tmp_path / "out") == {
        f"{stem}_segmentation.dcm",
        f"{stem}_secondary_capture.dcm",
        "results.jsonl",
    }


def test_the_files_of_a_series_can_be_given_in_python_in_any_order(bundle, tmp_path):
    source = mr_series(tmp_path / "head")
    explainer = monai_advexplain.load(bundle)
    result = explainer(source.files[::-1])
    np.testing.assert_allclose(result.map.affine, source.image.affine, atol=1e-3)
    np.testing.assert_allclose(result.image, source.image, atol=1e-3)
    assert result.input == str(source.files[-1])
    np.testing.assert_array_equal(explainer(tmp_path / "head").map, result.map)
    with pytest.raises(FileNotFoundError, match=r"no image at .*gone\.dcm"):
        explainer([*source.files, tmp_path / "gone.dcm"])
    with pytest.raises(FileNotFoundError, match="the list of files is empty"):
        explainer([])


def test_standard_output_of_the_process_is_json_and_nothing_else(bundle, tmp_path):
    source = write_volume(tmp_path / "scan.nii.gz")
    command = [sys.executable, "-m", "monai_advexplain", "explain", source, "--bundle", bundle, "--output", tmp_path]
    done = subprocess.run([*command, "--formats", "nifti"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line["input"] for line in lines_of(done.stdout)] == [str(source)]


def test_a_study_of_a_pacs_is_explained_and_the_results_are_stored_in_it(bundle, tmp_path, capsys):
    files, _ = mr_series(tmp_path / "series")
    study, series = pydicom.dcmread(files[0]).StudyInstanceUID, pydicom.dcmread(files[0]).SeriesInstanceUID
    (tmp_path / "orthanc").mkdir()
    with orthanc(tmp_path / "orthanc", files) as url:
        study_there = ["--from-dicomweb", f"{url}/dicom-web", "--study", study]
        common = ["explain", *study_there, "--bundle", str(bundle), "--output", str(tmp_path / "out"), "--store"]
        assert main(common) == 2
        assert "no DICOM format to store among nifti, png" in capsys.readouterr().err
        assert main([*common, "--formats", "dicom-seg,dicom-sc"]) == 0
        (line,) = map(json.loads, capsys.readouterr().out.splitlines())
        captures = list((tmp_path / "out" / line["secondary_capture"]).iterdir())
        found = requests.get(f"{url}/dicom-web/studies/{study}/instances", timeout=10).json()
    assert len(captures) == len(files)
    assert len(found) == len(files) + 1 + len(captures)
    segmentation = pydicom.dcmread(tmp_path / "out" / line["segmentation"])
    assert segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID == series


def test_a_service_that_does_not_answer_and_half_a_request_are_told_of_in_one_line(bundle, tmp_path, capsys):
    common = ["explain", "--bundle", str(bundle), "--output", str(tmp_path / "out")]
    nowhere = f"http://127.0.0.1:{free_port()}/dicom-web"
    for more, said in (
        ([], "either an INPUT or --from-dicomweb"),
        ([str(tmp_path), "--study", "1.2"], "belong together"),
        (["--from-dicomweb", nowhere], "belong together"),
        (["--from-dicomweb", nowhere, "--study", "1.2"], f"{nowhere}: no DICOMweb service answers"),
        (["--from-dicomweb", nowhere, "--study", "abc"], "'abc' is no DICOM UID"),
    ):
        assert main([*common, *more]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
