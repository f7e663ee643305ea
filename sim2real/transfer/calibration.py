"""How the adviser is calibrated: a logistic regression on pairs of worlds whose verdicts are known.

Pairs are few, and those of one world are alike. So the model is small and held back by a penalty, and what it says is
judged in worlds of which nothing went into it, the choice of the penalty included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit

from sim2real.errors import Sim2RealError
from sim2real.transfer.adviser import FEATURES, Adviser, Features, Term

Array = NDArray[np.float64]

PENALTIES = (0.1, 1.0, 10.0, 100.0)
"""From which λ is chosen; the largest leaves little but the base rate."""


def fit_logistic(inputs: ArrayLike, labels: ArrayLike, penalty: float) -> tuple[Array, float]:
    """Fit a logistic regression with an L2 penalty; return weights w (k,) and intercept b.

    They minimize, with z = X w + b,

        −Σ_i [t_i log σ(z_i) + (1 − t_i) log (1 − σ(z_i))] + λ/2 |w|².

    The targets t are those of Platt (1999, "Probabilistic outputs for support vector machines", section 2.2),
    (N₊ + 1)/(N₊ + 2) for the N₊ labels that are true and 1/(N₋ + 2) for the N₋ others, so that b, which bears no
    penalty, is finite where all labels are the same.

    Args:
        inputs: X, standardized, shape (n, k).
        labels: Shape (n,), true or false.
        penalty: λ, above 0.
    """
    x, truth = np.asarray(inputs, np.float64), np.asarray(labels, bool)
    targets = np.where(truth, (truth.sum() + 1) / (truth.sum() + 2), 1 / ((~truth).sum() + 2))
    design = np.column_stack((x, np.ones(len(x))))
    ridge = np.append(np.full(x.shape[1], penalty), 0.0)

    def loss(theta: Array) -> float:
        z = design @ theta
        return float(np.sum(np.logaddexp(0.0, z) - targets * z) + 0.5 * ridge @ theta**2)

    def slope(theta: Array) -> Array:
        return np.asarray(design.T @ (expit(design @ theta) - targets) + ridge * theta)

    def curvature(theta: Array) -> Array:
        p = expit(design @ theta)
        return np.asarray((design * (p * (1.0 - p))[:, None]).T @ design + np.diag(ridge))

    found = minimize(
        loss, np.zeros(design.shape[1]), jac=slope, hess=curvature, method="trust-exact", options={"gtol": 1e-9}
    )
    return np.asarray(found.x[:-1]), float(found.x[-1])


def fit_adviser(rows: Sequence[Features], pays: Sequence[bool], penalty: float) -> Adviser:
    """Fit the adviser's model.

    Args:
        rows: The features of each pair.
        pays: Whether the verdict was that it pays.
        penalty: λ.

    Raises:
        Sim2RealError: There are no pairs.
    """
    if not rows:
        raise Sim2RealError("the adviser needs pairs whose verdict is known.")
    values = np.array([[np.nan if row[name] is None else row[name] for name in FEATURES] for row in rows], np.float64)
    known = ~np.isnan(values)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, values, 0.0).sum(axis=0) / counts
    centred = np.where(known, values - means, 0.0)
    stds = np.sqrt((centred**2).sum(axis=0) / counts)
    stds = np.where(stds > 1e-9, stds, 1.0)  # of what does not vary nothing can be learned
    weights, intercept = fit_logistic(centred / stds, pays, penalty)
    terms = {
        name: Term(mean=float(mean), std=float(std), weight=float(weight))
        for name, mean, std, weight in zip(FEATURES, means, stds, weights, strict=True)
    }
    return Adviser(terms=terms, intercept=intercept)


def choose_penalty(rows: Sequence[Features], pays: Sequence[bool], worlds: Sequence[str]) -> float:
    """Return the penalty with the least Brier score in worlds that are held out in turn; of equals the largest.

    Where there is only one world nothing can be held out, and it is the largest of all.

    Args:
        rows: The features of each pair.
        pays: Whether the verdict was that it pays.
        worlds: Of which world each pair is.
    """
    if len(set(worlds)) < 2:
        return PENALTIES[-1]

    def score(penalty: float) -> float:
        return brier(_held_out(rows, pays, worlds, lambda *_: penalty), pays)

    return min(PENALTIES, key=lambda penalty: (round(score(penalty), 9), -penalty))


def hold_out(rows: Sequence[Features], pays: Sequence[bool], worlds: Sequence[str]) -> list[float]:
    """Return, pair by pair, the probability that a model says which was made without any pair of the same world.

    Args:
        rows: The features of each pair.
        pays: Whether the verdict was that it pays.
        worlds: Of which world each pair is; at least two.
    """
    return _held_out(rows, pays, worlds, choose_penalty)


def base_rates(pays: Sequence[bool], worlds: Sequence[str]) -> list[float]:
    """Return, pair by pair, the share of the pairs of all other worlds that pay: what knows nothing of a pair says."""
    rates = {world: np.mean([p for p, other in zip(pays, worlds, strict=True) if other != world]) for world in worlds}
    return [float(rates[world]) for world in worlds]


def brier(probabilities: Sequence[float], pays: Sequence[bool]) -> float:
    """Return the Brier score, the mean of (p − y)²: 0 for an oracle, 0.25 for always saying one half."""
    return float(np.mean((np.asarray(probabilities) - np.asarray(pays, np.float64)) ** 2))


def accuracy(probabilities: Sequence[float], pays: Sequence[bool]) -> float:
    """Return the share of pairs of which the likelier was true; one half says that it pays."""
    return float(np.mean((np.asarray(probabilities) >= 0.5) == np.asarray(pays, bool)))


def _held_out(
    rows: Sequence[Features],
    pays: Sequence[bool],
    worlds: Sequence[str],
    choose: Callable[[Sequence[Features], Sequence[bool], Sequence[str]], float],
) -> list[float]:
    """Return the probabilities of models without the pair's world; their penalty is chosen without it, too."""
    models = {}
    for world in dict.fromkeys(worlds):
        others = [index for index, other in enumerate(worlds) if other != world]
        known = [rows[i] for i in others], [pays[i] for i in others], [worlds[i] for i in others]
        models[world] = fit_adviser(*known[:2], choose(*known))
    return [models[world].probability(row) for row, world in zip(rows, worlds, strict=True)]
