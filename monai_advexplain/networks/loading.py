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

"""Networks from files, checked before they are used: weights, and classifiers in whatever form they come."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.export.pt2_archive import is_pt2_package

from monai_advexplain.networks.exported import ExportedNetwork
from monai_advexplain.networks.frozen import freeze

_CONFIGS = tuple(f"{stem}{suffix}" for stem in ("inference", "train") for suffix in (".json", ".yaml", ".yml"))


def load_weights(path: str | Path, network: nn.Module) -> nn.Module:
    """Load a state dict into a network, all of it or none.

    Args:
        path: state dict saved with ``torch.save``, plain or under the key ``model``, ``state_dict`` or ``network``.
        network: the network that the weights belong to, changed in place.

    Returns:
        ``network``.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it holds no state dict, or one that does not fit: the message names the first missing,
            unexpected and differently shaped entries.
    """
    path = _existing(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:
        raise ValueError(f"{path} cannot be read as a state dict of tensors ({type(e).__name__}).") from e
    for key in ("model", "state_dict", "network"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds a {type(state).__name__}, wanted a state dict.")
    wanted = network.state_dict()
    problems = [f"missing {name}" for name in wanted if name not in state]
    problems += [f"unexpected {name}" for name in state if name not in wanted]
    for name in (name for name in wanted if name in state):
        found, shape = state[name], tuple(wanted[name].shape)
        if not isinstance(found, torch.Tensor):
            problems.append(f"{name} is a {type(found).__name__}, wanted a tensor of shape {shape}")
        elif tuple(found.shape) != shape:
            problems.append(f"{name} has shape {tuple(found.shape)}, wanted {shape}")
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(
            f"the weights in {path} do not fit {type(network).__name__}: {'; '.join(problems[:3])}{more}. "
            "Is the network defined as it was when it was trained?"
        )
    network.load_state_dict(state)
    return network


def load_classifier(path: str | Path, network: nn.Module | None = None) -> nn.Module:
    """The frozen classifier to explain, on the CPU.

    Args:
        path: one of

            * a state dict that fits ``network`` (see :func:`load_weights`);
            * without a ``network``, a TorchScript file or a program saved with ``torch.export.save``
              (see :class:`~monai_advexplain.networks.ExportedNetwork`);
            * the folder of a MONAI bundle: ``models/model.pt`` with the ``network_def`` of its ``configs/inference`` or
              ``configs/train`` file (or with ``network``), else ``models/model.ts``. Configs and the bundle's own
              Python modules are code that runs: load what you trust.
        network: the architecture; None where the file brings its own.

    Returns:
        The module in eval mode, its parameters without gradients.

    Raises:
        FileNotFoundError: when there is no such file, or no weights in the bundle.
        ValueError: when it is none of these, or the weights do not fit.
    """
    if Path(path).is_dir():
        return _from_bundle(Path(path), network)
    if network is not None:
        return freeze(load_weights(path, network))
    path = _existing(path)
    if is_pt2_package(str(path)):
        return freeze(_exported(path))
    try:
        return freeze(torch.jit.load(str(path), map_location="cpu"))
    except RuntimeError as e:
        raise ValueError(
            f"{path} is not a TorchScript file or an exported program; to load a state dict, declare the network that "
            "it belongs to."
        ) from e


def _exported(path: Path) -> ExportedNetwork:
    try:
        program = torch.export.load(str(path))
    except Exception as e:
        raise ValueError(f"{path} cannot be read as an exported program by torch {torch.__version__}: {e}") from e
    return ExportedNetwork(program, str(path))


def _from_bundle(bundle: Path, network: nn.Module | None) -> nn.Module:
    weights, scripted = bundle / "models" / "model.pt", bundle / "models" / "model.ts"
    if weights.is_file():
        return freeze(load_weights(weights, _network_def(bundle) if network is None else network))
    if scripted.is_file() and network is None:
        return load_classifier(scripted)
    wanted = "models/model.pt or models/model.ts" if network is None else "models/model.pt"
    raise FileNotFoundError(f"no weights in the bundle {bundle}: wanted {wanted}.")


def _network_def(bundle: Path) -> nn.Module:
    """The untrained network that a bundle's config describes."""
    from monai.bundle import ConfigParser  # seconds to import

    found = next((config for name in _CONFIGS if (config := bundle / "configs" / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no config in the bundle {bundle}: wanted configs/inference.json, train.json or YAML.")
    parser = ConfigParser()
    parser.read_config(str(found))
    if (metadata := found.with_name("metadata.json")).is_file():
        parser.read_meta(str(metadata))
    parser["bundle_root"] = str(bundle)
    if "network_def" not in parser:
        raise ValueError(f"{found} has no entry network_def; load the bundle's weights with a network of your own.")
    with _importable(bundle):
        try:
            network = parser.get_parsed_content("network_def")
        except Exception as e:
            reason: BaseException = e
            while reason.__cause__ is not None:
                reason = reason.__cause__
            raise ValueError(f"the network_def in {found} cannot be built: {reason}") from e
    if not isinstance(network, nn.Module):
        raise ValueError(f"the network_def in {found} is a {type(network).__name__}, wanted a network.")
    return network


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """A bundle's own modules (``scripts.net``) are found in its folder, as MONAI's workflows do it."""
    sys.path.insert(1, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}: train them first, or name another file.")
    return path
