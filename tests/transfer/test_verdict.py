"""The verdict: what is said about clear, absent, conflicting and unknowable gains."""

from __future__ import annotations

import numpy as np
import pytest

from sim2real.evaluation.metrics import Curves
from sim2real.evaluation.statistics import Estimate
from sim2real.transfer.verdict import judge, judge_gain

STEPS = np.linspace(0, 3000, 13).astype(int)
KEYS = {"jumpstart", "asymptotic_gain", "time_to_threshold_ratio", "transfer_ratio", "total_reward_gain"}


def arm(start=-10.0, end=-2.0, tau=800.0, spread=0.2, seeds=5, seed=0):
    """Return curves that approach ``end`` exponentially, with seeds and evaluations that differ by about ``spread``."""
    rng = np.random.default_rng(seed)
    ends = end + rng.normal(0, spread, (seeds, 1))
    return Curves(STEPS, ends + (start - ends) * np.exp(-STEPS / tau) + rng.normal(0, spread, (seeds, STEPS.size)))


@pytest.mark.parametrize(
    ("low", "high", "margin", "verdict"),
    [
        (0.2, 0.9, 0.1, "pays"),
        (0.01, 0.9, 0.1, "pays"),
        (0.01, 0.09, 0.1, "does-not-pay"),  # surely there, surely too small
        (-0.5, 0.09, 0.1, "does-not-pay"),
        (-0.5, 0.5, 0.1, "undecided"),
        (0.0, 0.0, 0.0, "does-not-pay"),
        (-0.5, 0.0, 0.0, "does-not-pay"),
        (-0.5, 0.1, 0.0, "undecided"),
        (None, None, 0.1, "undecided"),
    ],
)
def test_a_gain_is_judged_by_its_interval(low, high, margin, verdict):
    assert judge_gain(Estimate(0.0, low, high), margin) == verdict


def test_a_clear_gain_pays():
    judgement = judge(arm(start=-4, seed=1), arm())
    assert judgement.verdict == "pays"
    assert judgement.reason.startswith("Transfer pays: over 3,000 target steps transfer's mean return is ")
    assert "of scratch's steps" in judgement.reason
    assert {name: judgement.metrics[name].verdict for name in KEYS - {"asymptotic_gain"}} == dict.fromkeys(
        KEYS - {"asymptotic_gain"}, "pays"
    )


def test_a_transfer_that_starts_above_the_threshold_is_said_to():
    assert judge(arm(start=-2, seed=1), arm()).reason.endswith("and it is above the threshold from the start.")


def test_identical_arms_do_not_pay():
    assert judge(arm(), arm()).verdict == "does-not-pay"
    nobody_learns = Curves(STEPS, np.full((5, STEPS.size), -10.0))
    assert judge(nobody_learns, nobody_learns).verdict == "does-not-pay"


def test_no_effect_is_called_out_when_seeds_agree_and_left_open_when_they_do_not():
    assert judge(arm(spread=0.02, seed=1), arm(spread=0.02)).verdict == "does-not-pay"
    wide = judge(arm(spread=2, seed=1), arm(spread=2))
    assert wide.verdict == "undecided"
    assert wide.reason.endswith("more seeds would narrow the interval.")


def test_no_effect_is_seldom_called_a_gain():
    called = [judge(arm(spread=1, seed=seed), arm(spread=1, seed=1000 + seed)).verdict for seed in range(100)]
    assert called.count("pays") <= 8


def test_one_seed_is_undecided_however_large_the_gain():
    judgement = judge(arm(start=-3, seeds=1), arm(seeds=1))
    assert judgement.verdict == "undecided"
    assert judgement.reason.endswith("a single seed gives no interval; run at least 5 seeds to decide.")
    assert {judged.verdict for judged in judgement.metrics.values()} == {"undecided"}


def test_a_loss_does_not_pay():
    judgement = judge(arm(start=-20, end=-9, seed=1), arm())
    assert judgement.verdict == "does-not-pay"
    assert judgement.crossover_step == 0


def test_a_head_start_that_ends_clearly_worse_does_not_pay():
    transfer = arm(start=-3.2, end=-3.2, seed=1)
    judgement = judge(transfer, arm())
    assert judgement.metrics["total_reward_gain"].verdict == "pays"
    assert judgement.verdict == "does-not-pay"
    assert f"overtaken at step {judgement.crossover_step:,}" in judgement.reason


def test_a_slow_start_that_ends_better_is_undecided():
    transfer = arm(start=-18, end=0, tau=1000, seed=1)
    judgement = judge(transfer, arm(tau=400))
    assert judgement.metrics["total_reward_gain"].verdict == "does-not-pay"
    assert judgement.metrics["asymptotic_gain"].verdict == "pays"
    assert judgement.verdict == "undecided"


