"""Active randomization: episodes where the policy does worst, searched for while it learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from sim2real.domains.randomizers.base import (
    Adaptive,
    Outcome,
    Ranges,
    check_number,
    check_whole,
    read_figures,
    read_numbers,
)
from sim2real.domains.space import Domain, DomainSpace

_FIRST_STD = 0.5
_LAST_STD = 0.1


class Active(Adaptive):
    """Worst-case search over the domains by the cross-entropy method (Rubinstein 1999), while the policy learns.

    Every parameter is Gaussian, truncated to its limits. After every ``episodes`` outcomes, those with the lowest
    returns are the elite, and mean μ and standard deviation σ move towards theirs, in units of the limits:
    μ ← (1 − η) μ + η μ_elite, σ likewise, but not below 0.1, so that it never settles on one domain. A share of the
    episodes is drawn uniformly from all of the limits: the policy must not forget the rest, and the search has to see
    it.

    Args:
        space: The parameters there are.
        ranges: How far each parameter may go, see :class:`Adaptive`.
        episodes: Between two updates, at least 2.
        elite: Share of these that is the worst, between 0 and 1.
        rate: η, between 0 and 1.
        uniform_share: Of the episodes drawn uniformly, between 0 and 1.

    Raises:
        Sim2RealError: See :class:`Adaptive`; or a setting is out of range.
    """

    needs_success = False

    def __init__(
        self,
        space: DomainSpace,
        *,
        ranges: Any = None,
        episodes: int = 100,
        elite: float = 0.2,
        rate: float = 0.5,
        uniform_share: float = 0.5,
    ) -> None:
        super().__init__(space, ranges=ranges)
        self._episodes = check_whole("episodes", episodes, 2)
        self._elite = check_number("elite", elite, 0.0, 1.0)
        self._rate = check_number("rate", rate, 0.0, 1.0)
        self._uniform_share = check_number("uniform_share", uniform_share, 0.0, 1.0)
        self._mean = np.full_like(self._nominal, 0.5)
        self._std = np.full_like(self._nominal, _FIRST_STD)
        self._seen: list[tuple[float, list[float]]] = []
        self._figures: dict[str, float] = {}

    @property
    def ranges(self) -> Ranges:
        """Return the limits, from all of which a share of the episodes is drawn."""
        return self.limits

    def sample(self, rng: np.random.Generator) -> Domain:
        """Draw from the Gaussians or, at times, uniformly from the limits."""
        numbers = rng.random(len(self.names))
        if rng.random() >= self._uniform_share:
            low, high = (ndtr((end - self._mean) / self._std) for end in (0.0, 1.0))
            numbers = np.clip(self._mean + self._std * ndtri(low + numbers * (high - low)), 0.0, 1.0)
        return self._domain(numbers)

    def figures(self) -> dict[str, float]:
        """Return ``std``, mean over parameters; of the last update, the ``mean_return`` of all and of the elite."""
        return {"std": float(np.mean(self._std)), **self._figures}

    def _learn(self, outcome: Outcome) -> bool | None:
        self._seen.append((outcome.ret, self._numbers(outcome.domain).tolist()))
        if len(self._seen) < self._episodes:
            return None
        # Equal returns stay in the order in which they came, which says nothing of their domains.
        worst = sorted(self._seen, key=lambda seen: seen[0])[: max(2, round(self._elite * len(self._seen)))]
        numbers = np.array([number for _, number in worst])
        self._mean += self._rate * (numbers.mean(axis=0) - self._mean)
        self._std += self._rate * (numbers.std(axis=0) - self._std)
        self._std = np.maximum(self._std, _LAST_STD)
        self._figures = {
            "mean_return": float(np.mean([ret for ret, _ in self._seen])),
            "elite_return": float(np.mean([ret for ret, _ in worst])),
        }
        self._seen = []
        return True

    def _state(self) -> dict[str, Any]:
        return {
            "mean": self._mean.tolist(),
            "std": self._std.tolist(),
            "seen": [[ret, numbers] for ret, numbers in self._seen],
            "figures": self._figures,
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        size = len(self.names)
        self._mean = read_numbers(state["mean"], (size,), 0.0, 1.0)
        self._std = read_numbers(state["std"], (size,), _LAST_STD, _FIRST_STD)
        returns = read_numbers([ret for ret, _ in state["seen"]], (None,))
        numbers = read_numbers([numbers for _, numbers in state["seen"]], (None, size))
        self._seen = list(zip(returns.tolist(), numbers.tolist(), strict=True))
        self._figures = read_figures(state["figures"])
