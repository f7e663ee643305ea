"""Domains from a list: what an identification has found to be likely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sim2real.domains.randomizers.base import Randomizer, check_number
from sim2real.domains.space import Domain, DomainSpace
from sim2real.errors import Sim2RealError


class Posterior(Randomizer):
    """One of given domains, by their weights.

    Args:
        space: The parameters there are.
        samples: Domains ``{name: value}``, all with the same names; parameters without one are nominal.
        weights: How likely each is, not negative; equally if ``None``.

    Raises:
        Sim2RealError: A sample has parameters that the env has not, other ones than the first, or values out of
            bounds; or the weights are not as many, or all 0.
    """

    def __init__(
        self, space: DomainSpace, *, samples: Sequence[Mapping[str, float]] = (), weights: Sequence[float] | None = None
    ) -> None:
        if not isinstance(samples, (list, tuple)) or not samples:
            raise Sim2RealError(
                "randomizer 'posterior' needs samples, a list of domains, as in "
                "{name: posterior, samples: [{NAME: 1.0}]}."
            )
        self._samples: list[Domain] = []
        for number, sample in enumerate(samples):
            try:
                self._samples.append(space.complete(sample))
            except Sim2RealError as error:
                raise Sim2RealError(f"sample {number}: {error}") from None
            if sample.keys() != samples[0].keys():
                raise Sim2RealError(f"sample {number} has other parameters than the first: {', '.join(sample)}.")
        self._cumulated = np.cumsum(_shares(weights, len(self._samples)))
        ends = {name: [sample[name] for sample in self._samples] for name in space}
        super().__init__(space, {name: (min(values), max(values)) for name, values in ends.items()})

    def sample(self, rng: np.random.Generator) -> Domain:
        """Draw one of the domains."""
        index = int(np.searchsorted(self._cumulated, rng.random(), side="right"))
        return dict(self._samples[min(index, len(self._samples) - 1)])


def _shares(weights: Any, count: int) -> np.ndarray[Any, Any]:
    if weights is None:
        return np.full(count, 1.0 / count)
    if not isinstance(weights, (list, tuple)) or len(weights) != count:
        raise Sim2RealError(f"weights must be as many as samples, {count}.")
    found = np.array([check_number("weights", weight, 0.0) for weight in weights])
    if found.sum() == 0.0:
        raise Sim2RealError("weights are all 0.")
    shares: np.ndarray[Any, Any] = found / found.sum()
    return shares
