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

"""Exported files of the bundles give the package's images: elsewhere, as backends of ``load``, in MONAI Deploy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import monai.bundle
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.utils import first
from PIL import Image

import monai_advexplain
from monai_advexplain.__main__ import main
from monai_advexplain.explanation import Explanation
from monai_advexplain.inferers import WindowPairInferer
from monai_advexplain.inferers.backends import BACKENDS, TOLERANCE, on_backend
from tests import small
from tests.bundles.untrained import FLAT, untrained_copy

SHAPES = ((1, 1, 96, 64), (3, 1, 64, 160), (2, 1, 224, 96))  # among them odd multiples of 32
DYNAMIC = {"input_names": ["image"], "output_names": ["pred"], "dynamic_axes": {"image": [0, 2, 3]}}
RUNTIMES = ("torch.jit", "torch.export", "onnxruntime", "openvino", "openvino IR")
ELSEWHERE = """
import sys
from pathlib import Path
import numpy as np, onnxruntime, openvino, torch

f32 = {"INFERENCE_PRECISION_HINT": "f32"}
for root in map(Path, sys.argv[1:]):
    models = root / "models"
    with np.load(root / "images.npz") as file:
        images = [file[name] for name in file.files]
    script = torch.jit.load(str(models / "model.ts"))
    program = torch.export.load(str(models / "model.pt2")).module()
    session = onnxruntime.InferenceSession(str(models / "model.onnx"))
    core = openvino.Core()
    model = core.read_model(models / "model.onnx")
    openvino.save_model(model, models / "model.xml", compress_to_fp16=False)
    compiled = [core.compile_model(core.read_model(models / name), "CPU", f32) for name in ("model.onnx", "model.xml")]
    maps = {}
    with torch.no_grad():
        for i, image in enumerate(images):
            maps[f"torch.jit {i}"] = script(torch.from_numpy(image)).numpy()
            maps[f"torch.export {i}"] = program(torch.from_numpy(image)).numpy()
            maps[f"onnxruntime {i}"] = session.run(["pred"], {"image": image})[0]
            maps[f"openvino {i}"], maps[f"openvino IR {i}"] = (model(image)["pred"] for model in compiled)
    np.savez(root / "maps.npz", **maps)
assert "monai_advexplain" not in sys.modules and "monai" not in sys.modules
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> dict[str, Path]:
    """Both bundles, with every export that the docs name, run once where this package is not imported."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    roots = {}
    for name in FLAT:
        root = roots[name] = untrained_copy(name, tmp_path_factory.mktemp("exports"))
        configs, models = root / "configs", root / "models"
        files = {"ckpt_file": str(models / "model.pt"), "meta_file": str(configs / "metadata.json")}
        inference, deploy = (str(configs / f"{config}.json") for config in ("inference", "deploy"))
        monai.bundle.ckpt_export(
            "network_def", filepath=str(models / "model.ts"), config_file=[inference, deploy], **files
        )
        monai.bundle.onnx_export(
            "network_def",
            filepath=str(models / "model.onnx"),
            config_file=inference,
            input_shape=[2, 1, 64, 96],
            converter_kwargs={**DYNAMIC},
            **files,
        )
        size = torch.export.Dim.DYNAMIC
        program = torch.export.export(
            monai_advexplain.load(root, device="cpu").network,
            (torch.rand(2, 1, 64, 96),),
            dynamic_shapes=({0: size, 2: size, 3: size},),
        )
        torch.export.save(program, models / "model.pt2")
        random = np.random.default_rng(0)
        np.savez(root / "images.npz", *(random.random(shape, dtype=np.float32) for shape in SHAPES))
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *map(str, roots.values())],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return roots


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", FLAT)
def test_a_process_without_the_package_makes_the_packages_maps_of_any_batch_and_size(exported, name, runtime):
    root = exported[name]
    network = monai_advexplain.load(root, device="cpu").network
    with np.load(root / "images.npz") as images, np.load(root / "maps.npz") as maps, torch.no_grad():
        for i, image in enumerate(images.values()):
            wanted = network(torch.from_numpy(image)).numpy()
            assert wanted.max() > 0.01
            np.testing.assert_allclose(maps[f"{runtime} {i}"], wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", FLAT)
def test_the_torchscript_file_holds_metadata_and_configs(exported, name):
    wanted = {"metadata.json": "", "inference.json": "", "deploy.json": ""}
    torch.jit.load(str(exported[name] / "models" / "model.ts"), _extra_files=wanted)
    for config in ("inference", "deploy"):
        assert json.loads(wanted[f"{config}.json"]) == json.loads(
            (exported[name] / "configs" / f"{config}.json").read_text()
        )
    assert json.loads(wanted["metadata.json"])["name"]


def deployed(path: Path, image: np.ndarray) -> np.ndarray:
    """What MONAI Deploy's bundle operator does with a TorchScript file and an image (slices, rows, columns)."""
    parser = ConfigParser()
    with zipfile.ZipFile(path) as archive:
        configs = {name: json.loads(archive.read(f"model/extra/{name}.json")) for name in ("metadata", "deploy")}
    parser.read_meta(configs["metadata"])
    parser.read_config(configs["deploy"])
    before, inferer, after = (
        parser.get_parsed_content(name) for name in ("preprocessing", "inferer", "postprocessing")
    )
    item = before({"image": MetaTensor(torch.from_numpy(np.swapaxes(image, 0, 2).copy()))})
    with torch.no_grad():
        output = inferer(inputs=item["image"][None], network=torch.jit.load(str(path)).eval())
    pred = after({"pred": first(output), **item})["pred"]
    return np.swapaxes(np.squeeze(pred.numpy(), 0), 0, 2).astype(np.uint8)


