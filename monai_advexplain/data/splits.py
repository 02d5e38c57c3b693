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

"""Reproducible splits that keep groups (patients) whole and labels balanced."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from monai_advexplain.data.labels import strata

Item = dict[str, Any]
T = TypeVar("T")
DEFAULT_FRACTIONS: Mapping[str, float] = {"training": 0.7, "validation": 0.1, "test": 0.2}
FILL_ORDER = ("test", "validation", "training")


def checked_fractions(fractions: Mapping[str, float] | None) -> Mapping[str, float]:
    """Return the fractions, or the default ones.

    Args:
        fractions: share of each split, or None.

    Returns:
        Positive shares that sum to 1, of ``"training"`` and possibly ``"validation"`` and ``"test"``.

    Raises:
        ValueError: when they are anything else.
    """
    fractions = DEFAULT_FRACTIONS if fractions is None else fractions
    if "training" not in fractions or not set(fractions) <= set(FILL_ORDER):
        raise ValueError(f"fractions must have 'training' and may have 'validation' and 'test', got {dict(fractions)}.")
    if min(fractions.values()) <= 0 or abs(sum(fractions.values()) - 1.0) > 1e-6:
        raise ValueError(
            f"fractions must be positive and sum to 1, got {dict(fractions)} (sum {sum(fractions.values())})."
        )
    return fractions


def spread(items: Sequence[T], count: int | None) -> list[T]:
    """At most ``count`` items, evenly spread over the list, first and last among them; all when ``count`` is None."""
    if count is None or count >= len(items):
        return list(items)
    return [items[index] for index in np.linspace(0, len(items) - 1, count).astype(int)]


def is_localised(items: Iterable[Item]) -> bool:
    """Tell whether one of the items has localisation ground truth."""
    return any(item.get("boxes") or item.get("mask") for item in items)


def _count(items: Iterable[Item]) -> Counter[Hashable]:
    """How many items there are of each label; of several labels at once, each counts."""
    return Counter(chain.from_iterable(strata(item["label"]) for item in items))


def _fits(group: Mapping[Hashable, int], taken: Mapping[Hashable, int], wanted: Mapping[Hashable, float]) -> bool:
    """Tell whether taking the group brings no label further above its wanted count than it was below."""
    return all(taken.get(label, 0) + count / 2 <= wanted[label] for label, count in group.items())


def check_splits(splits: Mapping[str, Iterable[Item]]) -> None:
    """Raise unless every split has items of at least two labels.

    Args:
        splits: items by name of the split; each item has a ``"label"``.

    Raises:
        ValueError: when a split is empty or holds one label only; names the split and the counts found.
    """
    counts = {name: _count(items) for name, items in splits.items()}
    found = "; ".join(f"{name}: {dict(sorted(count.items(), key=str)) or 'no items'}" for name, count in counts.items())
    remedy = "Add data, or change the fractions or the seed so that groups of every label reach every split."
    for name, count in counts.items():
        if not count:
            raise ValueError(f"the {name} split is empty. Found by label: {found}. {remedy}")
        if len(count) == 1:
            raise ValueError(f"the {name} split has only label {next(iter(count))}. Found by label: {found}. {remedy}")


def split_by_group(
    items: Iterable[Item], fractions: Mapping[str, float] | None = None, seed: int = 0
) -> dict[str, list[Item]]:
    """Split items so that no group is divided and every split has about the same share of each label.

    The test split is filled first, and first with groups that have localisation ground truth (an item with boxes or a
    mask), in a random order that depends on the seed only, until it has its share of their labels; then with other
    groups; then the validation split; training gets the rest. The order of the items given plays no role.

    Args:
        items: each with ``"image"`` (a path), ``"label"`` (a class, or a list of 0 and 1), ``"group"`` and possibly
            ``"boxes"`` or ``"mask"``.
        fractions: share of each of ``"training"``, ``"validation"`` and ``"test"``; the last two may be left out.
            Default: 0.7, 0.1, 0.2.
        seed: of the random order.

    Returns:
        Items by name of the split, sorted by image.

    Raises:
        ValueError: when the fractions are not positive or do not sum to 1, or a split comes out empty or with one
            label only.
    """
    fractions = checked_fractions(fractions)
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[item["group"]].append(item)
    counts = {name: _count(members) for name, members in groups.items()}
    total: Counter[Hashable] = sum(counts.values(), Counter())

    names = sorted(groups)
    shuffled = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    left = shuffled
    splits: dict[str, list[Item]] = {name: [] for name in fractions}
    for split in FILL_ORDER[:-1]:
        if split not in fractions:
            continue
        wanted = {label: fractions[split] * count for label, count in total.items()}
        taken: Counter[Hashable] = Counter()
        chosen = set()
        # sorted() is stable: the groups with localisation ground truth come first, each part in its random order
        for name in sorted(left, key=lambda name: not is_localised(groups[name])) if split == "test" else left:
            if _fits(counts[name], taken, wanted):
                taken += counts[name]
                chosen.add(name)
                splits[split] += groups[name]
        left = [name for name in left if name not in chosen]
    for name in left:
        splits["training"] += groups[name]
    check_splits(splits)
    return {name: sorted(members, key=lambda item: str(item["image"])) for name, members in splits.items()}
