"""Statistics over several pairs of worlds at once, each with a stratified bootstrap interval.

They are those of Agarwal et al. (2021, "Deep RL at the Edge of the Statistical Precipice", NeurIPS; sections 4.1 to
4.3). Scores are one array a task (here: a pair of source and target), shape ``(runs,)``, on a scale that tasks share,
as success is. A resample draws runs with replacement within each task, tasks stay; the interval is the percentile one
of that paper. With a handful of runs a task it is the tasks together that make it worth something: over a single pair,
use :mod:`sim2real.evaluation.statistics`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim2real.errors import Sim2RealError
from sim2real.evaluation.statistics import Array, Estimate

RESAMPLES = 20_000
"""Of an interval."""

_CHUNK = 1_000_000  # values that are resampled at once

Times = NDArray[np.int64]
"""How often resamples have drawn each run of a task, shape ``(resamples, runs)``."""
Statistic = Callable[[Sequence[Times]], Array]
"""Maps how often the runs of every task were drawn to an outcome of each resample."""


def interquartile_mean(scores: Sequence[ArrayLike]) -> Estimate:
    """Estimate the mean of the middle half of all runs of all tasks.

    The quarter of the values that is cut at each end is rounded down to whole values.

    Args:
        scores: One array of shape ``(runs,)`` a task.

    Raises:
        Sim2RealError: There are no tasks, a task has no runs, or a score is not finite.
    """
    checked = _check(scores)
    values = np.concatenate(checked)
    order = np.argsort(values)
    cut, count = values.size // 4, values.size

    def statistic(times: Sequence[Times]) -> Array:
        # Of each value, in rising order, how much of its copies lies between the two cuts.
        reached = np.cumsum(np.concatenate(times, axis=1)[:, order], axis=1).clip(cut, count - cut)
        return np.asarray(np.diff(reached, axis=1, prepend=cut) @ values[order] / (count - 2 * cut))

    return _estimate(statistic, checked)


def probability_of_improvement(scores: Sequence[ArrayLike], others: Sequence[ArrayLike]) -> Estimate:
    """Estimate how likely a run of one method beats one of another on a task drawn at random.

    ``P(X > Y) = mean over tasks of mean over x, y of S(x, y)``, with S = 1, ½ or 0 for more, the same or less.

    Args:
        scores: Of the method X, one array of shape ``(runs,)`` a task.
        others: Of the method Y, on the same tasks; runs may be more or less.

    Raises:
        Sim2RealError: The tasks are not as many, or see :func:`interquartile_mean`.
    """
    first, second = _check(scores), _check(others)
    if len(first) != len(second):
        raise Sim2RealError(f"the methods have scores of {len(first)} and {len(second)} tasks; give the same tasks.")

    wins = [(x[:, None] > y) + 0.5 * (x[:, None] == y) for x, y in zip(first, second, strict=True)]

    def statistic(times: Sequence[Times]) -> Array:
        shares = [
            ((drawn @ won) * others_drawn).sum(axis=1) / won.size
            for drawn, won, others_drawn in zip(times[: len(first)], wins, times[len(first) :], strict=True)
        ]
        return np.asarray(sum(shares) / len(shares))

    return _estimate(statistic, [*first, *second])


@dataclass(frozen=True)
class Profile:
    """Share of runs above each threshold, shape ``(thresholds,)`` each."""

    thresholds: Array
    share: Array
    low: Array
    """Lower end of the pointwise 95 % interval."""
    high: Array
    """Upper end of it."""


def performance_profile(scores: Sequence[ArrayLike], thresholds: ArrayLike) -> Profile:
    """Return which share of runs, averaged over tasks, scores more than each threshold.

    Args:
        scores: One array of shape ``(runs,)`` a task.
        thresholds: Shape ``(thresholds,)``.

    Raises:
        Sim2RealError: See :func:`interquartile_mean`.
    """
    levels, checked = np.asarray(thresholds, dtype=np.float64), _check(scores)
    shares = np.concatenate([(task[:, None] > levels) / (task.size * len(checked)) for task in checked])

    def statistic(times: Sequence[Times]) -> Array:
        return np.asarray(np.concatenate(times, axis=1).astype(np.float64) @ shares)

    low, high = np.quantile(_outcomes(statistic, checked), [0.025, 0.975], axis=0)
    return Profile(levels, statistic(_once(checked))[0], low, high)


def _check(scores: Sequence[ArrayLike]) -> list[Array]:
    arrays = [np.asarray(task, dtype=np.float64) for task in scores]
    if not arrays or any(array.ndim != 1 or array.size == 0 for array in arrays):
        shapes = [array.shape for array in arrays]
        raise Sim2RealError(f"scores need one array of at least one run for each task, got shapes {shapes}.")
    for number, array in enumerate(arrays):
        if not np.isfinite(array).all():
            raise Sim2RealError(f"a score of task {number} is not finite: {array.tolist()}.")
    return arrays


def _estimate(statistic: Statistic, scores: Sequence[Array]) -> Estimate:
    value = float(statistic(_once(scores))[0])
    if all(task.size == 1 for task in scores):  # resampling would only repeat it
        return Estimate(value)
    low, high = np.quantile(_outcomes(statistic, scores), [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def _once(scores: Sequence[Array]) -> list[Times]:
    """Return the resample that is the scores themselves: each run once."""
    return [np.ones((1, task.size), dtype=np.int64) for task in scores]


def _outcomes(statistic: Statistic, scores: Sequence[Array]) -> Array:
    """Return a statistic of :data:`RESAMPLES` stratified resamples, the same for the same scores."""
    rng, found = np.random.default_rng(0), []
    rows = max(1, _CHUNK // sum(task.size for task in scores))
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        found.append(statistic([_draw(rng, count, task.size) for task in scores]))
    return np.concatenate(found)


def _draw(rng: np.random.Generator, count: int, runs: int) -> Times:
    drawn = rng.integers(runs, size=(count, runs)) + runs * np.arange(count)[:, None]
    return np.bincount(drawn.ravel(), minlength=count * runs).reshape(count, runs)
