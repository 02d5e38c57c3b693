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

"""Tests of the comparison: what it measures, that it goes on after a stop, and what it refuses."""

from __future__ import annotations

import csv
import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from monai_advexplain.benchmark.comparison import Comparison
from monai_advexplain.explainers import (
    Explainer,
    GeometricAveraging,
    GradCAMExplainer,
    GradientExplainer,
    NaiveExplainer,
    ProposedExplainer,
    RandomExplainer,
)
from monai_advexplain.metrics import auc_loc
from monai_advexplain.transforms import AffineRange
from tests.small import assert_unchanged, classifier, explainer_net, images, snapshot, trained_looking

N = 5
AVERAGE = partial(GeometricAveraging, n=2, affine=AffineRange(rotation=10.0))


def samples(count: int = N, dims: int = 2, empty: tuple[int, ...] = ()) -> list[dict]:
    """Images with a mask of a quarter each, none for those in ``empty``."""
    found = []
    for image in images(count, dims=dims):
        mask = torch.zeros_like(image)
        mask[:, : mask.shape[1] // 2, : mask.shape[2] // 2] = 0.0 if len(found) in empty else 1.0
        found.append({"image": image, "mask": mask, "label": torch.tensor([1.0])})
    return found


def items(count: int = N) -> list[dict]:
    """Two images for each of the first groups."""
    return [{"id": f"image{i}", "group": f"patient{i // 2}"} for i in range(count)]


class Watched(Explainer):
    """A gradient that calls ``before`` each time."""

    def __init__(self, network, before):
        super().__init__(network)
        self.inner = GradientExplainer(network)
        self.before = before

    def explain(self, images):
        self.before()
        return self.inner.explain(images)


class Calls:
    """Counts its calls, and raises an error at those asked for."""

    def __init__(self, fail_at=(), error=None):
        self.count, self.fail_at, self.error = 0, fail_at, error or RuntimeError("out of\nmemory")

    def __call__(self):
        self.count += 1
        if self.count in self.fail_at:
            raise self.error


@pytest.fixture
def parts():
    net = classifier()
    generators = trained_looking(explainer_net())
    methods = {
        "proposed": ProposedExplainer(generators),
        "naive": NaiveExplainer(generators),
        "gradient": GradientExplainer(net),
        "random": RandomExplainer(),
    }
    return net, methods


@pytest.fixture
def compare(tmp_path, parts, monkeypatch):
    def run(methods=None, report=False, **changes):
        net, all_methods = parts
        arguments = {
            "methods": methods or all_methods,
            "images": samples(),
            "items": items(),
            "classifier": net,
            "output_dir": tmp_path / "out",
            "n_gallery": 2,
            "n_resamples": 200,
            **changes,
        }
        with monkeypatch.context() as patch:
            if not report:  # drawing takes most of the time
                patch.setattr("monai_advexplain.benchmark.comparison.write_report", lambda *given: None)
            return Comparison(**arguments).run()

    return run


def of(results, method, regularised=False):
    (found,) = (s for s in results["methods"] if (s["method"], s["regularised"]) == (method, regularised))
    return found


def test_every_method_is_a_row_with_and_without_regularisation(compare, parts, tmp_path):
    results = compare(average=AVERAGE, report=True)
    with (tmp_path / "out" / "table.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["method"], row["regularised"]) for row in table] == [
        (name, regularised) for name in parts[1] for regularised in ("false", "true")
    ]
    for row in table:
        assert (row["n_images"], row["n_groups"], row["n_masked"], row["error"]) == ("5", "3", "5", "")
        assert float(row["auc_loc_total_low"]) <= float(row["auc_loc_total"]) <= float(row["auc_loc_total_high"])
        assert 0 < float(row["auc_loc_partial"]) < float(row["auc_loc_total"])
        assert float(row["seconds"]) > 0
        assert (row["flip_rate"] != "") == (row["method"] in ("proposed", "naive") and row["regularised"] == "false")
        assert (row["p_value_holm"] != "") == (row["method"] != "proposed")
    assert of(results, "proposed")["time_ratio"] == 1.0
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_scores_are_those_of_the_metrics_on_the_explainers_own_maps(compare, parts):
    results = compare()
    shown = samples()
    maps = torch.cat([parts[1]["gradient"](sample["image"][None]) for sample in shown])
    masks = torch.stack([sample["mask"] for sample in shown])
    found = of(results, "gradient")
    assert found["auc_loc_total"] == pytest.approx(auc_loc(maps, masks).mean().item())
    assert found["auc_loc_total"] == pytest.approx(
        np.mean([average_precision_score(m.flatten(), e.flatten()) for m, e in zip(masks, maps, strict=True)]), abs=0.03
    )
    assert found["difference"] == pytest.approx(found["auc_loc_total"] - of(results, "proposed")["auc_loc_total"])
    flips = [row["scores"]["flipped"] for row in results["images"] if row["method"] == "proposed"]
    assert of(results, "proposed")["flip_rate"] == np.mean(flips)


def test_results_are_strict_json_and_hold_every_image_of_every_method(compare, tmp_path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    compare(average=AVERAGE)
    results = json.loads((tmp_path / "out" / "results.json").read_text(), parse_constant=refuse)
    assert len(results["images"]) == N * 8
    assert {row["id"] for row in results["images"]} == {f"image{i}" for i in range(N)}
    assert results["settings"]["methods"]["gradient"]["decision"]["head"] == "sigmoid"
    assert results["settings"]["average"]["n"] == 2


def test_an_image_without_ground_truth_counts_in_no_localisation_metric(compare):
    results = compare(images=samples(empty=(1, 4)))
    assert (results["n_images"], results["n_masked"]) == (5, 3)
    found, whole = of(results, "gradient"), compare(overwrite=True)
    assert (found["n_images"], found["n_masked"]) == (5, 3)
    kept = [
        r["scores"]["auc_loc_total"] for r in whole["images"] if r["method"] == "gradient" and r["image"] in (0, 2, 3)
    ]
    assert found["auc_loc_total"] == pytest.approx(np.mean(kept))
    assert found["deletion"] == pytest.approx(of(whole, "gradient")["deletion"])


def test_a_stopped_run_goes_on_without_measuring_anything_twice(compare, parts, tmp_path):
    def run(calls):
        return compare({"proposed": parts[1]["proposed"], "watched": Watched(parts[0], calls)})

    with pytest.raises(KeyboardInterrupt):
        run(Calls(fail_at=[4], error=KeyboardInterrupt()))  # after the warm-up and two images
    rows = tmp_path / "out" / "rows.jsonl"
    kept = rows.read_text()
    assert 4 <= len(kept.splitlines()) <= 5
    rows.write_text(kept + '{"image": 2, "method": "propo')  # the line that a kill cut short

    calls = Calls()
    run(calls)
    assert calls.count == N - 2 + 1  # and the warm-up
    assert rows.read_text().startswith(kept)
    assert len(rows.read_text().splitlines()) == 2 * N


def test_a_finished_comparison_measures_nothing_and_is_written_anew(compare, parts, tmp_path):
    def run(calls, **changes):
        return compare({"proposed": parts[1]["proposed"], "watched": Watched(parts[0], calls)}, **changes)

    first, calls = run(Calls()), Calls()
    (tmp_path / "out" / "table.csv").unlink()
    again = run(calls, n_resamples=100)
    assert calls.count == 0
    assert again["images"] == first["images"]
    assert again["settings"]["n_resamples"] == 100
    assert (tmp_path / "out" / "table.csv").is_file()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"items": [{"id": f"other{i}", "group": "a"} for i in range(N)]}, "different: images"),
        ({"average": AVERAGE}, "different: average"),
        ({"classifier": classifier(seed=1)}, "different: classifier.weights"),
        ({"images": [{**s, "image": s["image"] + 1} for s in samples()]}, "different: first_image"),
    ],
)
def test_another_comparison_in_the_folder_is_refused_unless_it_may_be_lost(compare, tmp_path, changes, named):
    compare()
    before = (tmp_path / "out" / "rows.jsonl").read_text()
    with pytest.raises(ValueError, match=f"{named}.*--overwrite") as refused:
        compare(**changes)
    assert str(tmp_path / "out") in str(refused.value)
    assert (tmp_path / "out" / "rows.jsonl").read_text() == before
    compare(**changes, overwrite=True)


