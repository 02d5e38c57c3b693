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

"""The rows of a comparison on disk, line by line, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from monai.utils import optional_import

fcntl, _can_lock = optional_import("fcntl")  # Windows has none

Row = dict[str, Any]
KEY_SCORE = "auc_loc_total"
"""The score by which methods are compared with the reference."""

FINGERPRINT, ROWS, GALLERY, LOCK = "run.json", "rows.jsonl", "gallery", ".lock"
SPEED, REALISM, LATENT_SPACE = "speed.json", "realism.json", "latent_space.pt"
RESULTS = ("table.csv", "realism.csv", "results.json", "report.html", SPEED, REALISM, LATENT_SPACE)


class Variant(NamedTuple):
    """A method, plain or regularised: one row of the table."""

    method: str
    regularised: bool

    def __str__(self) -> str:
        return f"{self.method} + reg" if self.regularised else self.method


class Key(NamedTuple):
    """What a row is about: the position of an image in the list, and a variant."""

    image: int
    variant: Variant


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the entries that differ."""
    found = []
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += _differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key}")
    return found


def _with_methods(fingerprint: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """The fingerprint of a run of these methods alone."""
    methods = fingerprint.get("methods") or {}
    return {**fingerprint, "methods": {name: what for name, what in methods.items() if name in names}}


class Records:
    """Rows of one run, in ``rows.jsonl`` of a folder; a context manager that keeps other runs out of the folder.

    Every row is on disk when :meth:`append` returns. A last line that a kill cut short is dropped on opening. The file
    ``run.json`` holds the fingerprint of the run that the rows belong to; its entry ``methods`` (name -> what a method
    depends on, None for one that cannot run) may grow from run to run, since the rows there are stay true.

    Args:
        folder: of the run; made when it is missing.
        fingerprint: what the rows depend on, as JSON takes it.
        overwrite: remove an earlier run from the folder, whatever its fingerprint.

    Raises:
        ValueError: on entering, when another run is in the folder at the time, or the folder holds a run with another
            fingerprint or rows that are no JSON.

    Example::

        with Records(folder, {"seed": 0}) as records:
            records.append({"image": 0, "method": "gradient", "regularised": False})
    """

    def __init__(self, folder: str | Path, fingerprint: Mapping[str, Any], overwrite: bool = False) -> None:
        self.folder = Path(folder)
        self.path = self.folder / ROWS
        self.rows: dict[Key, Row] = {}
        self._fingerprint = json.loads(json.dumps(fingerprint))
        self._overwrite = overwrite

    def __enter__(self) -> Records:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / LOCK).open("w")
        try:
            self._keep_others_out()
            self._open()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.close()

    def _keep_others_out(self) -> None:
        """Lock the folder until the file is closed, by a kill at the latest."""
        if _can_lock:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"another comparison is running in {self.folder}: wait for it, or stop it.") from None

    def _open(self) -> None:
        known = (self.folder / FINGERPRINT).is_file()
        if known and self._overwrite:
            self._remove()
        elif known:
            self._check(self._fingerprint)
            self._read()
            return
        self.path.unlink(missing_ok=True)  # rows of a run that nothing is known of
        write_atomically(self.folder / FINGERPRINT, json.dumps(self._fingerprint, indent=2) + "\n")

    def _remove(self) -> None:
        shutil.rmtree(self.folder / GALLERY, ignore_errors=True)
        for name in (ROWS, *RESULTS, FINGERPRINT):  # the fingerprint last: without it nothing here is known as ours
            (self.folder / name).unlink(missing_ok=True)

    def _check(self, wanted: Mapping[str, Any]) -> None:
        found = json.loads((self.folder / FINGERPRINT).read_text(encoding="utf-8"))
        had = {name for name, what in (found.get("methods") or {}).items() if what is not None}
        names = _differences(_with_methods(found, had), _with_methods(wanted, had))
        if names:
            listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            raise ValueError(
                f"{self.folder} holds a comparison with other settings (different: {listed}). Name another folder "
                "(--output), or start afresh and lose it (--overwrite; overwrite=True)."
            )
        if found != wanted:
            write_atomically(self.folder / FINGERPRINT, json.dumps(wanted, indent=2) + "\n")

    def _read(self) -> None:
        if not self.path.is_file():
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        whole = 0
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                if number < len(lines):
                    raise ValueError(f"{self.path}, line {number}: not valid JSON: {error}") from error
                break
            if not line.endswith(b"\n"):
                break
            self.rows[self._key(row)] = row
            whole += len(line)
        os.truncate(self.path, whole)

    @staticmethod
    def _key(row: Row) -> Key:
        return Key(row["image"], Variant(row["method"], row["regularised"]))

    def has(self, key: Key) -> bool:
        """Whether there is a row without an error."""
        return key in self.rows and not self.rows[key].get("error")

    def append(self, row: Row) -> None:
        """Keep a row with ``image``, ``method`` and ``regularised``; it replaces an earlier one of the same three."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.rows[self._key(row)] = row


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write instead of ``path``, which it becomes once it is whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a file that is either whole or what it was before."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
