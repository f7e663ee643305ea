"""Randomizers: how the domains of training episodes are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from sim2real.domains.space import Domain, DomainSpace
from sim2real.errors import Sim2RealError, check_keys, unknown_name


class Randomizer(Protocol):
    """Draws the domains of training episodes."""

    space: DomainSpace

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Return the smallest and the largest value that each parameter may be given."""
        ...

    def sample(self, rng: np.random.Generator) -> Domain:
        """Draw a full domain."""
        ...


class Fixed:
    """The same domain in every episode.

    Args:
        space: The parameters there are.
        domain: Their values; missing ones are nominal.
    """

    def __init__(self, space: DomainSpace, domain: Mapping[str, float] | None = None) -> None:
        self.space = space
        self._domain = space.complete(domain or {})
        self.ranges = {name: (value, value) for name, value in self._domain.items()}

    def sample(self, rng: np.random.Generator) -> Domain:  # noqa: ARG002 - protocol
        """Return the domain."""
        return dict(self._domain)


class Uniform:
    """Every parameter uniform in its range, independently.

    Args:
        space: The parameters there are.
        ranges: ``name -> (low, high)``; a parameter not named is drawn from its training range.

    Raises:
        Sim2RealError: A name is unknown, or a range is empty or leaves the bounds.
    """

    def __init__(self, space: DomainSpace, ranges: Mapping[str, Sequence[float]] | None = None) -> None:
        self.space = space
        self.ranges = {name: parameter.train_range for name, parameter in space.items()}
        if not isinstance(ranges or {}, Mapping):
            raise Sim2RealError(f"ranges: expected a mapping of names to [low, high], got {ranges!r}.")
        for name, given in (ranges or {}).items():
            if name not in space:
                raise unknown_name("domain parameter", name, space)
            wrong = Sim2RealError(f"range of {name} = {given!r} must be [low, high] with low <= high.")
            if not isinstance(given, (list, tuple)) or len(given) != 2:
                raise wrong
            low, high = (space.complete({name: value})[name] for value in given)
            if low > high:
                raise wrong
            self.ranges[name] = (low, high)

    def sample(self, rng: np.random.Generator) -> Domain:
        """Draw every parameter from its range."""
        return {name: float(rng.uniform(low, high)) for name, (low, high) in self.ranges.items()}


RANDOMIZERS = ("none", "uniform")
RandomizerSpec = str | Mapping[str, Any]


def make_randomizer(spec: RandomizerSpec, space: DomainSpace) -> Randomizer:
    """Build a randomizer from its name or its JSON-plain description.

    Args:
        spec: ``"none"``, ``"uniform"``, or ``{"name": "uniform", "ranges": {parameter: [low, high]}}``, or
            ``{"name": "none", "domain": {parameter: value}}``.
        space: The parameters there are.

    Raises:
        Sim2RealError: The name, a key or a parameter is unknown, or a value is out of bounds.
    """
    fields: Mapping[str, Any] = {"name": spec} if isinstance(spec, str) else spec
    name = fields.get("name")
    if name == "none":
        check_keys(fields, ("name", "domain"), "randomizer 'none'")
        return Fixed(space, fields.get("domain"))
    if name == "uniform":
        check_keys(fields, ("name", "ranges"), "randomizer 'uniform'")
        return Uniform(space, fields.get("ranges"))
    raise unknown_name("randomizer", name, RANDOMIZERS)