def test_a_method_with_other_weights_or_parameters_is_another_comparison(compare, parts):
    compare()
    other = {**parts[1], "random": RandomExplainer(seed=1)}
    with pytest.raises(ValueError, match=r"different: methods\.random"):
        compare(other)
    other = {**parts[1], "naive": NaiveExplainer(trained_looking(explainer_net(), seed=3))}
    with pytest.raises(ValueError, match=r"different: methods\.naive\.network\.weights"):
        compare(other)


def test_a_method_that_cannot_run_says_why_in_one_line_and_the_others_go_on(compare, parts, tmp_path):
    methods = {**parts[1], "broken": Watched(parts[0], Calls(fail_at=range(1, 99))), "absent": None}
    results = compare(methods, report=True, average=AVERAGE, notes={"absent": "needs models/absent.pt"})
    for regularised in (False, True):
        assert of(results, "broken", regularised)["error"] == "RuntimeError: out of memory"
        assert of(results, "absent", regularised)["error"] == "needs models/absent.pt"
        assert math.isnan(of(results, "broken", regularised)["auc_loc_total"])
        assert of(results, "gradient", regularised)["n_images"] == N
    report = (tmp_path / "out" / "report.html").read_text()
    assert "not run: RuntimeError: out of memory" in report
    assert "not run: needs models/absent.pt" in report
    assert any("broken, broken + reg did not run: RuntimeError: out of memory." in s for s in results["verdict"])


