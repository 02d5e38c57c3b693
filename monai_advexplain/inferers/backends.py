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

"""An explainer on another runtime than PyTorch: TorchScript, ONNX Runtime or OpenVINO, the same images and maps."""

from __future__ import annotations

import copy
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from monai_advexplain.networks.explainer_net import ExplainerNet, GeneratedPair

BACKENDS = ("torch", "torchscript", "onnx", "openvino")
TOLERANCE = 1e-4  # of images in [0, 1]; float32 runtimes differ by some 1e-6
_FILES = {"torchscript": "explainer.ts", "onnx": "explainer.onnx", "openvino": "explainer.onnx"}
_NEEDS = {"onnx": ("onnxruntime",), "openvino": ("openvino",)}
_EXPORT_NEEDS = ("onnx", "onnxscript")
Runner: TypeAlias = Callable[[np.ndarray, Sequence[str]], Sequence[np.ndarray]]

logger = logging.getLogger(__name__)


class RuntimeNet(nn.Module):
    """An ExplainerNet whose images another runtime generates, on the CPU.

    Args:
        network: the ExplainerNet that was exported; it checks shapes and makes the map of a pair.
        run: image (B, C, *spatial) and names of outputs -> those outputs.
    """

    def __init__(self, network: ExplainerNet, run: Runner) -> None:
        super().__init__()
        self.network = network
        self.run = run
        self.kind: Any = type(network.generate(_sample(network)))

    def generate(self, image: Tensor) -> GeneratedPair:
        """The similar and the adversarial image of ``image`` (B, C, *spatial)."""
        self.network._check(image)  # ONNX cannot refuse a shape
        arrays = self.run(np.ascontiguousarray(image.detach().cpu().float().numpy()), self.kind._fields)
        return self.kind(*(torch.from_numpy(array).to(image.device) for array in arrays))

    def explain(self, image: Tensor, pair: GeneratedPair) -> Tensor:
        """The explanation map (B, 1, *spatial) of images already generated."""
        return self.network.explain(image, pair)

    def forward(self, image: Tensor) -> Tensor:
        """The explanation map (B, 1, *spatial) of ``image`` (B, C, *spatial)."""
        return self.explain(image, self.generate(image))


class _AllOutputs(nn.Module):
    """What an exported file returns: the map and all that the network generates."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        pair = self.network.generate(image)  # type: ignore[operator]
        return (self.network.explain(image, pair), *pair)  # type: ignore[operator]


@torch.no_grad()
def on_backend(network: ExplainerNet, backend: str, folder: str | os.PathLike) -> nn.Module:
    """The network as ``backend`` runs it, from a file in ``folder`` that is exported there when it is missing.

    A file that is there is used once it was seen to give what the network gives for a random image. The runtimes take
    as many threads as torch has, and compute in float32 (OpenVINO by default takes bfloat16 where the processor has it,
    which moves maps by some 0.04).

    Args:
        network: the ExplainerNet with its weights.
        backend: one of :data:`BACKENDS`; ``"torch"`` gives ``network`` back.
        folder: of ``explainer.ts`` (TorchScript) or ``explainer.onnx`` (ONNX Runtime and OpenVINO).

    Returns:
        A module with ``generate``, ``explain`` and forward as an ExplainerNet has them, without gradients but for
        TorchScript; ONNX Runtime and OpenVINO compute on the CPU wherever the image is.

    Raises:
        ValueError: for an unknown backend, one that is not installed, or a file that cannot be read or holds other
            weights.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}.")
    if backend == "torch":
        return network
    path = Path(folder) / _FILES[backend]
    _require(backend, _NEEDS.get(backend, ()))
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    network = copy.deepcopy(network).cpu().eval()
    if not path.is_file():
        logger.info("exporting the explainer to %s", path)
        path.parent.mkdir(parents=True, exist_ok=True)
        (export_torchscript if backend == "torchscript" else export_onnx)(network, path)
    try:
        loaded = (
            torch.jit.load(str(path), map_location="cpu")
            if backend == "torchscript"
            else RuntimeNet(network, {"onnx": _onnx_runner, "openvino": _openvino_runner}[backend](path))
        )
        generated = loaded.generate(_sample(network))
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ValueError(f"{path} cannot be run by {backend}; remove it to export it anew ({reason})") from error
    for name, wanted in network.generate(_sample(network))._asdict().items():
        difference = (getattr(generated, name) - wanted).abs().max().item()
        if not difference <= TOLERANCE * max(1.0, wanted.abs().max().item()):
            raise ValueError(
                f"{path} holds other weights than the network: {name!r} of a random image differs by {difference:.2g}, "
                f"wanted at most {TOLERANCE:g}. Remove the file to export it anew."
            )
    return loaded.to(device)


@torch.no_grad()
def export_torchscript(network: ExplainerNet, path: str | os.PathLike) -> None:
    """Write a network as TorchScript: forward gives the map, ``generate`` and ``explain`` are there too.

    Args:
        network: the ExplainerNet with its weights, on the CPU.
        path: file to write; it is there complete or not at all.
    """
    with _atomic(path) as temporary:
        torch.jit.save(torch.jit.script(network.eval()), str(temporary))


@torch.no_grad()
def export_onnx(network: ExplainerNet, path: str | os.PathLike) -> None:
    """Write a network as ONNX: input ``image``, outputs ``explanation`` and all that it generates, by their names.

    Batch and spatial sizes are dynamic. The file cannot refuse a size: multiples of the network's ``size_divisor`` give
    what the network gives, others are not defined.

    Args:
        network: the ExplainerNet with its weights, on the CPU.
        path: file to write; it is there complete or not at all.

    Raises:
        ValueError: when a package that the export needs is missing.
    """
    _require("onnx", _EXPORT_NEEDS)
    images = _sample(network)
    axes = dict.fromkeys((0, *range(2, images.ndim)), torch.export.Dim.DYNAMIC)
    with _atomic(path) as temporary:
        torch.onnx.export(
            _AllOutputs(network).eval(),
            (images,),
            temporary,
            input_names=["image"],
            output_names=["explanation", *network.generate(images)._fields],
            dynamic_shapes=(axes,),
            external_data=False,
            dynamo=True,
            verbose=False,
        )


@contextmanager
def _atomic(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well."""
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        temporary = Path(folder) / Path(path).name
        yield temporary
        os.replace(temporary, path)


def _onnx_runner(path: Path) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda image, names: session.run(names, {"image": image})


def _openvino_runner(path: Path) -> Runner:
    import openvino

    core = openvino.Core()
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    model = core.compile_model(core.read_model(path), "CPU", options)

    def run(image: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        results = model.create_infer_request().infer({"image": image})  # a request serves one thread at a time
        return [np.array(results[name]) for name in names]

    return run


def _sample(network: ExplainerNet) -> Tensor:
    """Two random images in [0, 1], small, of another size along every axis."""
    fewest = max(2, -(-16 // network.size_divisor))
    sizes = [network.size_divisor * (fewest + axis) for axis in range(network.spatial_dims)]
    return torch.rand(2, network.channels, *sizes, generator=torch.Generator().manual_seed(0))


def _require(backend: str, packages: Sequence[str]) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ValueError(
            f"backend {backend!r} needs {' and '.join(missing)}: pip install 'monai_advexplain[{backend}]'."
        )
