"""DORAEMON: the widest distribution in which the policy still succeeds often enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaincinv

from sim2real.domains.randomizers import beta
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

Array = NDArray[np.float64]

_EDGE = 1e-6
"""Samples are kept as far as this from the ends of the limits, where the density may have no logarithm."""
_SLACK = 1e-6
"""By which a constraint may be missed."""
_HALVINGS = 40
_FLAT = 1e-9
_FAR = 50.0  # [nats]; what is farther is allowed by no ε that makes sense
_STILL = 1e-6
"""Divergence [nats] up to which a distribution is taken not to have moved."""


class Doraemon(Adaptive):
    """Domain randomization via entropy maximization (Tiboni et al. 2024).

    Every parameter has a Beta distribution over its limits; φ are the parameters of all of them. At first each has its
    mode at the nominal value, and a + b = ``concentration``. After every ``episodes`` outcomes ξ_k, s_k of the present
    φ_i, the next one is that of

        max H(φ)   subject to   Ĝ(φ) − O(φ) ≥ α   and   KL(φ ‖ φ_i) ≤ ε,

    where H is the entropy and Ĝ(φ) = s̄ + 1/n Σ_k p_φ(ξ_k) / p_φi(ξ_k) (s_k − s̄) the importance-sampling estimate of the
    success rate under φ, with the mean s̄ of the s_k as baseline. Where that is not so at φ_i, Ĝ − O is first maximized
    within ε; if it stays below α, that is the next φ. Solved by SLSQP in the logarithms of a and b, with analytic
    derivatives, in double precision.

    The optimism O is not in the paper, whose updates see thousands of episodes. Of 2d numbers that are chosen by n
    outcomes the best seems better than it is, about by O(φ) = √((exp(2 KL(φ ‖ φ_i)) − 1) · 2d s̄ (1 − s̄) / n): the first
    factor is the variance of the weights between two Gaussians that are close. Without it, 16 parameters and 100
    episodes end far below α. The divergence is that from the new to the old distribution, which
    bounds the weights; the authors' code has it the other way round, the same to second order.

    Args:
        space: The parameters there are.
        ranges: How far each parameter may go, see :class:`Adaptive`.
        success_return: See :class:`Adaptive`.
        success_rate: α, between 0 and 1.
        kl: ε [nats], summed over parameters, above 0.
        episodes: n, at least 2.
        concentration: Of the first distribution, between 2 and 10,000; also the largest a and b. The smallest is 1, so
            that no distribution has its mode at both ends.

    Raises:
        Sim2RealError: See :class:`Adaptive`; or a setting is out of range.
    """

    def __init__(
        self,
        space: DomainSpace,
        *,
        ranges: Any = None,
        success_return: float | None = None,
        success_rate: float = 0.5,
        kl: float = 0.1,
        episodes: int = 100,
        concentration: float = 200.0,
    ) -> None:
        super().__init__(space, ranges=ranges, success_return=success_return)
        self._success_rate = check_number("success_rate", success_rate, 0.0, 1.0)
        self._kl = check_number("kl", kl, 1e-6)
        self._episodes = check_whole("episodes", episodes, 2)
        self._most = check_number("concentration", concentration, 2.0, 1e4)
        self._a = 1.0 + (self._most - 2.0) * self._nominal
        self._b = self._most - self._a
        self._samples: list[list[float]] = []
        self._successes: list[int] = []
        self._figures: dict[str, float] = {}

    @property
    def ranges(self) -> Ranges:
        """Return the ranges in which 95 of 100 draws lie."""
        return self._in_units(*(betaincinv(self._a, self._b, share) for share in (0.025, 0.975)))

    @property
    def distribution(self) -> tuple[Array, Array]:
        """The parameters a and b of the Beta distributions, each in the order of :attr:`names`."""
        return self._a.copy(), self._b.copy()

    def sample(self, rng: np.random.Generator) -> Domain:
        """Draw every parameter from its Beta distribution."""
        return self._domain(np.clip(rng.beta(self._a, self._b), _EDGE, 1.0 - _EDGE))

    def figures(self) -> dict[str, float]:
        """Return the ``entropy``, mean over parameters [nats], 0 where uniform; and, of the last update, its numbers.

        ``success_rate`` is that of the outcomes, ``expected_success_rate`` Ĝ of the new distribution, ``kl`` how far
        that is from the old one, ``optimism`` O, and ``effective_samples`` (Σ w)² / Σ w² of the importance weights over
        their number.
        """
        return {"entropy": float(np.mean(beta.entropy(self._a, self._b))), **self._figures}

    def _learn(self, outcome: Outcome) -> bool | None:
        success = self._succeeded(outcome)
        if outcome.generation != self.generation:  # drawn from an earlier distribution
            return None
        self._samples.append(self._numbers(outcome.domain).tolist())
        self._successes.append(int(success))
        if len(self._samples) < self._episodes:
            return None
        update = Update(
            self._a,
            self._b,
            np.clip(self._samples, _EDGE, 1.0 - _EDGE),
            np.array(self._successes, np.float64),
            success_rate=self._success_rate,
            kl=self._kl,
            most=self._most,
        )
        a, b = update.solve()
        self._figures = update.figures(a, b)
        moved = self._figures["kl"] > _STILL
        if moved:
            self._a, self._b = a, b
        self._samples, self._successes = [], []
        return moved

    def _done(self) -> bool:
        return bool(np.allclose(self._a, 1.0) and np.allclose(self._b, 1.0))

    def _state(self) -> dict[str, Any]:
        return {
            "a": self._a.tolist(),
            "b": self._b.tolist(),
            "samples": self._samples,
            "successes": self._successes,
            "figures": self._figures,
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        most = self._most * (1.0 + 1e-9)  # a logarithm and back
        self._a, self._b = (read_numbers(state[name], self._a.shape, 1.0 - 1e-9, most) for name in ("a", "b"))
        samples = read_numbers(state["samples"], (None, len(self.names)), 0.0, 1.0)
        successes = read_numbers(state["successes"], (len(samples),), 0.0, 1.0)
        self._samples, self._successes = samples.tolist(), [int(success) for success in successes]
        self._figures = read_figures(state["figures"])


class Update:
    """One update of DORAEMON.

    Args:
        a: First parameters of the present distribution, shape (d,).
        b: Second parameters, shape (d,).
        samples: Drawn from it, between 0 and 1, both excluded, shape (n, d).
        successes: 1 where the episode succeeded, 0 where not, shape (n,).
        success_rate: α.
        kl: ε [nats].
        most: Largest value of the parameters; the smallest is 1.
    """

    def __init__(
        self, a: Array, b: Array, samples: Array, successes: Array, *, success_rate: float, kl: float, most: float
    ) -> None:
        self._a, self._b, self._samples, self._successes = a, b, samples, successes
        self._alpha, self._epsilon, self._most = success_rate, kl, most
        self._old = beta.log_density(samples, a, b)
        self._mean = float(np.mean(successes))
        self._noise = 2.0 * a.size * self._mean * (1.0 - self._mean) / len(successes)

    def weights(self, a: Array, b: Array) -> Array:
        """Return the importance weights p_φ / p_φi of the samples, shape (n,)."""
        return np.exp(beta.log_density(self._samples, a, b) - self._old)

    def success(self, a: Array, b: Array) -> float:
        """Return Ĝ, the estimate of the success rate under another distribution."""
        return self._mean + float(np.mean(self.weights(a, b) * (self._successes - self._mean)))

    def optimism(self, a: Array, b: Array) -> float:
        """Return O, by how much Ĝ of a distribution that it was chosen by is too high."""
        divergence = beta.kl_divergence(a, b, self._a, self._b)
        spread = np.expm1(2.0 * min(max(divergence, 0.0), _FAR))
        return float(np.sqrt(self._noise * spread))

    def success_gradient(self, a: Array, b: Array) -> tuple[Array, Array]:
        """Return the derivatives of Ĝ with respect to ``a`` and ``b``, each of shape (d,)."""
        weighted = (self.weights(a, b) * (self._successes - self._mean))[:, None]
        by_a, by_b = beta.log_density_gradient(self._samples, a, b)
        return np.mean(weighted * by_a, axis=0), np.mean(weighted * by_b, axis=0)

    def solve(self) -> tuple[Array, Array]:
        """Return the parameters of the next distribution."""
        if not self._successes.any():  # there is no direction in which more would succeed
            return self._a, self._b
        here = np.log(np.concatenate([self._a, self._b]))
        near = {"type": "ineq", "fun": self._room, "jac": self._room_gradient}
        enough = {"type": "ineq", "fun": self._surplus, "jac": self._surplus_gradient}
        start = here
        if self._surplus(here) < 0.0:
            start = self._search(here, lambda x: -self._surplus(x), lambda x: -self._surplus_gradient(x), [near])
            start = self._back(start, here, lambda x: self._room(x) >= -_SLACK)
            if self._surplus(start) < 0.0:
                return self._split(start)
        found = self._search(start, self._narrowness, self._narrowness_gradient, [near, enough])
        found = self._back(found, start, lambda x: self._room(x) >= -_SLACK and self._surplus(x) >= -_SLACK)
        return self._split(found if self._narrowness(found) < self._narrowness(start) else start)

    def figures(self, a: Array, b: Array) -> dict[str, float]:
        """Return the numbers of a step to another distribution, see :meth:`Doraemon.figures`."""
        weights = self.weights(a, b)
        return {
            "success_rate": float(np.mean(self._successes)),
            "expected_success_rate": self.success(a, b),
            "optimism": self.optimism(a, b),
            "kl": beta.kl_divergence(a, b, self._a, self._b),
            "effective_samples": float(weights.sum() ** 2 / (weights**2).sum() / len(weights)),
        }

    def _search(
        self,
        start: Array,
        objective: Callable[[Array], float],
        gradient: Callable[[Array], Array],
        constraints: list[dict[str, Any]],
    ) -> Array:
        result = minimize(
            objective,
            start,
            jac=gradient,
            bounds=[(0.0, np.log(self._most))] * len(start),
            constraints=constraints,
            method="SLSQP",
            options={"maxiter": 200, "ftol": 1e-8},
        )
        found: Array = np.clip(result.x, 0.0, np.log(self._most))
        return found

    @staticmethod
    def _back(found: Array, start: Array, allowed: Callable[[Array], bool]) -> Array:
        """Return the point next to ``found``, on the way back to ``start``, at which the constraints hold."""
        for halving in range(_HALVINGS):
            x = start + (found - start) * 0.5**halving
            if np.isfinite(x).all() and allowed(x):
                return x
        return start

    def _split(self, x: Array) -> tuple[Array, Array]:
        a, b = np.split(np.exp(x), 2)
        return a, b

    def _chain(self, x: Array, gradients: tuple[Array, Array]) -> Array:
        """Return derivatives with respect to the logarithms."""
        return np.concatenate(gradients) * np.exp(x)

    def _room(self, x: Array) -> float:
        return self._epsilon - beta.kl_divergence(*self._split(x), self._a, self._b)

    def _room_gradient(self, x: Array) -> Array:
        return -self._chain(x, beta.kl_gradient(*self._split(x), self._a, self._b))

    def _surplus(self, x: Array) -> float:
        a, b = self._split(x)
        return self.success(a, b) - self.optimism(a, b) - self._alpha

    def _surplus_gradient(self, x: Array) -> Array:
        a, b = self._split(x)
        found = self._chain(x, self.success_gradient(a, b))
        optimism = self.optimism(a, b)
        if optimism > _FLAT:  # it has a corner where the distribution stays
            slope = (self._noise + optimism**2) / optimism
            found -= slope * self._chain(x, beta.kl_gradient(a, b, self._a, self._b))
        return found

    def _narrowness(self, x: Array) -> float:
        """Return KL(φ ‖ uniform), which is the entropy with its sign changed."""
        one = np.ones_like(self._a)
        return beta.kl_divergence(*self._split(x), one, one)

    def _narrowness_gradient(self, x: Array) -> Array:
        one = np.ones_like(self._a)
        return self._chain(x, beta.kl_gradient(*self._split(x), one, one))
