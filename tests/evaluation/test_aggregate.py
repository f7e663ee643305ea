"""Statistics over tasks: rliable's, of which stored answers are the oracle, and closed forms."""

import json
from pathlib import Path

import numpy as np
import pytest
from rliable_oracle import SHAPES, THRESHOLDS, scores
from scipy.stats import trim_mean

from sim2real.errors import Sim2RealError
from sim2real.evaluation.aggregate import interquartile_mean, performance_profile, probability_of_improvement

ORACLE = json.loads(Path(__file__).with_name("rliable.json").read_text())


def columns(matrix):
    return list(matrix.T)


@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_the_answers_are_those_of_rliable(number):
    x, y = scores(number)
    iqm, improvement = interquartile_mean(columns(x)), probability_of_improvement(columns(x), columns(y))
    for estimate, (value, low, high) in ((iqm, ORACLE[number]["iqm"]), (improvement, ORACLE[number]["improvement"])):
        assert estimate.value == pytest.approx(value, abs=1e-12)
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.011)  # both draw their resamples
    profile = performance_profile(columns(x), THRESHOLDS)
    share, low, high = ORACLE[number]["profile"]
    np.testing.assert_allclose(profile.share, share, atol=1e-12)
    np.testing.assert_allclose(profile.low, low, atol=0.04)  # it moves in steps of one run of one task
    np.testing.assert_allclose(profile.high, high, atol=0.04)


def test_the_interquartile_mean_is_scipys_trimmed_mean_also_with_uneven_runs():
    rng = np.random.default_rng(1)
    tasks = [rng.normal(size=size) for size in (3, 5, 9)]
    assert interquartile_mean(tasks).value == pytest.approx(trim_mean(np.concatenate(tasks), 0.25))


def test_improvement_counts_ties_half_and_is_certain_where_no_run_overlaps():
    assert probability_of_improvement([[1.0, 1.0]], [[1.0]]).to_dict() == {"value": 0.5, "ci95": [0.5, 0.5]}
    assert probability_of_improvement([[3.0, 4.0], [5.0]], [[1.0, 2.0], [2.0]]).value == 1.0
    there, back = [[1.0, 3.0], [2.0]], [[2.0, 2.5], [2.0]]
    assert probability_of_improvement(there, back).value == pytest.approx(0.5)
    assert probability_of_improvement(there, back).value + probability_of_improvement(back, there).value == 1.0


def test_a_profile_falls_and_is_the_share_above_not_at_a_threshold():
    profile = performance_profile([[0.0, 0.5], [0.5, 1.0]], [-0.1, 0.0, 0.5, 1.0])
    np.testing.assert_array_equal(profile.share, [1.0, 0.75, 0.25, 0.0])
    assert (profile.low <= profile.share).all()
    assert (profile.share <= profile.high).all()


def test_single_runs_have_no_interval():
    assert interquartile_mean([[0.2], [0.4]]).to_dict() == {"value": pytest.approx(0.3), "ci95": None}


def test_the_same_scores_give_the_same_interval():
    rng = np.random.default_rng(2)
    tasks = [rng.normal(size=6) for _ in range(3)]
    assert interquartile_mean(tasks) == interquartile_mean(tasks)


def test_intervals_cover_what_they_say():
    rng, held = np.random.default_rng(3), 0
    for _ in range(60):
        tasks = [rng.normal(0.0, 1.0, size=10) for _ in range(5)]
        found = interquartile_mean(tasks)
        held += found.low <= 0.0 <= found.high
    assert held >= 52  # of 57 expected: less than 1 in 100 by chance


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interquartile_mean([]), "at least one run for each task"),
        (lambda: interquartile_mean([[1.0], []]), "at least one run for each task"),
        (lambda: interquartile_mean([[1.0, float("nan")]]), "a score of task 0 is not finite"),
        (lambda: probability_of_improvement([[1.0]], [[1.0], [2.0]]), "scores of 1 and 2 tasks; give the same tasks"),
    ],
)
def test_scores_that_cannot_be_are_refused(call, message):
    with pytest.raises(Sim2RealError, match=message):
        call()
