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

"""Tests of the rows on disk."""

from __future__ import annotations

import subprocess
import sys

import pytest

from monai_advexplain.benchmark.records import Key, Records, Variant


def row(image: int = 0, method: str = "gradient", regularised: bool = False, **more) -> dict:
    return {"image": image, "method": method, "regularised": regularised, "error": None, **more}


def rows_in(folder) -> dict:
    with Records(folder, {}) as records:
        return records.rows


KEY = Key(0, Variant("gradient", False))


def test_rows_are_there_again_when_the_folder_is_opened_again(tmp_path):
    with Records(tmp_path / "run", {"seed": 0}) as records:
        records.append(row(seconds=0.1))
    with Records(tmp_path / "run", {"seed": 0}) as again:
        assert again.rows == {KEY: row(seconds=0.1)}
        assert again.has(KEY)
        assert not again.has(Key(0, Variant("gradient", True)))


@pytest.mark.parametrize("torn", ['{"image": 1, "me', '{"image": 1, "method": "a", "regularised": false}', "\n"])
def test_a_last_line_that_was_cut_short_is_dropped_and_the_next_row_is_whole(tmp_path, torn):
    with Records(tmp_path, {}) as records:
        records.append(row())
    with records.path.open("a") as file:
        file.write(torn)
    with Records(tmp_path, {}) as again:
        assert list(again.rows) == [KEY]
        again.append(row(2))
    assert len(rows_in(tmp_path)) == 2


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    assert rows_in(tmp_path) == {}
    (tmp_path / "rows.jsonl").write_text('{"image": 1, "me\n{}\n')
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 1: not valid JSON"):
        rows_in(tmp_path)


def test_a_row_with_an_error_counts_as_missing_and_is_replaced(tmp_path):
    with Records(tmp_path, {}) as records:
        records.append(row(error="RuntimeError"))
        assert not records.has(KEY)
        records.append(row())
        assert records.has(KEY)
    assert rows_in(tmp_path) == {KEY: row()}


def test_what_is_no_number_is_refused_before_it_is_written(tmp_path):
    with Records(tmp_path, {}) as records, pytest.raises(ValueError, match="JSON"):
        records.append(row(seconds=float("nan")))
    assert rows_in(tmp_path) == {}


def test_another_fingerprint_is_refused_with_the_names_of_what_differs(tmp_path):
    with Records(tmp_path, {"methods": {"a": {"n": 1}, "b": None}, "seed": 0}) as records:
        records.append(row())
    other = Records(tmp_path, {"methods": {"a": {"n": 2}, "c": 1, "b": 3}, "seed": 1})
    with pytest.raises(ValueError, match=r"different: methods\.a\.n, seed\)") as refused, other:
        pass
    assert str(tmp_path) in str(refused.value)
    assert "overwrite=True" in str(refused.value)
    with (
        pytest.raises(ValueError, match=r"different: methods\.a\)"),
        Records(tmp_path, {"methods": {"b": 3}, "seed": 0}),
    ):
        pass


def test_methods_may_be_added_to_a_run_and_belong_to_it_from_then_on(tmp_path):
    with Records(tmp_path, {"methods": {"gradient": {"n": 1}, "naive": None}, "seed": 0}) as records:
        records.append(row())
    more = {"methods": {"gradient": {"n": 1}, "naive": {"n": 2}, "rise": 1}, "seed": 0}
    with Records(tmp_path, more) as records:
        assert list(records.rows) == [KEY]
    less = {"methods": {"gradient": {"n": 1}, "naive": {"n": 3}, "rise": 1}, "seed": 0}
    with pytest.raises(ValueError, match=r"different: methods\.naive\.n\)"), Records(tmp_path, less):
        pass


def test_overwriting_removes_the_run_and_nothing_else(tmp_path):
    with Records(tmp_path, {"seed": 0}) as records:
        records.append(row())
    for name in ("report.html", "notes.txt"):
        (tmp_path / name).write_text("here")
    with Records(tmp_path, {"seed": 1}, overwrite=True) as records:
        assert records.rows == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "notes.txt", "run.json"]


def test_overwriting_a_folder_without_a_run_removes_nothing(tmp_path):
    (tmp_path / "report.html").write_text("of something else")
    with Records(tmp_path, {}, overwrite=True):
        pass
    assert (tmp_path / "report.html").read_text() == "of something else"


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_two_runs_cannot_write_to_one_folder_and_a_kill_frees_it(tmp_path):
    code = (
        "import sys; from monai_advexplain.benchmark.records import Records\n"
        "with Records(sys.argv[1], {}): print('in', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "in\n"
        with pytest.raises(ValueError, match=f"another comparison is running in {tmp_path}"):
            rows_in(tmp_path)
        other.kill()
    assert rows_in(tmp_path) == {}
