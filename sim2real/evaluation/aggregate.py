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


def interquartile_mean(scores: Sequence[ArrayLike]) -> Estimate:
    """Estimate the mean of the middle half of all runs of all tasks.

    The quarter of the values that is cut at each end is rounded down to whole values.

    Args:
        scores: One array of shape ``(runs,)`` a task.

    Raises:
        Sim2RealError: There are no tasks, a task has no runs, or a score is not finite.
    """
    return _estimate(_interquartile_mean, _check(scores))


def _interquartile_mean(resampled: Sequence[Array]) -> Array:
    values = np.sort(np.concatenate(resampled, axis=-1), axis=-1)
    cut = values.shape[-1] // 4
    return np.asarray(values[..., cut : values.shape[-1] - cut].mean(axis=-1))


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

    def statistic(resampled: Sequence[Array]) -> Array:
        wins = []
        for x, y in zip(resampled[: len(first)], resampled[len(first) :], strict=True):
            lead = x[..., :, None] - y[..., None, :]
            wins.append(((lead > 0) + 0.5 * (lead == 0)).mean(axis=(-2, -1)))
        return np.asarray(np.mean(wins, axis=0))

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

    def statistic(resampled: Sequence[Array]) -> Array:
        above = [(x[..., None] > levels).mean(axis=-2) for x in resampled]
        return np.asarray(np.mean(above, axis=0))

    share, outcomes = statistic(checked), _outcomes(statistic, checked, levels.size)
    low, high = np.quantile(outcomes, [0.025, 0.975], axis=0)
    return Profile(levels, share, low, high)


def _check(scores: Sequence[ArrayLike]) -> list[Array]:
    arrays = [np.asarray(task, dtype=np.float64) for task in scores]
    if not arrays or any(array.ndim != 1 or array.size == 0 for array in arrays):
        shapes = [array.shape for array in arrays]
        raise Sim2RealError(f"scores need one array of at least one run for each task, got shapes {shapes}.")
    for number, array in enumerate(arrays):
        if not np.isfinite(array).all():
            raise Sim2RealError(f"a score of task {number} is not finite: {array.tolist()}.")
    return arrays


def _estimate(statistic: Callable[[Sequence[Array]], Array], scores: Sequence[Array]) -> Estimate:
    value = float(statistic(scores))
    if all(task.size == 1 for task in scores):  # resampling would only repeat it
        return Estimate(value)
    low, high = np.quantile(_outcomes(statistic, scores), [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def _outcomes(statistic: Callable[[Sequence[Array]], Array], scores: Sequence[Array], width: int = 1) -> Array:
    """Return a statistic of :data:`RESAMPLES` stratified resamples, the same for the same scores."""
    rng, found = np.random.default_rng(0), []
    size = sum(task.size for task in scores) * max(width, *(task.size for task in scores))
    rows = max(1, _CHUNK // size)
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        drawn: list[NDArray[np.int64]] = [rng.integers(task.size, size=(count, task.size)) for task in scores]
        found.append(statistic([task[rows_] for task, rows_ in zip(scores, drawn, strict=True)]))
    return np.concatenate(found)
