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

"""Weights from files, checked before they are used; classifiers frozen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn


def freeze(classifier: nn.Module) -> nn.Module:
    """Put a classifier in eval mode with no parameter that requires a gradient, in place, and return it."""
    for parameter in classifier.parameters():  # Module.requires_grad_ does not exist for TorchScript
        parameter.requires_grad_(False)
    return classifier.eval()


class Frozen(nn.Module):
    """A classifier as a part of a network that trains: it stays frozen, and in eval mode whatever the whole is in.

    Args:
        network: the classifier; frozen in place.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = freeze(network)

    def train(self, mode: bool = True) -> Frozen:
        """Stay in eval mode."""
        return super().train(False)

    def forward(self, image: Tensor) -> Tensor:
        """What the classifier returns for ``image``."""
        return self.network(image)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode; then every part is back in its own (``monai.networks.eval_mode`` remembers that of the whole only)."""
    # torch.jit.freeze leaves modules without a mode
    modes = [(module, module.training) for module in network.modules() if hasattr(module, "training")]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


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
        path: a state dict that fits ``network`` (see :func:`load_weights`), or a TorchScript file without one.
        network: the architecture, or None for TorchScript.

    Returns:
        The module in eval mode, its parameters without gradients.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is neither of the two, or its weights do not fit ``network``.
    """
    if network is not None:
        return freeze(load_weights(path, network))
    path = _existing(path)
    try:
        classifier = torch.jit.load(str(path), map_location="cpu")
    except RuntimeError as e:
        raise ValueError(
            f"{path} is not a TorchScript file; to load a state dict, declare the network that it belongs to."
        ) from e
    return freeze(classifier)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}: train them first, or name another file.")
    return path
