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

"""Speed of explanation methods, or of backends, side by side, whatever the weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.networks.nets import resnet50
from torch import Tensor
from tqdm import tqdm

from monai_advexplain.benchmark.command import check_methods, config_files
from monai_advexplain.explainers import Explainer
from monai_advexplain.inferers import BACKENDS, on_backend
from monai_advexplain.networks import freeze

PAPER = ("proposed", "naive", "gradient", "gradcam", "bbmp", "mask_generator")


def _configs(bundle_root: str | Path) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(config_files(bundle_root))
    return parser


def bundle_methods(
    bundle_root: str | Path, classifier: torch.nn.Module, methods: Sequence[str]
) -> dict[str, Explainer]:
    """Methods of a bundle's ``compare.json`` around another classifier, their networks untrained.

    Args:
        bundle_root: folder of the bundle.
        classifier: images (B, C, *spatial) -> logits (B, 1).
        methods: their names.

    Returns:
        Name -> explainer.

    Raises:
        FileNotFoundError: when the bundle has no ``compare.json``.
        ValueError: when it has no method of a name.
    """
    parser = _configs(bundle_root)
    check_methods(methods, parser["methods"])
    parser["frozen"] = parser["classifier"] = freeze(classifier)
    parser["decision"] = {"_target_": "monai_advexplain.Decision"}  # of that classifier, whatever the bundle's has
    parser["device"] = torch.device("cpu")
    parser["gate_network"] = classifier  # a gate that is a copy of the classifier takes the classifier's time
    parser["network"] = "@network_def"
    parser["naive_network"] = "@naive_network_def" if "naive_network_def" in parser else "@network_def"
    parser["mask_generator"] = {
        "_target_": "monai_advexplain.explainers.MaskGeneratorExplainer",
        "network": "@mask_generator_def",
    }
    return {name: parser.get_parsed_content(f"methods#{name}") for name in methods}


def measure_speed(
    bundle_root: str | Path,
    size: int = 224,
    methods: Sequence[str] = PAPER,
    repeats: int = 20,
    seconds_each: float = 60.0,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Time the methods of a bundle on a ResNet-50, one image of one channel at a time, on the CPU.

    The image has as many spatial dimensions as the bundle's network. All networks have random weights, on which time
    does not depend. Every method runs once before it is timed; then the methods run in turns, in random order, and each
    is compared with the reference of the same turn.

    Args:
        bundle_root: folder of the bundle.
        size: columns, rows and slices of the image.
        methods: names in the bundle's ``compare.json``; the first is the reference.
        repeats: turns.
        seconds_each: a method that has taken as long drops out of further turns (it has one at least).
        seed: of weights, image and order.

    Returns:
        A row for each method: ``method``, ``size``, ``ms`` (median), ``ratio`` (median over the turns), ``low`` and
        ``high`` (the lowest and highest ratio of a turn), ``turns``.

    Raises:
        FileNotFoundError, ValueError: see :func:`bundle_methods`.
    """
    dims = _configs(bundle_root)["network_def"]["spatial_dims"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = resnet50(spatial_dims=dims, n_input_channels=1, num_classes=1)
        explainers = bundle_methods(bundle_root, classifier, methods)
        image = torch.rand(1, 1, *(size,) * dims)
    return _in_turns(explainers, image, repeats, seconds_each, seed)


@torch.no_grad()
def measure_backends(
    bundle_root: str | Path,
    size: int = 224,
    backends: Sequence[str] = BACKENDS,
    repeats: int = 20,
    seconds_each: float = 60.0,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Time the backends of a bundle's explainer, one map at a time, on the CPU; see :func:`measure_speed`.

    Args:
        bundle_root: folder of the bundle; its weights are not needed.
        size: columns, rows and slices of the image.
        backends: names, of which the first is the reference, see :func:`~monai_advexplain.inferers.on_backend`.
        repeats: turns.
        seconds_each: a backend that has taken as long drops out of further turns.
        seed: of weights, image and order.

    Returns:
        Rows as :func:`measure_speed` returns them.

    Raises:
        ValueError: when a backend is unknown or not installed, or the network refuses images of ``size``.
    """
    parser = ConfigParser()
    parser.read_config(str(Path(bundle_root) / "configs" / "inference.json"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = parser.get_parsed_content("network_def").eval()
        image = torch.rand(1, network.channels, *(size,) * network.spatial_dims)
    with TemporaryDirectory() as folder:
        networks = {backend: on_backend(network, backend, folder) for backend in backends}
        return _in_turns(networks, image, repeats, seconds_each, seed)


def _in_turns(
    makers: Mapping[str, Callable[[Tensor], Any]], image: Tensor, repeats: int, seconds_each: float, seed: int
) -> list[dict[str, Any]]:
    """Rows of :func:`measure_speed`, of functions of the image."""
    methods = list(makers)
    order = np.random.default_rng(seed)
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    spent = dict.fromkeys(methods, 0.0)
    with tqdm(total=(repeats + 1) * len(methods), desc="speed", unit="map") as bar:
        for turn in range(-1, repeats):
            for position in order.permutation(len(methods)):
                name = methods[position]
                if len(seconds[name]) < 1 or spent[name] < seconds_each:
                    bar.set_postfix_str(name)
                    start = time.perf_counter()
                    makers[name](image)
                    took = time.perf_counter() - start
                    spent[name] += took
                    if turn >= 0:
                        seconds[name].append(took)
                bar.update()
    reference = seconds[methods[0]]
    rows = []
    for name, taken in seconds.items():
        ratios = [one / other for one, other in zip(taken, reference, strict=False)]
        rows.append(
            {
                "method": name,
                "size": list(image.shape[2:]),
                "ms": 1000 * median(taken),
                "ratio": median(ratios),
                "low": min(ratios),
                "high": max(ratios),
                "turns": len(ratios),
            }
        )
    return rows


def speed_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows of :func:`measure_speed` in Markdown."""
    lines = [f"| method | ms | ratio to {rows[0]['method']} | lowest - highest | turns |", "|---|---|---|---|---|"]
    for row in rows:
        bounds = f"{row['low']:.2f} - {row['high']:.2f}"
        lines.append(f"| {row['method']} | {row['ms']:.1f} | {row['ratio']:.2f} | {bounds} | {row['turns']} |")
    return "\n".join(lines)
