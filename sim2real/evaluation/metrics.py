"""The transfer metrics of Taylor & Stone (2009, JMLR 10, section 2.2), each with an interval over paired seeds.

Two arms learn in the target world with the same budget: *transfer*, which starts from the source policy, and *scratch*.
Symbols: T evaluations at steps t_0 = 0 < … < t_{T−1} = B (the budget); S seeds; transfer's performance p_i(t) of seed i
and scratch's q_i(t) (mean return or success rate); a bar is the mean over seeds. The final performance p_i(∞) is the
mean over the last quarter of the evaluations, and A[p_i] = (1/B) ∫ p_i dt by the trapezoid rule. The *floor* is q̄(0),
what the untrained policy does. One number beside the paper's compares transfer with the source policy as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.evaluation.statistics import Array, Estimate, mean_interval, paired_bootstrap

THRESHOLD_SHARE = 0.9
"""Share of scratch's improvement over the floor that defines the threshold."""


@dataclass(frozen=True, eq=False)
class Curves:
    """The learning curves of one arm: one row for each seed, on one step axis."""

    steps: NDArray[np.int64]
    """Target steps used at each evaluation, shape ``(T,)``: 0, then increasing."""
    values: Array
    """Performance, shape ``(S, T)``, finite."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", np.asarray(self.steps, dtype=np.int64))
        object.__setattr__(self, "values", np.asarray(self.values, dtype=np.float64))
        steps, values = self.steps, self.values
        if steps.ndim != 1 or steps.size == 0 or steps[0] != 0 or (np.diff(steps) <= 0).any():
            raise Sim2RealError(f"steps of a learning curve must start at 0 and increase, got {steps.tolist()}.")
        if values.ndim != 2 or values.shape[0] == 0 or values.shape[1] != steps.size:
            raise Sim2RealError(f"a learning curve over {steps.size} steps has values of shape {values.shape}.")
        if not np.isfinite(values).all():
            seed, index = np.argwhere(~np.isfinite(values))[0]
            raise Sim2RealError(f"learning curve {seed} has the value {values[seed, index]} at step {steps[index]}.")

    @property
    def seeds(self) -> int:
        """Return the number of seeds S."""
        return int(self.values.shape[0])

    @property
    def budget(self) -> int:
        """Return the target steps B at the last evaluation."""
        return int(self.steps[-1])

    @property
    def mean(self) -> Array:
        """Return the mean over seeds, shape ``(T,)``."""
        return np.asarray(self.values.mean(axis=0))

    @property
    def start(self) -> Array:
        """Return the performance before learning, shape ``(S,)``."""
        return np.asarray(self.values[:, 0])

    @property
    def final(self) -> Array:
        """Return the mean over the last quarter of the evaluations, at least one, shape ``(S,)``."""
        return np.asarray(self.values[:, -max(1, self.steps.size // 4) :].mean(axis=1))

    @property
    def area(self) -> Array:
        """Return the area under each curve divided by the budget, shape ``(S,)``, in units of performance."""
        widths = np.diff(self.steps)
        midpoints = (self.values[:, 1:] + self.values[:, :-1]) / 2
        return np.asarray(midpoints @ widths / self.budget)


def arm_curves(points: Iterable[Mapping[str, Any]], arm: str, key: str = "return_mean") -> Curves | None:
    """Gather the curve points of one arm, as ``curves.jsonl`` holds them, into curves with the seeds in rising order.

    Args:
        points: Mappings with ``arm``, ``seed``, ``step`` and ``key``.
        arm: The arm to gather.
        key: ``"return_mean"`` or ``"success_rate"``.

    Returns:
        The curves, or ``None`` if ``key`` is null in a point (an env that does not report success).

    Raises:
        Sim2RealError: The arm has no points, or its seeds were evaluated at different steps.
    """
    by_seed: dict[int, dict[int, float | None]] = {}
    for point in points:
        if point["arm"] == arm:
            by_seed.setdefault(point["seed"], {})[point["step"]] = point[key]
    if not by_seed:
        raise Sim2RealError(f"no curve points for the arm {arm!r}.")
    rows = [sorted(by_seed[seed].items()) for seed in sorted(by_seed)]
    steps = [step for step, _ in rows[0]]
    for seed, row in zip(sorted(by_seed), rows, strict=True):
        if [step for step, _ in row] != steps:
            raise Sim2RealError(
                f"seed {seed} of the arm {arm!r} was evaluated {len(row)} times up to step {row[-1][0]}, "
                f"seed {min(by_seed)} {len(steps)} times up to step {steps[-1]}; finish every seed first."
            )
    values = [[value for _, value in row] for row in rows]
    if any(value is None for row in values for value in row):
        return None
    return Curves(np.array(steps), np.array(values))


def check_paired(transfer: Curves, scratch: Curves) -> None:
    """Check that two arms can be compared seed by seed and step by step.

    Raises:
        Sim2RealError: They differ in seeds or steps, or were evaluated only before learning.
    """
    if transfer.seeds != scratch.seeds:
        raise Sim2RealError(f"the arms have {transfer.seeds} and {scratch.seeds} seeds; run the same seeds in both.")
    if not np.array_equal(transfer.steps, scratch.steps):
        raise Sim2RealError("the arms were evaluated at different steps; use the same budget and schedule for both.")
    if scratch.steps.size < 2:
        raise Sim2RealError("the arms were evaluated only before learning; evaluate at least once after it.")


def jumpstart(transfer: Curves, scratch: Curves) -> Estimate:
    """Return p̄(0) − q̄(0): how much better transfer is before any step in the target."""
    check_paired(transfer, scratch)
    return mean_interval(transfer.start - scratch.start)


def asymptotic_gain(transfer: Curves, scratch: Curves) -> Estimate:
    """Return p̄(∞) − q̄(∞): how much better transfer ends."""
    check_paired(transfer, scratch)
    return mean_interval(transfer.final - scratch.final)


def gain_over_zero_shot(transfer: Curves, zero_shot: Curves) -> Estimate:
    """Return p̄(∞) − z̄: how much better transfer ends than the source policy z that was not trained further.

    Args:
        transfer: The learner's curves.
        zero_shot: One evaluation, at step 0, for each of the same seeds.

    Raises:
        Sim2RealError: They differ in seeds, or zero-shot was evaluated at other steps than 0.
    """
    if transfer.seeds != zero_shot.seeds:
        raise Sim2RealError(
            f"transfer has {transfer.seeds} seeds and zero-shot {zero_shot.seeds}; run the same seeds in both."
        )
    if zero_shot.steps.size != 1:
        raise Sim2RealError(
            f"zero-shot does not learn; evaluate it at step 0 alone, not at {zero_shot.steps.tolist()}."
        )
    return mean_interval(transfer.final - zero_shot.start)


def total_reward_gain(transfer: Curves, scratch: Curves) -> Estimate:
    """Return Ā[p] − Ā[q]: how much better transfer is on average over the budget, in units of performance."""
    check_paired(transfer, scratch)
    return mean_interval(transfer.area - scratch.area)


def scratch_improvement(scratch: Curves) -> Estimate:
    """Return q̄(∞) − q̄(0): what learning from scratch gained over the floor, the yardstick of the other metrics."""
    return mean_interval(scratch.final - scratch.start)


def clearly_positive(estimate: Estimate) -> bool:
    """Return whether a number is above zero: its whole interval, or the number itself where a lone seed gives none."""
    bound = estimate.value if estimate.low is None else estimate.low
    return bound is not None and bound > 0


def transfer_ratio(transfer: Curves, scratch: Curves) -> Estimate:
    """Return (Ā[p] − Ā[q]) / (Ā[q] − q̄(0)): the area gained, relative to scratch's own area above the floor.

    The paper divides by the area above zero; returns may be negative, so here it is measured from the floor.
    Undefined unless scratch's area is clearly above the floor.
    """
    check_paired(transfer, scratch)
    if not clearly_positive(mean_interval(scratch.area - scratch.start)):
        return Estimate(None)

    def ratio(gain: Array, own: Array) -> Array:
        denominator = own.mean(axis=-1)
        return np.where(denominator > 0, gain.mean(axis=-1) / denominator, np.nan)

    return paired_bootstrap(ratio, transfer.area - scratch.area, scratch.area - scratch.start)


def threshold(scratch: Curves) -> float | None:
    """Return q̄(0) + 0.9 (q̄(∞) − q̄(0)): 90 % of what scratch reaches with its full budget.

    ``None`` unless scratch clearly improves over the floor.
    """
    improvement = scratch_improvement(scratch)
    if improvement.value is None or not clearly_positive(improvement):
        return None
    return float(scratch.start.mean()) + THRESHOLD_SHARE * improvement.value


def steps_to_reach(curves: Curves, level: float) -> Array:
    """Return the steps at which each curve first reaches ``level``, shape ``(S,)``.

    Between evaluations the curve is taken as a straight line. A seed that never reaches the level is censored: it
    counts with the budget, the least it can have needed.
    """
    reached = curves.values >= level
    steps = np.full(curves.seeds, float(curves.budget))
    for seed in np.flatnonzero(reached.any(axis=1)):
        after = int(reached[seed].argmax())
        if after == 0:
            steps[seed] = 0.0
            continue
        below, above = curves.values[seed, after - 1 : after + 1]
        start, end = curves.steps[after - 1 : after + 1]
        steps[seed] = start + (end - start) * (level - below) / (above - below)
    return steps


def time_to_threshold_ratio(transfer: Curves, scratch: Curves) -> Estimate:
    """Return τ̄_p / τ̄_q: transfer's target steps to the :func:`threshold`, as a share of scratch's.

    τ_i is seed i's first crossing (:func:`steps_to_reach`); the threshold is held at its value over all seeds. 0 means
    that transfer starts above it, 1 that nothing is saved. Censored scratch seeds make the true ratio smaller than the
    one returned, censored transfer seeds make it larger. Undefined unless scratch clearly improves over the floor.
    """
    check_paired(transfer, scratch)
    level = threshold(scratch)
    if level is None:
        return Estimate(None)
    return paired_bootstrap(
        lambda ours, theirs: ours.mean(axis=-1) / theirs.mean(axis=-1),
        steps_to_reach(transfer, level),
        steps_to_reach(scratch, level),
    )


def lost_jumpstart(transfer: Curves, scratch: Curves, margin: float) -> tuple[int, int | None] | None:
    """Return between which steps a jumpstart that was surely there was surely lost.

    Lost is where the 95 % interval of p_i(t) − p_i(0) over seeds lies below −``margin``, for the first time.

    Args:
        transfer: The transferred learner.
        scratch: The learner from scratch.
        margin: What is too little to matter, in units of performance.

    Returns:
        That step, and the first one after it at which the mean is back above it, ``None`` if it never is; ``None``
        where there was no jumpstart, or it was not lost.
    """
    if not clearly_positive(jumpstart(transfer, scratch)):
        return None
    change = transfer.values - transfer.values[:, :1]
    highs = [mean_interval(change[:, at]).high for at in range(1, transfer.steps.size)]
    lost = [at for at, high in enumerate(highs, start=1) if high is not None and high < -margin]
    if not lost:
        return None
    back = [at for at in range(lost[0] + 1, transfer.steps.size) if change[:, at].mean() >= -margin]
    return int(transfer.steps[lost[0]]), int(transfer.steps[back[0]]) if back else None


def crossover_step(transfer: Curves, scratch: Curves) -> int | None:
    """Return the step from which scratch's mean curve stays above transfer's to the end of the budget.

    Interpolated between evaluations; 0 if scratch is above from the start, ``None`` if it does not end above.
    """
    check_paired(transfer, scratch)
    lead = scratch.mean - transfer.mean
    if lead[-1] <= 0:
        return None
    behind = np.flatnonzero(lead <= 0)
    if behind.size == 0:
        return 0
    last = int(behind[-1])
    share = -lead[last] / (lead[last + 1] - lead[last])
    return round(float(scratch.steps[last] + share * (scratch.steps[last + 1] - scratch.steps[last])))
