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

"""The command ``check``: a bundle's sanity checks as its ``check.json`` says, into a scorecard and a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_advexplain._version import __version__
from monai_advexplain.benchmark.command import first_plain, key_values
from monai_advexplain.benchmark.describe import checksum, describe
from monai_advexplain.benchmark.records import write_atomically
from monai_advexplain.benchmark.results_files import strict
from monai_advexplain.sanity.confounder import confounder
from monai_advexplain.sanity.localisation import localisation
from monai_advexplain.sanity.page import write_page
from monai_advexplain.sanity.randomisation import cascading_randomisation, label_randomisation, model_randomisation
from monai_advexplain.sanity.scorecard import check_interval, scorecard, verdict
from monai_advexplain.sanity.stability import noise_stability, seed_stability
from monai_advexplain.sanity.workbench import Workbench

CHECKS: dict[str, Callable[[Workbench], dict[str, Any]]] = {
    "localisation": localisation,
    "noise_stability": noise_stability,
    "cascading_randomisation": cascading_randomisation,
    "seed_stability": seed_stability,
    "model_randomisation": model_randomisation,
    "label_randomisation": label_randomisation,
    "confounder": confounder,
}
"""The quick ones first."""
QUICK: dict[str, Any] = {
    "images": 8,
    "training_images": 48,
    "classifier#epochs": 1,
    "explainer#epochs": 1,
    "attribution_methods": ["gradient"],
    "cascade_steps": 2,
    "confounder#images": 40,
    "confounder#classifier#epochs": 1,
    "confounder#explainer#epochs": 1,
}
"""Settings of a run of seconds that shows nothing but that it runs."""
_NOT_ASKED = ("checks", "limits", "title")  # what no check's measurement depends on

_ENTRIES = ("bundle", "classifier", "explainer")


def _put(settings: dict[str, Any], key: str, value: Any) -> bool:
    """Replace a setting, ``a#b`` for one inside another; whether there is one of that name."""
    first, _, rest = key.partition("#")
    if rest and first in _ENTRIES:  # what is inside are keys of other configs, any '#' among them
        settings.setdefault(first, {})[rest] = value
        return True
    if rest and isinstance(settings.get(first), dict):
        return _put(settings[first], rest, value)
    if rest or first not in settings:
        return False
    settings[first] = value
    return True


def _settings(bundle_root: Path, dataset_dir: str | Path | None, changes: Mapping[str, Any]) -> dict[str, Any]:
    path = bundle_root / "configs" / "check.json"
    for file in (path, bundle_root / "configs" / "evaluate.json"):
        if not file.is_file():
            raise FileNotFoundError(f"{bundle_root} is not a bundle that can be checked: there is no {file}.")
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if not _put(settings, key, value):
            raise ValueError(f"{path} has no setting {key!r}; it has {', '.join(sorted(settings))}.")
    if dataset_dir is not None:
        settings["bundle"] = {**settings["bundle"], "dataset_dir": str(dataset_dir)}
    unknown = [name for name in settings["checks"] if name not in CHECKS]
    if unknown:
        raise ValueError(f"unknown check(s) {', '.join(unknown)} in {path}; known: {', '.join(CHECKS)}.")
    if len(settings["training_seeds"]) < 2:
        raise ValueError(f"training_seeds in {path} must be two or more, got {settings['training_seeds']}.")
    return settings


def run_check(
    bundle_root: str | Path,
    dataset_dir: str | Path | None = None,
    output_dir: str | Path | None = None,
    changes: Sequence[str] = (),
    quick: bool = False,
) -> dict[str, Any]:
    """Run the checks of a bundle that are turned on.

    A check that was made before with the same settings, classifier and generators is not made again, nor is a
    training; a run that was stopped goes on.

    Args:
        bundle_root: folder of a bundle with ``configs/check.json`` and trained networks.
        dataset_dir: folder of the data; None for the bundle's own.
        output_dir: folder for all results; None for the bundle's ``output/check``.
        changes: settings of ``check.json`` to replace, as ``KEY=VALUE``, for instance ``explainer#epochs=4``.
        quick: a run of seconds that shows nothing but that it runs.

    Returns:
        What ``scorecard.json`` holds: ``settings``, ``n_images``, ``n_groups``, ``scores`` (see
        :func:`~monai_advexplain.sanity.scorecard.scorecard`), ``verdict`` and ``checks`` (of every row and score mean,
        low and high end of the 95 % interval).

    Raises:
        FileNotFoundError: when the bundle, its weights or the data are missing.
        ValueError: when a setting is unknown, or anything does not fit.
    """
    bundle_root = Path(bundle_root)
    settings = _settings(bundle_root, dataset_dir, {**(QUICK if quick else {}), **key_values(changes)})
    try:
        return _run(Workbench(bundle_root, Path(output_dir or bundle_root / "output" / "check"), settings))
    except RuntimeError as error:
        reason = first_plain(error)
        if reason is None:
            raise
        raise reason from None


def _configs(bundle_root: Path) -> list[Path]:
    """The configs that a check depends on; check.json's settings count by themselves."""
    names = ("train_classifier", "train", "evaluate", "compare")
    return [path for name in names if (path := bundle_root / "configs" / f"{name}.json").is_file()]


def _run(bench: Workbench) -> dict[str, Any]:
    settings, groups = bench.settings, bench.images.groups
    asked = {
        **{name: value for name, value in settings.items() if name not in _NOT_ASKED},
        "classifier": [settings["classifier"], describe(bench.bundle.classifier)],
        "network": describe(bench.bundle.proposed.network),
        "images": [bench.images.ids, checksum(bench.images.images, bench.images.masks)],
        "version": __version__,
        "configs": {path.name: path.read_text(encoding="utf-8") for path in _configs(bench.bundle_root)},
        "device": str(bench.bundle.device),
    }
    checks = {}
    for name in (name for name in CHECKS if settings["checks"].get(name)):
        print(f"\n=== {name.replace('_', ' ')}", flush=True)
        own = asked if name == "confounder" else {key: value for key, value in asked.items() if key != "confounder"}
        checks[name] = bench.kept(name, own, lambda name=name: CHECKS[name](bench))  # type: ignore[misc]
    scores = scorecard(checks, groups, settings["limits"])
    card = {
        "settings": settings,
        "n_images": len(groups),
        "n_groups": len(set(groups)),
        "scores": scores,
        "verdict": verdict(scores),
        "checks": {
            name: {
                row: {score: list(check_interval(name, values, groups)) for score, values in by.items()}
                for row, by in rows.items()
            }
            for name, rows in checks.items()
        },
    }
    write_page(card, bench.output_dir)
    write_atomically(bench.output_dir / "scorecard.json", json.dumps(strict(card), indent=1, allow_nan=False) + "\n")
    return card
