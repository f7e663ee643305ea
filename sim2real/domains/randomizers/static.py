"""Randomizers that stay as they are: one domain, ranges, or a distribution for each parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sim2real.domains.randomizers.base import Randomizer, read_ranges, train_ranges
from sim2real.domains.space import Domain, DomainSpace


class Fixed(Randomizer):
    """The same domain in every episode.

    Args:
        space: The parameters there are.
        domain: Their values; missing ones are nominal.

    Raises:
        Sim2RealError: A name is unknown, or a value is out of bounds.
    """

    def __init__(self, space: DomainSpace, domain: Mapping[str, float] | None = None) -> None:
        self._domain = space.complete({} if domain is None else domain)
        super().__init__(space, {name: (value, value) for name, value in self._domain.items()})

    def sample(self, rng: np.random.Generator) -> Domain:  # noqa: ARG002 - protocol
        """Return the domain."""
        return dict(self._domain)


class Uniform(Randomizer):
    """Every parameter uniform in its range, independently.

    Args:
        space: The parameters there are.
        ranges: ``name -> (low, high)``; a parameter not named is drawn from its training range. ``"bounds"``: all
            that the env accepts.

    Raises:
        Sim2RealError: A name is unknown, or a range is empty or leaves the bounds.
    """

    def __init__(self, space: DomainSpace, ranges: Mapping[str, Sequence[float]] | str | None = None) -> None:
        super().__init__(space, read_ranges(space, ranges, train_ranges(space)))

    def sample(self, rng: np.random.Generator) -> Domain:
        """Draw every parameter from its range."""
        return {name: float(rng.uniform(low, high)) for name, (low, high) in self.limits.items()}
