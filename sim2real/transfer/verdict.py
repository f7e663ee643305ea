"""The verdict: whether transfer pays against learning from scratch, read off intervals over paired seeds.

Each metric is judged on its own. A gain with the 95 % interval [low, high] and the smallest gain worth having m

- *does not pay* if high < m, or high ≤ 0: at best too little to matter;
- *pays* if low > 0: surely something, possibly a lot;
- is *undecided* otherwise: more seeds would tell.

m is 5 % of what scratch itself gains over the untrained policy (0 where scratch does not clearly learn, so that only a
sure loss is called one). The time ratio is judged by the steps it saves, 1 − ratio, and the transfer ratio as it is,
both with m = 0.05, being relative already.

Overall, the total reward gain decides, and the asymptotic gain can overrule it: who ends with the better policy matters
more than who led on the way. 'Pays' has to survive both. Scratch is the yardstick, not the only choice: where training
further ended worse than the source policy as it was (zero-shot), the reason says so, whatever the verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sim2real.evaluation.metrics import (
    Curves,
    asymptotic_gain,
    clearly_positive,
    crossover_step,
    gain_over_zero_shot,
    jumpstart,
    lost_jumpstart,
    scratch_improvement,
    threshold,
    time_to_threshold_ratio,
    total_reward_gain,
    transfer_ratio,
)
from sim2real.evaluation.statistics import Estimate
from sim2real.studies.numbers import interval, number

Verdict = Literal["pays", "does-not-pay", "undecided"]

SMALLEST_GAIN = 0.05
"""Smallest gain worth having, as a share of what scratch gains over the untrained policy."""


@dataclass(frozen=True)
class Judged:
    """A metric and what it says about transfer."""

    estimate: Estimate
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"value", "ci95", "verdict"}``, as ``result.json`` holds it."""
        return {**self.estimate.to_dict(), "verdict": self.verdict}


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The metrics of a transfer against its scratch arm, and the verdict."""

    verdict: Verdict
    """What they say together."""
    reason: str
    """Why, in one sentence."""
    metrics: dict[str, Judged]
    """The five metrics on the return, ``success_gain``, the asymptotic gain in success rate, and, where there is a
    zero-shot arm, ``gain_over_zero_shot``."""
    crossover_step: int | None
    """Step from which scratch stays ahead to the end of the budget."""
    threshold: float | None
    """Return that the time ratio measures the way to."""
    lost_jumpstart: tuple[int, int | None] | None
    """Step at which the jumpstart was surely lost, and the one at which it was back; ``None`` if it was not lost."""

    def to_dict(self) -> dict[str, Any]:
        """Return the entries of ``result.json`` that the curves decide."""
        return {
            "verdict": self.verdict,
            "verdict_reason": self.reason,
            **{name: judged.to_dict() for name, judged in self.metrics.items()},
            "crossover_step": self.crossover_step,
            "threshold": self.threshold,
            "lost_jumpstart": None if self.lost_jumpstart is None else list(self.lost_jumpstart),
        }


def judge(
    transfer: Curves,
    scratch: Curves,
    transfer_success: Curves | None = None,
    scratch_success: Curves | None = None,
    *,
    zero_shot: Curves | None = None,
) -> Judgement:
    """Judge a transfer against learning from scratch with the same target budget.

    Args:
        transfer: Return of the transferred learner, one row for each seed.
        scratch: Return of the learner from scratch: the same seeds, the same steps.
        transfer_success: Success rate of the transferred learner, where the env reports success.
        scratch_success: Success rate of the learner from scratch.
        zero_shot: Return of the source policy as it is, one evaluation at step 0 for each seed; ``None`` where that is
            the transfer itself.

    Raises:
        Sim2RealError: The arms differ in seeds or steps, or were evaluated only before learning.
    """
    margin = _margin(scratch)
    ratio = time_to_threshold_ratio(transfer, scratch)
    metrics = {
        "jumpstart": _judged(jumpstart(transfer, scratch), margin),
        "asymptotic_gain": _judged(asymptotic_gain(transfer, scratch), margin),
        "time_to_threshold_ratio": Judged(ratio, judge_gain(_saving(ratio), SMALLEST_GAIN)),
        "transfer_ratio": _judged(transfer_ratio(transfer, scratch), SMALLEST_GAIN),
        "total_reward_gain": _judged(total_reward_gain(transfer, scratch), margin),
        "success_gain": Judged(Estimate(None), "undecided"),
    }
    if transfer_success is not None and scratch_success is not None:
        metrics["success_gain"] = _judged(asymptotic_gain(transfer_success, scratch_success), _margin(scratch_success))
    crossover = crossover_step(transfer, scratch)
    verdict, reason = _overall(metrics, margin, crossover, scratch)
    if zero_shot is not None:
        gain = gain_over_zero_shot(transfer, zero_shot)
        metrics["gain_over_zero_shot"] = _judged(gain, margin)
        harm = _harm(gain, margin)
        if harm:
            best = bool(zero_shot.start.mean() >= scratch.final.mean())  # else scratch is what to use
            advice = ": use the source policy as it is" if best else ""
            reason = f"{reason[:-1]}{', but it' if verdict == 'pays' else '; transfer'} {harm}{advice}."
    return Judgement(
        verdict=verdict,
        reason=reason,
        metrics=metrics,
        crossover_step=crossover,
        threshold=threshold(scratch),
        lost_jumpstart=lost_jumpstart(transfer, scratch, margin),
    )


def judge_gain(gain: Estimate, margin: float) -> Verdict:
    """Judge a gain by its interval; without one (a single seed, an undefined metric) it is undecided.

    Args:
        gain: The gain; positive favours transfer.
        margin: Smallest gain worth having m, at least 0, in the unit of the gain.
    """
    if gain.low is None or gain.high is None:
        return "undecided"
    if gain.high < margin or gain.high <= 0:
        return "does-not-pay"
    return "pays" if gain.low > 0 else "undecided"


def _judged(gain: Estimate, margin: float) -> Judged:
    return Judged(gain, judge_gain(gain, margin))


def _margin(scratch: Curves) -> float:
    improvement = scratch_improvement(scratch)
    if improvement.value is None or not clearly_positive(improvement):
        return 0.0
    return SMALLEST_GAIN * improvement.value


def _saving(ratio: Estimate) -> Estimate:
    """Return the share of scratch's steps that transfer saves."""
    if ratio.value is None or ratio.low is None or ratio.high is None:
        return Estimate(None)
    return Estimate(1 - ratio.value, 1 - ratio.high, 1 - ratio.low)


