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

"""Tests of the paired statistics."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from monai_advexplain.benchmark.statistics import bootstrap_interval, holm, paired_difference, ratio_of_means


def normal(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


def test_with_groups_of_one_the_interval_is_that_of_scipys_percentile_bootstrap():
    values = normal(60)
    ours = bootstrap_interval(values, range(60), n=20_000)
    scipys = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert ours.mean == pytest.approx(values.mean())
    assert ours.low == pytest.approx(scipys.low, abs=0.01)
    assert ours.high == pytest.approx(scipys.high, abs=0.01)


def test_the_resamples_are_those_of_a_plain_loop_over_groups():
    values, groups = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0], ["a", "b", "a", "c", "c", "c"]
    members = {g: [v for v, h in zip(values, groups, strict=True) if h == g] for g in "abc"}
    generator = np.random.default_rng(3)
    means = [
        np.mean([v for g in generator.choice(list("abc"), size=3) for v in members[str(g)]]) for _ in range(20_000)
    ]
    interval = bootstrap_interval(values, groups, n=20_000)
    assert interval.low == pytest.approx(np.quantile(means, 0.025), abs=0.05)
    assert interval.high == pytest.approx(np.quantile(means, 0.975), abs=0.3)


def test_copies_of_an_image_in_its_group_do_not_narrow_the_interval():
    values = normal(30)
    once = bootstrap_interval(values, range(30))
    copied = bootstrap_interval(np.repeat(values, 5), np.repeat(range(30), 5))
    assert copied == pytest.approx(once)
    ungrouped = bootstrap_interval(np.repeat(values, 5), range(150))
    assert ungrouped.high - ungrouped.low < 0.6 * (once.high - once.low)


def test_images_without_a_value_are_left_out():
    values = [*normal(20), math.nan, math.nan]
    groups = [*range(20), 3, 99]
    assert bootstrap_interval(values, groups) == bootstrap_interval(values[:20], groups[:20])
    difference = paired_difference(values, np.zeros(22), groups)
    assert difference == paired_difference(values[:20], np.zeros(20), groups[:20])


def test_a_pair_counts_only_where_both_have_a_value():
    a, b = [1.0, 2.0, math.nan, 3.0], [0.0, math.nan, 0.0, 1.0]
    assert paired_difference(a, b, range(4)).mean == 1.5


def test_one_group_has_a_mean_and_no_interval():
    interval = bootstrap_interval([1.0, 3.0], ["a", "a"])
    assert interval.mean == 2.0
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert math.isnan(paired_difference([1.0, 3.0], [0.0, 0.0], ["a", "a"]).p_value)
    assert all(map(math.isnan, bootstrap_interval([math.nan], ["a"])))


def test_a_paired_difference_is_far_narrower_than_the_scores_when_they_go_together():
    scores = normal(40)
    better = scores + 0.1 + 0.01 * normal(40, seed=1)
    difference = paired_difference(better, scores, range(40), n=999)
    assert difference.mean == pytest.approx(0.1, abs=0.01)
    assert difference.high - difference.low < 0.02
    assert difference.p_value == pytest.approx(1 / 1000)
    swapped = paired_difference(scores, better, range(40), n=999)
    assert swapped == pytest.approx((-difference.mean, -difference.high, -difference.low, difference.p_value))


def test_the_p_value_agrees_with_the_t_test_and_with_the_interval():
    for shift in (0.0, 0.2, 0.4):
        a, b = normal(80) + shift, normal(80, seed=5)
        difference = paired_difference(a, b, range(80), n=20_000)
        assert difference.p_value == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.02)
        assert (difference.p_value < 0.05) == (difference.low > 0 or difference.high < 0)


def test_the_p_value_counts_the_signs_of_groups_that_reach_the_difference():
    differences, groups = [1.0, 3.0, 2.0, -1.0], ["a", "a", "b", "c"]
    sums = [4.0, 2.0, -1.0]
    signs = list(itertools.product((-1, 1), repeat=3))
    exact = np.mean([abs(np.dot(sign, sums)) >= abs(sum(sums)) for sign in signs])
    assert exact == 0.5
    assert paired_difference(differences, [0.0] * 4, groups, n=20_000).p_value == pytest.approx(exact, abs=0.01)


def test_few_groups_have_no_small_p_value_however_well_they_agree():
    assert paired_difference([1.0] * 12, [0.0] * 12, [*"aabbccddeeff"]).p_value == pytest.approx(2 / 2**6, abs=0.01)


def test_equal_scores_have_the_p_value_1():
    assert paired_difference([1.0, 2.0], [1.0, 2.0], ["a", "b"]).p_value == 1.0


def test_a_ratio_of_means_has_the_interval_of_resampled_groups_drawn_one_by_one():
    random = np.random.default_rng(0)
    groups = [*"aabbbcdddeffgghij"]
    a, b = random.random(len(groups)), 1 + random.random(len(groups))
    a[3], b[7] = math.nan, math.nan
    both = [i for i in range(len(groups)) if i not in (3, 7)]
    by_group = [[i for i in both if groups[i] == group] for group in sorted(set(groups))]
    ratios = []
    for _ in range(4000):
        drawn = [i for g in random.integers(0, len(by_group), len(by_group)) for i in by_group[g]]
        ratios.append(a[drawn].mean() / b[drawn].mean())
    found = ratio_of_means(a, b, groups, n=4000)
    assert found.mean == pytest.approx(a[both].mean() / b[both].mean())
    assert found[1:] == pytest.approx(np.quantile(ratios, [0.025, 0.975]), abs=0.01)


def test_a_ratio_that_does_not_exist_is_nan():
    assert all(map(math.isnan, ratio_of_means([1.0, 2.0], [0.0, 0.0], ["a", "b"])))
    assert all(map(math.isnan, ratio_of_means([1.0, math.nan], [math.nan, 1.0], ["a", "b"])))
    assert ratio_of_means([1.0], [2.0], ["a"]).mean == 0.5
    one_empty = ratio_of_means([1.0, 1.0], [0.0, 2.0], ["a", "b"])
    assert one_empty.mean == 1.0
    assert all(map(math.isnan, one_empty[1:]))


def test_holms_correction_of_a_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holms_correction_does_not_count_what_has_no_p_value():
    corrected = holm([0.02, math.nan, 0.01])
    assert corrected[::2] == pytest.approx([0.02, 0.02])
    assert math.isnan(corrected[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_interval([1.0], ["a", "b"]), "one length"),
        (lambda: paired_difference([1.0], [1.0, 2.0], ["a", "b"]), "one length"),
        (lambda: ratio_of_means([1.0], [1.0, 2.0], ["a", "b"]), "one length"),
        (lambda: bootstrap_interval([1.0, 2.0], ["a", "b"], n=0), "n must be at least 1"),
        (lambda: bootstrap_interval([1.0, 2.0], ["a", "b"], confidence=95), r"\(0, 1\), got 95"),
        (lambda: holm([0.5, 1.5]), r"lie in \[0, 1\]"),
    ],
)
def test_arguments_outside_their_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