def with_the_operator(path: Path, image: np.ndarray) -> np.ndarray:
    """The same by the operator itself, in an application of three operators."""
    bundle = pytest.importorskip("monai.deploy.operators.monai_bundle_inference_operator")
    from monai.deploy import core
    from monai.deploy.conditions import CountCondition
    from monai.deploy.core import AppContext, Application, IOType, Operator

    spacing = dict.fromkeys(("row_pixel_spacing", "col_pixel_spacing", "depth_pixel_spacing"), 1.0)
    received = []

    class Source(Operator):
        def setup(self, spec):
            spec.output("image")

        def compute(self, op_input, op_output, context):
            op_output.emit(core.Image(image, {**spacing, "nifti_affine_transform": np.eye(4)}), "image")

    class Sink(Operator):
        def setup(self, spec):
            spec.input("pred")

        def compute(self, op_input, op_output, context):
            received.append(op_input.receive("pred").asnumpy())

    class App(Application):
        def compose(self):
            explain = bundle.MonaiBundleInferenceOperator(
                self,
                app_context=AppContext({"model": str(path)}),
                input_mapping=[bundle.IOMapping("image", core.Image, IOType.IN_MEMORY)],
                output_mapping=[bundle.IOMapping("pred", core.Image, IOType.IN_MEMORY)],
                bundle_config_names=bundle.BundleConfigNames(config_names=["deploy"]),
                bundle_path=path,
                name="explain",
            )
            self.add_flow(Source(self, CountCondition(self, 1), name="source"), explain, {("image", "image")})
            self.add_flow(explain, Sink(self, name="sink"), {("pred", "pred")})

    App([]).run()
    return received[0]


