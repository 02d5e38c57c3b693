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

"""The command ``compare``: a bundle's ``evaluate.json`` under its ``compare.json``, run as MONAI runs a bundle."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

CONFIGS = ("evaluate.json", "compare.json")
RUN = "comparing"


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def key_values(pairs: Sequence[str]) -> dict[str, Any]:
    """Entries of the config from texts KEY=VALUE."""
    for pair in pairs:
        if not pair.partition("=")[0] or "=" not in pair:
            raise ValueError(f"--set takes KEY=VALUE, got {pair!r}.")
    return {key: _value(value) for key, _, value in (pair.partition("=") for pair in pairs)}


def config_files(bundle_root: str | Path) -> list[str]:
    """The bundle's ``evaluate.json`` and ``compare.json``.

    Raises:
        FileNotFoundError: when one is missing.
    """
    files = [str(Path(bundle_root) / "configs" / name) for name in CONFIGS]
    for file in files:
        if not Path(file).is_file():
            raise FileNotFoundError(f"{bundle_root} is not a bundle that can be compared: there is no {file}.")
    return files


def check_methods(names: Sequence[str], known: Collection[str]) -> None:
    """Raise ValueError when a name is not among the known methods."""
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"unknown method(s) {', '.join(unknown)}; known: {', '.join(known)}.")


def _selected(content: dict[str, Any], methods: Sequence[str]) -> dict[str, Any]:
    """The definitions of the methods named, and of the reference, in the order of the config."""
    known = content["methods"]
    check_methods(methods, known)
    return {name: known[name] for name in known if name in methods or name == content.get("reference")}


def first_plain(error: BaseException | None) -> BaseException | None:
    """What was raised inside a config, where MONAI wraps it in errors of its own."""
    while error is not None and not isinstance(error, (ValueError, FileNotFoundError)):
        error = error.__cause__
    return error


def run_compare(
    bundle_root: str | Path,
    dataset_dir: str | Path,
    methods: Sequence[str] = (),
    settings: Sequence[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """Compare the methods of a bundle.

    Args:
        bundle_root: folder of a bundle with ``configs/evaluate.json`` and ``configs/compare.json``.
        dataset_dir: folder of the data.
        methods: names of the methods to compare; the reference is always one of them. All when empty.
        settings: further entries of the configs to replace, as ``KEY=VALUE``; the value is JSON, or else a text.
        more: entries to replace; None leaves one as it is.

    Returns:
        What ``results.json`` holds, see :func:`~monai_advexplain.benchmark.results.summarise`.

    Raises:
        FileNotFoundError: when the bundle, its weights or the data are missing.
        ValueError: when a method is unknown, or anything does not fit.
    """
    files = config_files(bundle_root)
    entries: dict[str, Any] = {"bundle_root": str(bundle_root), "dataset_dir": str(dataset_dir)}
    entries |= {name: value for name, value in more.items() if value is not None}
    if methods:
        entries["methods"] = _selected(ConfigParser.load_config_files(files), methods)
    entries |= key_values(settings)
    flow = ConfigWorkflow(files, workflow_type="inference", logging_file=False, run_id=RUN, **entries)
    try:
        flow.initialize()
        results: dict[str, Any] = flow.run()[-1]
        flow.finalize()
    except RuntimeError as error:
        reason = first_plain(error)
        if reason is None:
            raise
        raise reason from None
    return results
