"""Automatic domain randomization: ranges that widen where the policy succeeds at their boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sim2real.domains.randomizers.base import Adaptive, Outcome, Ranges, check_number, check_whole, read_numbers
from sim2real.domains.space import Domain, DomainSpace
from sim2real.errors import Sim2RealError

_TOUCH = 1e-9
_NARROWEST = 1e-3


class ADR(Adaptive):
    """Automatic domain randomization (OpenAI et al. 2019, "Solving Rubik's Cube with a Robot Hand", algorithm 1).

    Every parameter i is uniform in its range [φ_i^L, φ_i^H], at first its nominal value alone. An episode is, with
    probability p_b, a *boundary* one: one parameter is set to one end of its range, all others are drawn. An end
    has a buffer of the successes of the episodes that lay on it; once it holds m, and the share p̄ of successes is at
    least t_H, the end moves out by Δ, up to the limit; is it at most t_L, it moves in, down to the nominal value; the
    buffer is then emptied.

    Here an episode counts for every end that it lies on, not only for the one that was chosen: as long as a range is
    one value, each episode is on both ends of it, and all ranges open together. An end that is nominal value and limit
    at once cannot move and is not evaluated. With ``boundaries`` above 1 a boundary episode has so many parameters at
    ends, which gives as many results where episodes are few; with 1 it is the algorithm of the paper.

    Args:
        space: The parameters there are.
        ranges: How far each parameter may go, see :class:`Adaptive`.
        success_return: See :class:`Adaptive`.
        boundary_probability: p_b, between 0 and 1.
        boundaries: How many ends are drawn for a boundary episode, at least 1.
        buffer: m [episodes], at least 1.
        raise_from: t_H [success rate].
        lower_from: t_L [success rate], below t_H.
        step: Δ, as a share of the distance between the limits, above 0.

    Raises:
        Sim2RealError: See :class:`Adaptive`; or a setting is out of range.
    """

    patience = 100  # an update is that of one end of one range

    def __init__(
        self,
        space: DomainSpace,
        *,
        ranges: Any = None,
        success_return: float | None = None,
        boundary_probability: float = 0.5,
        boundaries: int = 1,
        buffer: int = 20,
        raise_from: float = 0.8,
        lower_from: float = 0.4,
        step: float = 0.05,
    ) -> None:
        super().__init__(space, ranges=ranges, success_return=success_return)
        self._probability = check_number("boundary_probability", boundary_probability, 0.0, 1.0)
        self._boundaries = check_whole("boundaries", boundaries, 1)
        self._buffer = check_whole("buffer", buffer, 1)
        self._raise_from = check_number("raise_from", raise_from, 0.0, 1.0)
        self._lower_from = check_number("lower_from", lower_from, 0.0, 1.0)
        if self._lower_from >= self._raise_from:
            raise Sim2RealError(f"lower_from = {lower_from:g} must be below raise_from = {raise_from:g}.")
        self._step = check_number("step", step, 1e-6, 1.0)
        # Row 0 has the lower ends, row 1 the upper ones.
        self._ends = np.stack([self._nominal, self._nominal])
        self._last = np.stack([np.zeros_like(self._nominal), np.ones_like(self._nominal)])
        self._movable = np.argwhere(self._nominal != self._last)
        self._successes: dict[tuple[int, int], list[int]] = {(side, i): [] for side, i in self._movable.tolist()}

    @property
    def ranges(self) -> Ranges:
        """Return the present ranges."""
        return self._in_units(self._ends[0], self._ends[1])

    @property
    def entropy(self) -> float:
        """The mean over parameters of log(φ^H − φ^L) in units of the limits [nats]: 0 where all ranges are the limits.

        A range narrower than a thousandth counts as that wide.
        """
        return float(np.mean(np.log(np.maximum(self._ends[1] - self._ends[0], _NARROWEST))))

    def sample(self, rng: np.random.Generator) -> Domain:
        """Draw every parameter from its range, or all but some, which are set to one of their ends."""
        numbers = rng.uniform(self._ends[0], self._ends[1])
        if rng.random() < self._probability:
            for side, i in self._movable[rng.integers(len(self._movable), size=self._boundaries)]:
                numbers[i] = self._ends[side, i]
        return self._domain(numbers)

    def figures(self) -> dict[str, float]:
        """Return the ``entropy``."""
        return {"entropy": self.entropy}

    def _learn(self, outcome: Outcome) -> bool | None:
        success = self._succeeded(outcome)
        touched = np.abs(self._numbers(outcome.domain) - self._ends) <= _TOUCH
        moves = []
        for (side, i), successes in self._successes.items():
            if not touched[side, i]:
                continue
            successes.append(int(success))
            if len(successes) >= self._buffer:
                moves.append(self._move(side, i, float(np.mean(successes))))
                successes.clear()
        return any(moves) if moves else None

    def _done(self) -> bool:
        return bool((self._ends == self._last).all())

    def _move(self, side: int, i: int, rate: float) -> bool:
        out = 2 * side - 1  # the direction in which the range grows
        before = self._ends[side, i]
        if rate >= self._raise_from:
            after = before + out * self._step
        elif rate <= self._lower_from:
            after = before - out * self._step
        else:
            return False
        low, high = sorted((self._nominal[i], self._last[side, i]))
        self._ends[side, i] = np.clip(after, low, high)
        return bool(self._ends[side, i] != before)

    def _state(self) -> dict[str, Any]:
        buffers = [[side, i, list(successes)] for (side, i), successes in self._successes.items()]
        return {"ends": self._ends.tolist(), "buffers": buffers}

    def _load(self, state: Mapping[str, Any]) -> None:
        self._ends = read_numbers(state["ends"], self._ends.shape, 0.0, 1.0)
        if (self._ends[0] > self._nominal).any() or (self._ends[1] < self._nominal).any():
            raise ValueError("a range without its nominal value")
        found = {
            (side, i): [int(success) for success in read_numbers(successes, (None,), 0.0, 1.0)]
            for side, i, successes in state["buffers"]
        }
        if found.keys() != self._successes.keys():
            raise ValueError("buffers of other ends")
        self._successes = found
