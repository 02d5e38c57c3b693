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

"""What an item's label says: of one decision, as a classifier's target, and for a split that keeps shares."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from monai_advexplain.decision import Decision

Item = dict[str, Any]
Label: TypeAlias = int | Sequence[int]
"""A class, or of a multi-label classifier a 0 or 1 for each of its outputs."""


def strata(label: Label) -> list[Hashable]:
    """What a split counts: the class, or every output that is 1, or ``"none"`` where no output is."""
    if isinstance(label, Sequence):
        return [index for index, value in enumerate(label) if value] or ["none"]
    return [label]


def decision_label(label: Label, decision: Decision) -> int:
    """Whether a decision should be "yes" for a label.

    Args:
        label: 0 or 1 for a sigmoid head; the class for a softmax head; 0 or 1 for each output of a multi-label head.
        decision: which decision.

    Returns:
        0 or 1.

    Raises:
        ValueError: when the label is none of the decision's head.
    """
    index = decision.index or 0
    if decision.head == "multilabel" and isinstance(label, Sequence) and -len(label) <= index < len(label):
        return int(label[index])
    if decision.head == "softmax" and isinstance(label, int) and index >= 0:
        return int(label == index)
    if decision.head == "sigmoid" and isinstance(label, int) and label in (0, 1):
        return label
    wanted = {
        "sigmoid": "0 or 1",
        "softmax": "a class, and an index from 0",
        "multilabel": "a list of 0 and 1 for each output, index among them",
    }
    raise ValueError(f"label {label!r} does not fit {decision}: wanted {wanted[decision.head]}.")


def _decided(item: Item, decision: Decision) -> Item:
    try:
        answer = decision_label(item["label"], decision)
    except ValueError as error:
        raise ValueError(f"{item['image']}: {error}") from error
    mask = item.get("mask")
    if decision.head == "multilabel" and mask is not None:
        mask = mask[decision.index]
    kept = answer or decision.head == "sigmoid"  # the mask of another class is no evidence for this one
    rest = {key: value for key, value in item.items() if key != "mask"}
    return {**rest, "label": answer} | ({"mask": mask} if mask and kept else {})


def for_decision(splits: Mapping[str, Iterable[Item]], decision: Decision) -> dict[str, list[Item]]:
    """The items as one decision sees them: ``label`` is 0 or 1, and ``mask`` that of the class or output explained.

    Args:
        splits: items by name of the split, see :func:`~monai_advexplain.data.load_datalist`.
        decision: which decision.

    Returns:
        Copies of the items; one whose class is another has no mask.

    Raises:
        ValueError: when a label does not fit the decision; names the image.
    """
    return {name: [_decided(item, decision) for item in items] for name, items in splits.items()}


def label_vector(label: Label, outputs: int) -> Tensor:
    """A label as the target of a classifier's outputs, for cross-entropy and for binary cross-entropy alike.

    Args:
        label: 0 or 1 for one output, a class, or 0 or 1 for each output.
        outputs: number K of the classifier's outputs.

    Returns:
        (K,), float32: the label for one output, one-hot of a class, the list itself.

    Raises:
        ValueError: when the label does not fit the number of outputs.
    """
    if isinstance(label, Sequence):
        if len(label) == outputs:
            return torch.tensor(label, dtype=torch.float32)
    elif outputs == 1:
        if label in (0, 1):
            return torch.tensor([float(label)])
    elif 0 <= label < outputs:
        return torch.eye(outputs)[label]
    raise ValueError(f"label {label!r} does not fit a classifier of {outputs} output(s).")