def _overall(metrics: dict[str, Judged], margin: float, crossover: int | None, scratch: Curves) -> tuple[Verdict, str]:
    total, final = metrics["total_reward_gain"], metrics["asymptotic_gain"]
    on_average = f"over {scratch.budget:,} target steps transfer's mean return is {_compared(total.estimate)}"
    at_the_end = f"transfer's final return is {_compared(final.estimate)}"
    if total.estimate.high is None or final.estimate.low is None or final.estimate.high is None:
        return "undecided", (
            f"Undecided: {on_average}, but a single seed gives no interval; run at least 5 seeds to decide."
        )
    if final.estimate.high < -margin:
        turn = f", overtaken at step {crossover:,}" if crossover else ""
        return "does-not-pay", f"Transfer does not pay: {at_the_end}{turn}."
    if total.verdict == "does-not-pay":
        if final.verdict == "pays":
            return "undecided", f"Undecided: {on_average}, yet {at_the_end}."
        small = (
            f", at best below the {number(margin)} (5 % of what scratch learns) that would matter" if margin > 0 else ""
        )
        return "does-not-pay", f"Transfer does not pay: {on_average}{small}."
    if total.verdict == "undecided":
        advice = "more seeds would narrow the interval"
        if margin == 0:
            advice = "scratch did not clearly learn within this budget, so give it more steps or more seeds"
        return "undecided", f"Undecided: {on_average}; {advice}."
    if final.estimate.high < 0 and final.estimate.low < -margin:
        return "undecided", f"Undecided: {on_average}, yet {at_the_end}."
    ratio, saved = metrics["time_to_threshold_ratio"], ""
    if ratio.verdict == "pays" and ratio.estimate.value is not None:
        saved = f", and it reaches the threshold with {100 * ratio.estimate.value:.0f} % of scratch's steps"
        if ratio.estimate.value == 0:
            saved = ", and it is above the threshold from the start"
    return "pays", f"Transfer pays: {on_average}{saved}."


def _harm(gain: Estimate, margin: float) -> str:
    """Return that training ended worse than zero-shot: surely, by its interval, or possibly; ``""`` if it did not."""
    value = gain.value or 0.0
    if gain.low is None or gain.high is None:
        return f"ended possibly worse than zero-shot ({number(value)})" if value < -margin else ""
    ends = f"({number(value)}, 95 % interval {interval((gain.low, gain.high))})"
    if gain.high < 0:
        return f"ended surely worse than zero-shot {ends}"
    return f"ended possibly worse than zero-shot {ends}" if value < -margin else ""


def _compared(gain: Estimate) -> str:
    """Return e.g. ``"1.2 above scratch's (95 % interval 0.9 to 1.5)"``."""
    value = gain.value or 0.0
    compared = f"{number(abs(value))} {'above' if value > 0 else 'below'} scratch's" if value else "equal to scratch's"
    if gain.low is None or gain.high is None:
        return compared
    return f"{compared} (95 % interval {interval((gain.low, gain.high))})"
