"""Sampling for learnability: episodes in domains that the policy sometimes masters and sometimes does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from sim2real.domains.randomizers.base import Adaptive, Outcome, Ranges, check_number, check_whole, read_numbers
from sim2real.domains.space import Domain, DomainSpace

Array = NDArray[np.float64]

_CANDIDATES = 32
_PRIOR_STD = 2.0


class Learnability(Adaptive):
    """Domains as likely as ``p (1 - p)``, the variance of success in them (Rutherford et al. 2024, "No Regrets").

    Where a policy always succeeds there is nothing left to learn, and where it never does there is nothing to learn
    from yet. The chance of success ``p`` in a domain is fitted to the last ``memory`` outcomes after every
    ``episodes``: a logistic regression on every parameter and its square, with a Gaussian prior of standard deviation
    2 on the coefficients, in units of the limits, from −1 to 1. A domain is one of 32 candidates, chosen with a
    probability in proportion to ``p (1 - p)``; a share of the episodes is in any of them. A candidate ``ξ_0 + r (ξ -
    ξ_0)``, ``r`` uniform from 0 to 1, lies on the way from the nominal domain ``ξ_0`` to a ``ξ`` drawn uniformly from
    the limits: of many parameters drawn uniformly there is nearly always one that is extreme, and a policy that has yet
    to learn would meet nothing that it can.

    Args:
        space: The parameters there are.
        ranges: How far each parameter may go, see :class:`Adaptive`.
        success_return: See :class:`Adaptive`.
        episodes: Between two fits, at least 1.
        memory: Outcomes that are fitted, at least 10.
        any_share: Of the episodes in any candidate, between 0 and 1.

    Raises:
        Sim2RealError: See :class:`Adaptive`; or a setting is out of range.
    """

    def __init__(
        self,
        space: DomainSpace,
        *,
        ranges: Any = None,
        success_return: float | None = None,
        episodes: int = 50,
        memory: int = 400,
        any_share: float = 0.25,
    ) -> None:
        super().__init__(space, ranges=ranges, success_return=success_return)
        self._episodes = check_whole("episodes", episodes, 1)
        self._memory = check_whole("memory", memory, 10)
        self._any_share = check_number("any_share", any_share, 0.0, 1.0)
        self._weights = np.zeros(1 + 2 * len(self.names))
        self._seen: list[list[float]] = []
        self._successes: list[int] = []
        self._new = 0

    @property
    def ranges(self) -> Ranges:
        """Return the limits, up to which domains are drawn."""
        return self.limits

    def chance(self, numbers: Array) -> Array:
        """Return the chance of success that is expected in domains.

        Args:
            numbers: Of the parameters that vary, in units of the limits from 0 to 1, shape (n, d).

        Returns:
            Shape (n,).
        """
        found: Array = expit(_features(numbers) @ self._weights)
        return found

    def sample(self, rng: np.random.Generator) -> Domain:
        """Draw a domain."""
        far = rng.random((_CANDIDATES, len(self.names)))
        numbers = self._nominal + rng.random((_CANDIDATES, 1)) * (far - self._nominal)
        if rng.random() < self._any_share:
            return self._domain(numbers[0])
        chance = self.chance(numbers)
        cumulated = np.cumsum(chance * (1.0 - chance))
        index = int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))
        return self._domain(numbers[min(index, _CANDIDATES - 1)])

    def figures(self) -> dict[str, float]:
        """Return ``success_rate`` over the memory, and ``spread``, the standard deviation of the chances in it."""
        if not self._seen:
            return {}
        chances = self.chance(np.array(self._seen))
        return {"success_rate": float(np.mean(self._successes)), "spread": float(np.std(chances))}

    def _learn(self, outcome: Outcome) -> bool | None:
        self._successes.append(int(self._succeeded(outcome)))
        self._seen.append(self._numbers(outcome.domain).tolist())
        self._seen, self._successes = self._seen[-self._memory :], self._successes[-self._memory :]
        self._new += 1
        if self._new < self._episodes:
            return None
        self._new = 0
        self._weights = _fit(_features(np.array(self._seen)), np.array(self._successes, np.float64))
        return True

    def _state(self) -> dict[str, Any]:
        return {
            "weights": self._weights.tolist(),
            "seen": self._seen,
            "successes": self._successes,
            "new": self._new,
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        self._weights = read_numbers(state["weights"], self._weights.shape)
        seen = read_numbers(state["seen"], (None, len(self.names)), 0.0, 1.0)
        successes = read_numbers(state["successes"], (len(seen),), 0.0, 1.0)
        self._seen, self._successes = seen.tolist(), [int(success) for success in successes]
        self._new = int(read_numbers(state["new"], (), 0.0))


def _features(numbers: Array) -> Array:
    centred = 2.0 * numbers - 1.0
    return np.hstack([np.ones((len(numbers), 1)), centred, centred**2])


def _fit(features: Array, successes: Array) -> Array:
    """Return the coefficients that are most likely given outcomes; that of the constant has no prior."""
    penalty = np.full(features.shape[1], _PRIOR_STD**-2)
    penalty[0] = 0.0

    def loss(weights: Array) -> tuple[float, Array]:
        scores = features @ weights
        value = np.sum(np.logaddexp(0.0, scores) - successes * scores) + 0.5 * np.sum(penalty * weights**2)
        return float(value), features.T @ (expit(scores) - successes) + penalty * weights

    # With one kind of outcome alone the constant has no best value: its bounds are chances of a thousandth.
    bounds = [(-7.0, 7.0)] + [(None, None)] * (features.shape[1] - 1)
    found: Array = minimize(loss, np.zeros(features.shape[1]), jac=True, bounds=bounds, method="L-BFGS-B").x
    return found