def test_a_torchscript_classifier_runs_through_what_can_run_on_it(compare, parts):
    net = parts[0]
    script = torch.jit.trace(net, images())
    methods = {
        "proposed": parts[1]["proposed"],
        "gradient": GradientExplainer(script),
        "gradcam": GradCAMExplainer(script),
    }
    results = compare(methods, classifier=script)
    assert of(results, "gradient")["n_images"] == N
    assert of(results, "gradcam")["error"].startswith("UnsupportedClassifierError: ")
    assert "\n" not in of(results, "gradcam")["error"]


def test_an_exception_on_one_image_costs_that_image_only_and_is_tried_again(compare, parts):
    def run(calls):
        return compare({"proposed": parts[1]["proposed"], "flaky": Watched(parts[0], calls)})

    results = run(Calls(fail_at=[3]))
    assert (of(results, "flaky")["n_images"], of(results, "flaky")["n_errors"]) == (N - 1, 1)
    assert of(results, "flaky")["error"] == "RuntimeError: out of memory"
    assert [row["id"] for row in results["images"] if row["error"]] == ["image1"]
    results = run(Calls())
    assert (of(results, "flaky")["n_images"], of(results, "flaky")["error"]) == (N, "")


def test_images_that_were_trained_on_are_refused_unless_allowed(compare, tmp_path):
    with pytest.raises(ValueError, match=r"2 of the 5 images .* first image2 of group patient1.*--allow-training"):
        compare(training_groups=["patient1", "patient9"])
    assert not (tmp_path / "out").exists()
    compare(report=True, training_groups=["patient1"], allow_training_images=True)
    assert "2 of these images belong to groups that were trained on" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": items(3)}, "one length, got 5 and 3"),
        ({"items": [], "images": []}, "no image to compare"),
        ({"reference": "none"}, "reference 'none' is not among the methods"),
        ({"ceiling": "proposed"}, "the ceiling cannot be the reference, got 'proposed' for both"),
        ({"methods": {"proposed": None, "a/b": None}}, r"got \['a/b'\]"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_is_written(compare, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        compare(**changes)
    assert not (tmp_path / "out").exists()


def test_methods_take_turns_in_another_order_on_every_image(compare, parts, tmp_path):
    compare()
    rows = [json.loads(line) for line in (tmp_path / "out" / "rows.jsonl").read_text().splitlines()]
    orders = {i: tuple(row["method"] for row in rows if row["image"] == i) for i in range(N)}
    assert [row["image"] for row in rows] == sorted(row["image"] for row in rows)
    assert len(set(orders.values())) > 1
    assert all(sorted(order) == sorted(parts[1]) for order in orders.values())


def test_volumes_are_compared_too_and_the_classifier_stays_as_it_is(compare, tmp_path):
    net = classifier(dims=3)
    net.train()
    before = snapshot(net)
    methods = {"proposed": ProposedExplainer(explainer_net(3)), "gradient": GradientExplainer(net)}
    results = compare(methods, classifier=net, images=samples(dims=3), average=AVERAGE)
    assert of(results, "gradient", True)["n_images"] == N
    assert_unchanged(net, before)
    assert np.load(tmp_path / "out" / "gallery" / "0" / "map gradient + reg.npy").shape == (8, 12)
