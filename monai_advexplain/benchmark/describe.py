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

"""What an explainer is made of, as plain data: to report it, and to notice that it is no longer the same."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from monai_advexplain.explainers.base import Explainer


def checksum(*arrays: torch.Tensor | np.ndarray) -> str:
    """Twelve hexadecimal digits that depend on shapes, types and values."""
    digest = hashlib.sha256()
    for array in arrays:
        plain = array.detach().cpu().contiguous() if isinstance(array, torch.Tensor) else np.ascontiguousarray(array)
        digest.update(f"{tuple(plain.shape)} {plain.dtype}".encode())
        data = plain.reshape(-1).view(torch.uint8).numpy() if isinstance(plain, torch.Tensor) else plain
        digest.update(data.tobytes())
    return digest.hexdigest()[:12]


def _name(kind: Any) -> str:
    return getattr(kind, "__qualname__", type(kind).__name__)


def describe(value: Any) -> Any:
    """What can be put in JSON of an explainer or of one of its parameters.

    An explainer, and any other object of this package (a decision, a range of transformations), becomes its class and
    its public attributes; a network its class and a checksum of its weights and buffers; a tensor its shape and
    checksum; a random generator its seed; what is foreign its class.

    Args:
        value: anything.

    Returns:
        None, bool, number, string, list or dictionary; equal for equal values, also in another process.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.nn.Module):
        state = {k: v for k, v in sorted(value.state_dict().items()) if isinstance(v, torch.Tensor)}
        return {"class": getattr(value, "original_name", type(value).__name__), "weights": checksum(*state.values())}
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return {"shape": list(value.shape), "values": checksum(value)}
    if isinstance(value, torch.Generator):
        return {"class": "Generator", "seed": value.initial_seed()}
    if isinstance(value, Mapping):
        return {str(key): describe(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [describe(one) for one in value]
    if isinstance(value, functools.partial):
        return {"class": _name(value.func), **describe(value.keywords), "arguments": describe(value.args)}
    if isinstance(value, Explainer) or type(value).__module__.partition(".")[0] == __name__.partition(".")[0]:
        public = {name: one for name, one in vars(value).items() if not name.startswith("_")}
        return {"class": type(value).__name__, **describe(public)}
    return {"class": _name(value)}


def one_line(error: Exception) -> str:
    """An error's class and message, without line breaks."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