@pytest.mark.parametrize("deploy", [deployed, with_the_operator])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_monai_deploy_gets_the_map_as_whole_numbers_up_to_255(exported, deploy, dtype):
    root = exported[FLAT[1]]
    image = np.random.default_rng(0).integers(0, 255, (1, 50, 45)).astype(dtype)
    pred = deploy(root / "models" / "model.ts", image)
    loaded = torch.from_numpy(np.swapaxes(image, 0, 2)[None, ..., 0].astype(np.float32))
    wanted = monai_advexplain.load(root, device="cpu")(loaded).map.numpy()
    assert pred.shape == image.shape
    assert pred.max() > 10
    np.testing.assert_allclose(pred[0].T, 255 * wanted[0], rtol=0, atol=0.5 + 255 * TOLERANCE)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(1, 70, 45, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def by_torch(exported, image) -> Explanation:
    return monai_advexplain.load(exported[FLAT[0]], device="cpu")(image)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_gives_the_same_images_and_scores(exported, by_torch, image, backend):
    explainer = monai_advexplain.load(exported[FLAT[0]], backend=backend, device="cpu")
    if backend in ("onnx", "openvino"):
        assert "monai_advexplain.inferers.backends" in type(explainer.network).__module__
    explanation = explainer(image)
    assert by_torch.map.max() > 0.01
    for name in ("map", "similar", "adversarial"):
        torch.testing.assert_close(getattr(explanation, name), getattr(by_torch, name), rtol=0, atol=TOLERANCE)
    for name, score in by_torch.scores().items():
        assert explanation.scores()[name] == pytest.approx(score, abs=TOLERANCE)


def test_a_backend_makes_windows_too_and_refuses_what_the_network_refuses(exported):
    networks = [monai_advexplain.load(exported[FLAT[0]], backend=b, device="cpu").network for b in ("torch", "onnx")]
    images = torch.rand(2, 1, 96, 128, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        pairs = [WindowPairInferer((64, 64), sw_batch_size=3)(images, network) for network in networks]
    torch.testing.assert_close(pairs[1].adversarial, pairs[0].adversarial, rtol=0, atol=TOLERANCE)
    with pytest.raises(ValueError, match=r"multiple of 32; got shape \[2, 1, 96, 100\]"):
        networks[1](images[..., :100])


def test_the_command_takes_the_backend_and_keeps_the_file(exported, tmp_path, capsys):
    root = exported[FLAT[1]]
    file = root / "models" / "explainer.ts"
    assert not file.exists()
    pixels = np.random.default_rng(0).integers(0, 255, (50, 45)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    arguments = ["explain", str(tmp_path / "image.png"), "--bundle", str(root), "--formats", "nifti"]
    scores = []
    for backend in ("torch", "torchscript"):
        assert main([*arguments, "--output", str(tmp_path / backend), "--backend", backend]) == 0
        scores.append(json.loads(capsys.readouterr().out))
    assert file.is_file()
    assert scores[1]["probability_adversarial"] == pytest.approx(scores[0]["probability_adversarial"], abs=TOLERANCE)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_volumes_have_backends_too(backend, tmp_path_factory):
    pytest.importorskip("onnxruntime" if backend == "onnx" else "openvino")
    network = small.trained_looking(small.explainer_net(dims=3)).eval()
    folder = tmp_path_factory.getbasetemp() / "volumes"  # one export for both
    images = small.images(dims=3)
    with torch.no_grad():
        torch.testing.assert_close(on_backend(network, backend, folder)(images), network(images), rtol=0, atol=1e-4)


def test_a_file_of_other_weights_is_refused(tmp_path):
    on_backend(small.trained_looking(small.explainer_net()), "torchscript", tmp_path)
    with pytest.raises(ValueError, match=r"explainer\.ts holds other weights than the network: 'similar' of a random"):
        on_backend(small.trained_looking(small.explainer_net(), seed=1), "torchscript", tmp_path)


@pytest.mark.parametrize(
    ("backend", "file"),
    [("torchscript", "explainer.ts"), ("onnx", "explainer.onnx"), ("openvino", "explainer.onnx")],
)
def test_a_damaged_file_is_named(tmp_path, backend, file):
    (tmp_path / file).write_bytes(b"cut")
    with pytest.raises(ValueError, match=rf"{file} cannot be run by {backend}; remove it to export it anew \(.+\)"):
        on_backend(small.explainer_net(), backend, tmp_path)


def test_an_unknown_backend_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"one of torch, torchscript, onnx, openvino, got 'tensorrt'"):
        on_backend(small.explainer_net(), "tensorrt", tmp_path)
