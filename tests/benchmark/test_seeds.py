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

"""Comparisons by networks of several training seeds, taken together."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from monai_advexplain.__main__ import main
from monai_advexplain.benchmark.records import Variant
from monai_advexplain.benchmark.results import summarise
from monai_advexplain.benchmark.results_files import write_results
from monai_advexplain.benchmark.seeds import over_seeds, seeds_table
from monai_advexplain.benchmark.statistics import bootstrap_interval, paired_difference
from tests.benchmark.cases import ITEMS, SETTINGS, noise, rows_of

GROUPS = [item["group"] for item in ITEMS]


def write(folder, levels, **settings):
    scores = {Variant(name, False): level + noise(seed) for name, (level, seed) in levels.items()}
    rows = rows_of(scores)
    for key, row in rows.items():
        row |= {"id": ITEMS[key.image]["id"], "group": ITEMS[key.image]["group"]}
    folder.mkdir()
    write_results(summarise(rows, list(scores), ITEMS, {**SETTINGS, **settings}, {}), folder)
    return folder / "results.json"


@pytest.fixture
def paths(tmp_path):
    first = {"proposed": (0.5, 0), "gradient": (0.3, 1), "upper": (0.8, 2)}
    second = {"proposed": (0.6, 3)}
    return [write(tmp_path / name, levels, ceiling="upper") for name, levels in (("a", first), ("b", second))]


def test_every_row_is_compared_with_the_reference_s_mean_over_the_seeds(paths):
    proposed, gradient, upper = over_seeds(paths)
    mean = (0.5 + noise(0) + 0.6 + noise(3)) / 2
    assert proposed["seeds"] == pytest.approx([(0.5 + noise(0)).mean(), (0.6 + noise(3)).mean()])
    assert [proposed[name] for name in ("mean", "low", "high")] == pytest.approx(bootstrap_interval(mean, GROUPS, 2000))
    names = ("difference", "difference_low", "difference_high", "p_value")
    expected = paired_difference(0.3 + noise(1), mean, GROUPS, 2000)
    assert [gradient[name] for name in names] == pytest.approx(expected)
    assert gradient["difference_high"] < 0
    assert gradient["p_value_holm"] == gradient["p_value"]
    assert upper["share"] == pytest.approx(mean.mean() / (0.8 + noise(2)).mean())
    assert math.isnan(proposed["difference"])
    assert math.isnan(upper["difference"])


def test_the_command_prints_a_row_for_each_method(paths, capsys):
    assert main(["seeds", *map(str, paths)]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines == seeds_table(over_seeds(paths)).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["proposed", "gradient", "upper"]
    assert "%" in lines[-1]


def test_other_images_another_classifier_and_other_files_are_refused(paths, tmp_path, capsys):
    other = json.loads(paths[1].read_text())
    other["settings"]["classifier"] = "another"
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match=r"other\.json is another comparison .* different classifier"):
        over_seeds([paths[0], tmp_path / "other.json"])
    other["settings"].pop("classifier")
    other["images"] = other["images"][1:]
    (tmp_path / "fewer.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match="different images"):
        over_seeds([paths[0], tmp_path / "fewer.json"])
    (tmp_path / "strange.json").write_text("[]")
    assert main(["seeds", str(tmp_path / "strange.json")]) == 2
    assert "strange.json is no results.json" in capsys.readouterr().err
    assert main(["seeds", str(tmp_path / "none.json")]) == 2
    assert np.isfinite(over_seeds(paths[:1])[0]["mean"])
