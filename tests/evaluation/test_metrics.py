"""Metrics on curves whose answer can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sim2real.errors import Sim2RealError
from sim2real.evaluation.metrics import (
    Curves,
    arm_curves,
    asymptotic_gain,
    crossover_step,
    gain_over_zero_shot,
    jumpstart,
    scratch_improvement,
    steps_to_reach,
    threshold,
    time_to_threshold_ratio,
    total_reward_gain,
    transfer_ratio,
)
from sim2real.evaluation.statistics import Estimate

STEPS = np.arange(0, 1001, 100)
OFFSETS = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])[:, None]


def curves(values, steps=STEPS, seeds=5):
    return Curves(steps, np.tile(np.asarray(values, dtype=float), (seeds, 1)))


def linear(start, end):
    return curves(np.linspace(start, end, STEPS.size))


def test_linear_curves():
    # Scratch rises from -10 to 0; transfer from -4 to 0.
    scratch, transfer = linear(-10, 0), linear(-4, 0)
    assert jumpstart(transfer, scratch).value == pytest.approx(6)
    assert total_reward_gain(transfer, scratch).value == pytest.approx(3)  # mean -2 against -5
    assert transfer_ratio(transfer, scratch).value == pytest.approx(3 / 5)  # floor -10, own area 5
    assert scratch_improvement(scratch).value == pytest.approx(9.5)  # the last two of 11 points: -1 and 0
    assert threshold(scratch) == pytest.approx(-10 + 0.9 * 9.5)
    # -1.45 is reached at 855 steps by scratch, at 637.5 by transfer.
    assert time_to_threshold_ratio(transfer, scratch).value == pytest.approx(637.5 / 855)
    assert asymptotic_gain(transfer, scratch).value == pytest.approx(0.3)  # the last two: -0.2 against -0.5
    assert crossover_step(transfer, scratch) is None


def test_exponential_curves():
    steps = np.arange(0, 10_001, 10)
    tau, faster = 1000.0, 100.0
    scratch = curves(-10 * np.exp(-steps / tau), steps)
    transfer = curves(-10 * np.exp(-steps / faster), steps)
    area = lambda t: -10 * t * (1 - np.exp(-10_000 / t)) / 10_000  # noqa: E731
    assert total_reward_gain(transfer, scratch).value == pytest.approx(area(faster) - area(tau), rel=1e-3)
    assert transfer_ratio(transfer, scratch).value == pytest.approx(
        (area(faster) - area(tau)) / (area(tau) + 10), rel=1e-3
    )
    assert time_to_threshold_ratio(transfer, scratch).value == pytest.approx(0.1, rel=0.01)


def test_intervals_come_from_the_differences_within_seeds():
    scratch = Curves(STEPS, linear(-10, 0).values + OFFSETS)
    transfer = Curves(STEPS, scratch.values + 1)
    for metric in (jumpstart, asymptotic_gain, total_reward_gain):
        estimate = metric(transfer, scratch)
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((1, 1, 1))


def test_gain_over_zero_shot_pairs_the_end_of_learning_with_the_source_policy():
    learner = Curves(STEPS, linear(-10, 0).values + OFFSETS)  # the last two of 11 points: -1 and 0
    source = Curves([0], -4 + OFFSETS)
    gain = gain_over_zero_shot(learner, source)
    assert (gain.value, gain.low, gain.high) == pytest.approx((3.5, 3.5, 3.5))


def test_a_zero_shot_arm_that_does_not_pair_is_refused():
    with pytest.raises(Sim2RealError, match="transfer has 5 seeds and zero-shot 3"):
        gain_over_zero_shot(linear(0, 1), Curves([0], np.zeros((3, 1))))
    with pytest.raises(Sim2RealError, match=r"evaluate it at step 0 alone, not at \[0, 100, "):
        gain_over_zero_shot(linear(0, 1), linear(0, 1))


def test_identical_arms():
    scratch = Curves(STEPS, linear(-10, 0).values + OFFSETS)
    for metric in (jumpstart, asymptotic_gain, total_reward_gain, transfer_ratio):
        assert metric(scratch, scratch) == Estimate(0, 0, 0)
    assert time_to_threshold_ratio(scratch, scratch) == Estimate(1, 1, 1)
    assert crossover_step(scratch, scratch) is None


def test_one_seed_has_values_without_intervals():
    scratch, transfer = (Curves(STEPS, arm.values[:1]) for arm in (linear(-10, 0), linear(-4, 0)))
    for metric in (jumpstart, asymptotic_gain, total_reward_gain, transfer_ratio, time_to_threshold_ratio):
        estimate = metric(transfer, scratch)
        assert estimate.value is not None
        assert estimate.low is None
        assert estimate.high is None


def test_scratch_that_does_not_clearly_learn_leaves_the_ratios_undefined():
    noise = np.random.default_rng(0).normal(size=(5, STEPS.size))
    for scratch in (Curves(STEPS, noise), linear(-5, -5), linear(-5, -9)):
        assert threshold(scratch) is None
        assert time_to_threshold_ratio(linear(-4, 0), scratch) == Estimate(None)
        assert transfer_ratio(linear(-4, 0), scratch) == Estimate(None)


def test_transfer_that_starts_above_the_threshold_needs_no_steps():
    assert time_to_threshold_ratio(linear(0, 0), linear(-10, 0)) == Estimate(0, 0, 0)


def test_a_seed_that_never_reaches_the_level_counts_with_the_budget():
    arm = Curves(STEPS, np.stack([np.linspace(0, 10, 11), np.zeros(11)]))
    assert steps_to_reach(arm, 5.5).tolist() == [550, 1000]


def test_the_first_crossing_counts():
    arm = curves([0, 2, 0, 2], np.array([0, 10, 20, 30]), seeds=1)
    assert steps_to_reach(arm, 1).tolist() == [5]


def test_crossover_is_interpolated_and_lasting():
    steps = np.array([0, 100, 200, 300])
    transfer = curves([2, 2, 2, 2], steps)
    assert crossover_step(transfer, curves([0, 3, 1, 5], steps)) == 225  # the lead at 100 does not last
    assert crossover_step(transfer, curves([3, 3, 3, 3], steps)) == 0
    assert crossover_step(transfer, curves([3, 3, 3, 1], steps)) is None


def test_areas_respect_uneven_steps():
    assert curves([0, 1, 1], np.array([0, 100, 1000])).area[0] == pytest.approx(0.95)


def point(arm, seed, step, value, success=None):
    return {"arm": arm, "seed": seed, "step": step, "return_mean": value, "success_rate": success}


def test_arm_curves_sort_seeds_and_steps():
    points = [point("scratch", seed, step, 10 * seed + step, 0.5) for seed in (3, 1) for step in (5, 0)]
    arm = arm_curves([*points, point("finetune", 1, 0, 7)], "scratch")
    assert arm is not None
    assert arm.steps.tolist() == [0, 5]
    assert arm.values.tolist() == [[10, 15], [30, 35]]
    assert arm_curves(points, "scratch", "success_rate").values.tolist() == [[0.5, 0.5]] * 2
    assert arm_curves([point("scratch", 1, 0, 7)], "scratch", "success_rate") is None


def test_arms_that_do_not_pair_are_refused():
    with pytest.raises(Sim2RealError, match="the arms have 5 and 3 seeds"):
        jumpstart(linear(0, 1), Curves(STEPS, linear(0, 1).values[:3]))
    with pytest.raises(Sim2RealError, match="evaluated at different steps"):
        jumpstart(linear(0, 1), Curves(STEPS * 2, linear(0, 1).values))
    with pytest.raises(Sim2RealError, match="only before learning"):
        jumpstart(curves([1], np.array([0])), curves([1], np.array([0])))
    with pytest.raises(Sim2RealError, match="no curve points for the arm 'scratch'"):
        arm_curves([], "scratch")
    with pytest.raises(Sim2RealError, match="seed 2 of the arm 'a' was evaluated 1 times up to step 0, seed 1 2 times"):
        arm_curves([point("a", 1, 0, 0), point("a", 1, 9, 0), point("a", 2, 0, 0)], "a")


@pytest.mark.parametrize(
    ("steps", "values", "message"),
    [
        ([1, 2], [[0, 0]], "must start at 0 and increase"),
        ([0, 0], [[0, 0]], "must start at 0 and increase"),
        ([0, 1], [[0, 0, 0]], r"2 steps has values of shape \(1, 3\)"),
        ([0, 1], [[0, np.nan]], "learning curve 0 has the value nan at step 1"),
    ],
)
def test_damaged_curves_are_refused(steps, values, message):
    with pytest.raises(Sim2RealError, match=message):
        Curves(np.array(steps), np.array(values))
