"""Ranges that widen with time, whatever comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sim2real.domains.randomizers.base import Adaptive, Outcome, Ranges, check_whole, read_numbers
from sim2real.domains.space import Domain, DomainSpace
from sim2real.errors import Sim2RealError

_STAGES = 20


class Curriculum(Adaptive):
    """Every parameter uniform in a range that grows, linearly in time, from its nominal value to its limits.

    It grows in 20 equal stages; the time is counted in steps of episodes that have ended.

    Args:
        space: The parameters there are.
        ranges: How far each parameter may go, see :class:`Adaptive`.
        steps: Env steps until the ranges are the limits, at least 20.

    Raises:
        Sim2RealError: See :class:`Adaptive`; or ``steps`` is missing.
    """

    needs_success = False

    def __init__(self, space: DomainSpace, *, ranges: Any = None, steps: int | None = None) -> None:
        super().__init__(space, ranges=ranges)
        if steps is None:
            raise Sim2RealError(
                "randomizer 'curriculum' needs steps: after how many env steps the ranges are as wide as they get, as "
                "in {name: curriculum, steps: 50000}."
            )
        self._steps = check_whole("steps", steps, _STAGES)
        self._taken = 0

    @property
    def ranges(self) -> Ranges:
        """Return the ranges of the present stage."""
        return self._in_units(*self._ends())

    def _ends(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        share = self.generation / _STAGES
        return self._nominal * (1.0 - share), self._nominal + (1.0 - self._nominal) * share

    def sample(self, rng: np.random.Generator) -> Domain:
        """Draw every parameter from its range."""
        low, high = self._ends()
        return self._domain(rng.uniform(low, high))

    def figures(self) -> dict[str, float]:
        """Return ``share``, the width of the ranges over that of the limits."""
        return {"share": self.generation / _STAGES}

    def _learn(self, outcome: Outcome) -> bool | None:
        self._taken += outcome.steps
        # One stage an outcome: an episode that spans several catches up with the next ones.
        due = self.generation < _STAGES and self._taken * _STAGES >= (self.generation + 1) * self._steps
        return due or None

    def _state(self) -> dict[str, Any]:
        return {"taken": self._taken}

    def _load(self, state: Mapping[str, Any]) -> None:
        self._taken = int(read_numbers(state["taken"], (), 0.0))
        if self.generation > _STAGES:
            raise ValueError(f"generation {self.generation} of {_STAGES}")
