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

"""A folder that appears when it is complete, and is reused when it was made with the same arguments."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MADE_WITH = "made_with.json"


@contextmanager
def whole_folder(folder: Path, made_with: dict[str, Any]) -> Iterator[Path | None]:
    """Make a folder's content somewhere else first.

    Args:
        folder: to make.
        made_with: what its content follows from, JSON; kept in it.

    Yields:
        Where to write, an empty folder; None when the folder is there, made with the same.

    Raises:
        FileExistsError: when the folder is not empty and holds anything else.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        found = json.loads((folder / MADE_WITH).read_text()) if (folder / MADE_WITH).is_file() else "something else"
        if found != made_with:
            raise FileExistsError(
                f"{folder} is not empty: found {found}, wanted {made_with}. Remove it or name another."
            )
        yield None
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        unfinished = Path(temporary) / "data"  # not the temporary folder itself, which only its owner may read
        unfinished.mkdir()
        yield unfinished
        (unfinished / MADE_WITH).write_text(json.dumps(made_with, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rmdir()  # empty
        unfinished.rename(folder)
