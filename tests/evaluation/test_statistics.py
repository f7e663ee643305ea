"""Intervals cover what they promise, use the pairing, and say so when they cannot be formed."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from sim2real.errors import Sim2RealError
from sim2real.evaluation import statistics
from sim2real.evaluation.statistics import (
    MAX_BOOTSTRAP_VALUES,
    Estimate,
    mean_interval,
    paired_bootstrap,
    proportion_interval,
)


def mean(x):
    return x.mean(axis=-1)


def test_estimate_to_dict():
    assert Estimate(1.0, 0.5, 2.0).to_dict() == {"value": 1.0, "ci95": [0.5, 2.0]}
    assert Estimate(1.0).to_dict() == {"value": 1.0, "ci95": None}
    assert Estimate(None).to_dict() == {"value": None, "ci95": None}


@pytest.mark.parametrize("n", [2, 3, 4])
def test_below_five_seeds_the_interval_of_a_mean_is_students(n):
    x = np.random.default_rng(n).normal(size=n)
    low, high = stats.t.interval(0.95, n - 1, loc=x.mean(), scale=stats.sem(x))
    estimate = mean_interval(x)
    assert (estimate.low, estimate.high) == pytest.approx((low, high))


def test_five_seeds_enumerate_every_resample():
    x = np.array([0.0, 1.0, 2.0, 4.0, 8.0])
    means = np.sort([mean(x[list(rows)]) for rows in np.ndindex(5, 5, 5, 5, 5)])
    tail = stats.norm.cdf(-math.sqrt(5 / 4) * stats.t.ppf(0.975, 4))
    index = math.floor(tail * (5**5 - 1))
    estimate = mean_interval(x)
    assert estimate.value == 3.0
    assert (estimate.low, estimate.high) == pytest.approx((means[index], means[-1 - index]))


def test_many_seeds_agree_with_student():
    x = np.random.default_rng(0).normal(3.0, 2.0, size=100)
    low, high = stats.t.interval(0.95, 99, loc=x.mean(), scale=stats.sem(x))
    estimate = mean_interval(x)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.05)


def test_hundreds_of_values_get_students_interval_which_covers_as_the_bootstrap_does():
    x = np.random.default_rng(0).exponential(size=(400, MAX_BOOTSTRAP_VALUES + 1))
    student = [mean_interval(row) for row in x]
    bootstrap = [paired_bootstrap(mean, row, resamples=2000) for row in x]
    low, high = stats.t.interval(0.95, x.shape[1] - 1, loc=x[0].mean(), scale=stats.sem(x[0]))
    assert (student[0].low, student[0].high) == pytest.approx((low, high))
    covered = [np.mean([e.low <= 1 <= e.high for e in estimates]) for estimates in (student, bootstrap)]
    assert covered[0] == pytest.approx(covered[1], abs=0.02)
    assert covered[0] == pytest.approx(0.95, abs=0.03)


def test_resampling_in_pieces_changes_nothing(monkeypatch):
    x = np.random.default_rng(2).normal(size=30)
    whole = mean_interval(x)
    monkeypatch.setattr(statistics, "_CHUNK", 7 * 30)
    assert mean_interval(x) == whole


def test_thousands_of_values_need_little_memory():
    x = np.random.default_rng(3).normal(size=2000)
    tracemalloc.start()
    try:
        mean_interval(x)
        paired_bootstrap(lambda a, b: mean(a) - mean(b), x, x[::-1], resamples=2000)
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()


def test_coverage_at_five_seeds():
    x = np.random.default_rng(0).normal(size=(800, 5))
    estimates = [mean_interval(row) for row in x]
    covered = np.mean([e.low <= 0 <= e.high for e in estimates])
    plain = np.mean([np.prod(np.sign(np.quantile(_resampled_means(row), [0.025, 0.975]))) < 0 for row in x])
    assert covered >= 0.90
    assert plain < 0.86  # what the correction is for


def _resampled_means(row):
    grid = np.indices((5,) * 5).reshape(5, -1)
    return row[grid].mean(axis=0)


def test_pairing_narrows_the_interval_when_seeds_share_their_luck():
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 5, size=5)
    ours, theirs = luck + 1 + rng.normal(0, 0.1, 5), luck + rng.normal(0, 0.1, 5)
    paired = paired_bootstrap(lambda a, b: mean(a) - mean(b), ours, theirs)
    shuffled = paired_bootstrap(lambda a, b: mean(a) - mean(b), ours, np.roll(theirs, 2))
    assert 0 < paired.low < paired.high < 2
    assert shuffled.low < 0 < shuffled.high


@pytest.mark.parametrize("n", [5, 9])
def test_same_data_same_interval(n):
    x = np.random.default_rng(1).normal(size=n)
    assert mean_interval(x) == mean_interval(x)


def test_one_seed_has_a_value_and_no_interval():
    assert mean_interval([2.5]) == Estimate(2.5)


def test_equal_seeds_have_an_interval_of_no_width():
    assert mean_interval([1.0] * 5) == Estimate(1.0, 1.0, 1.0)


def ratio(a, b):
    return mean(a) / mean(b)


@pytest.mark.parametrize("n", [1, 3, 5, 8])
def test_an_undefined_value_is_none(n):
    assert paired_bootstrap(ratio, np.ones(n), np.zeros(n)) == Estimate(None)


def test_too_many_undefined_resamples_leave_no_interval():
    # One seed of five carries the whole denominator: (4/5)^5 = 33 % of the resamples miss it.
    assert paired_bootstrap(ratio, np.ones(5), [1, 0, 0, 0, 0]) == Estimate(5.0)
    assert paired_bootstrap(ratio, np.ones(3), [1, 0, 0]) == Estimate(3.0)  # leaving out the first gives 1 / 0


def test_a_tolerable_share_of_undefined_resamples_keeps_the_interval():
    # A zero in one seed makes one resample in 3125 undefined; 0.1 % in each tail is discarded anyway.
    estimate = paired_bootstrap(ratio, np.ones(5), [0, 1, 1, 1, 1])
    assert estimate.value == 1.25
    assert estimate.low == 1.0
    assert estimate.high == 5.0


@pytest.mark.parametrize(("samples"), [([1, 2], [1, 2, 3]), ([],), ([[1, 2]],)])
def test_samples_that_do_not_pair_are_refused(samples):
    with pytest.raises(Sim2RealError, match="paired samples need one value for each seed"):
        paired_bootstrap(lambda *x: mean(x[0]), *samples)


def test_wilson_interval():
    z = stats.norm.ppf(0.975)
    estimate = proportion_interval(8, 10)
    centre, spread = (0.8 + z**2 / 20) / (1 + z**2 / 10), z * math.sqrt(0.016 + z**2 / 400) / (1 + z**2 / 10)
    assert estimate.value == 0.8
    assert (estimate.low, estimate.high) == pytest.approx((centre - spread, centre + spread))
    everything = proportion_interval(20, 20)
    assert everything.high == pytest.approx(1.0)
    assert 0.8 < everything.low < 0.85


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (3, 2), (-1, 2)])
def test_impossible_proportions_are_refused(successes, trials):
    with pytest.raises(Sim2RealError, match=f"{successes} successes in {trials} trials"):
        proportion_interval(successes, trials)