def test_transfer_pays_where_scratch_cannot_learn():
    judgement = judge(arm(start=-4, seed=1), arm(end=-10))
    assert judgement.verdict == "pays"
    assert judgement.threshold is None
    assert judgement.metrics["time_to_threshold_ratio"].to_dict() == {
        "value": None,
        "ci95": None,
        "verdict": "undecided",
    }


def test_where_nobody_learns_more_budget_is_asked_for():
    judgement = judge(arm(end=-10, seed=5), arm(end=-10))
    assert judgement.verdict == "undecided"
    assert "scratch did not clearly learn within this budget" in judgement.reason


def source(value, spread=0.1, seeds=5):
    """Return the arm of a source policy as it is: one evaluation, at step 0."""
    return Curves([0], np.random.default_rng(9).normal(value, spread, (seeds, 1)))


def test_a_gain_over_scratch_does_not_hide_that_training_did_harm():
    transfer = arm(start=-1, end=-4, seed=1)
    judgement = judge(transfer, arm(end=-6), zero_shot=source(-1))
    assert judgement.verdict == "pays"
    gain = judgement.metrics["gain_over_zero_shot"]
    assert gain.verdict == "does-not-pay"
    assert gain.estimate.value == pytest.approx(-3, abs=0.4)
    assert ", but it ended surely worse than zero-shot (−" in judgement.reason
    assert judgement.reason.endswith("): use the source policy as it is.")
    assert judgement.to_dict()["gain_over_zero_shot"] == gain.to_dict()


def test_a_loss_against_zero_shot_within_the_noise_is_called_possible():
    judgement = judge(arm(start=-4, end=-3, seed=1), arm(end=-5), zero_shot=source(-2, spread=3))
    assert judgement.metrics["gain_over_zero_shot"].verdict != "pays"
    assert "ended possibly worse than zero-shot (−" in judgement.reason


def test_a_single_seed_says_what_zero_shot_suggests():
    judgement = judge(arm(end=-4, seeds=1), arm(end=-6, seeds=1), zero_shot=source(-1, seeds=1))
    assert judgement.verdict == "undecided"
    assert "to decide; transfer ended possibly worse than zero-shot (−" in judgement.reason


def test_where_scratch_ends_best_the_source_policy_is_not_advised():
    judgement = judge(arm(end=-6, seed=1), arm(end=-2), zero_shot=source(-4))
    assert judgement.verdict == "does-not-pay"
    assert "; transfer ended surely worse than zero-shot (−" in judgement.reason
    assert "use the source policy" not in judgement.reason


def test_a_gain_over_zero_shot_needs_no_words():
    with_source, alone = judge(arm(seed=1), arm(end=-6), zero_shot=source(-4)), judge(arm(seed=1), arm(end=-6))
    assert with_source.metrics["gain_over_zero_shot"].verdict == "pays"
    assert with_source.reason == alone.reason
    assert "gain_over_zero_shot" not in alone.to_dict()


def test_a_jumpstart_that_is_surely_lost_is_told_and_whether_it_came_back():
    scratch, dip = arm(), arm(start=-4.0, seed=1)
    assert judge(dip, scratch).lost_jumpstart is None
    fallen = dip.values.copy()
    fallen[:, 2:5] -= 4.0
    assert judge(Curves(STEPS, fallen), scratch).lost_jumpstart == (STEPS[2], STEPS[5])
    fallen[:, 2:] = -9.0
    assert judge(Curves(STEPS, fallen), scratch).to_dict()["lost_jumpstart"] == [STEPS[2], None]
    uneven = dip.values.copy()
    uneven[0, 2:] = -20.0  # one seed of five is no sure loss
    assert judge(Curves(STEPS, uneven), scratch).lost_jumpstart is None
    assert judge(scratch, scratch).lost_jumpstart is None  # where nothing was ahead nothing is lost


def test_large_numbers_are_written_without_exponents():
    scale = lambda curves: Curves(STEPS, 1000 * curves.values)  # noqa: E731
    reason = judge(scale(arm(start=-4, seed=1)), scale(arm())).reason
    assert "e+0" not in reason
    assert "transfer's mean return is 1," in reason


def test_to_dict_holds_the_keys_of_result_json():
    success = Curves(STEPS, np.tile(np.linspace(0, 0.5, 13), (5, 1)))
    entries = judge(arm(start=-4, seed=1), arm(), Curves(STEPS, success.values * 2), success).to_dict()
    assert set(entries) == KEYS | {"verdict", "verdict_reason", "success_gain", "crossover_step", "threshold"} | {
        "lost_jumpstart"
    }
    assert set(entries["jumpstart"]) == {"value", "ci95", "verdict"}
    assert entries["success_gain"]["value"] == pytest.approx(np.mean(success.values[0, -3:]))
    assert entries["success_gain"]["verdict"] == "pays"
    assert judge(arm(), arm()).to_dict()["success_gain"] == {"value": None, "ci95": None, "verdict": "undecided"}
