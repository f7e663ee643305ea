"""A distribution for each parameter, from a file; correlated where the file says so."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtr, ndtri

from sim2real.domains.randomizers.base import Randomizer, check_number
from sim2real.domains.space import Domain, DomainSpace, Parameter, finite_number
from sim2real.errors import Sim2RealError, check_keys, unknown_name


class Distribution(ABC):
    """Of one parameter; drawn by its quantile function, so that distributions of any kinds can be correlated.

    Args:
        low: Smallest value.
        high: Largest value.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    @abstractmethod
    def quantile(self, share: float) -> float:
        """Return the value below which a share of the draws lies, for a share between 0 and 1."""


class Even(Distribution):
    """Uniform between its ends."""

    def quantile(self, share: float) -> float:
        """Return the value below which a share of the draws lies."""
        return self.low + share * (self.high - self.low)


class LogUniform(Distribution):
    """Its logarithm is uniform between those of its ends, which are above 0."""

    def quantile(self, share: float) -> float:
        """Return the value below which a share of the draws lies."""
        return float(self.low * (self.high / self.low) ** share)


class Normal(Distribution):
    """Gaussian, and redrawn until it is between its ends.

    Args:
        low: Smallest value.
        high: Largest value.
        mean: Of the Gaussian before it is truncated.
        std: Its standard deviation, above 0.
    """

    def __init__(self, low: float, high: float, mean: float, std: float) -> None:
        super().__init__(low, high)
        self._mean, self._std = mean, std
        self._below, above = ndtr((low - mean) / std), ndtr((high - mean) / std)
        self._between = above - self._below

    def quantile(self, share: float) -> float:
        """Return the value below which a share of the draws lies."""
        return float(self._mean + self._std * ndtri(self._below + share * self._between))


class Beta(Distribution):
    """Beta distribution between its ends.

    Args:
        low: Smallest value.
        high: Largest value.
        a: Above 0; larger than ``b``: closer to the largest value.
        b: Above 0.
    """

    def __init__(self, low: float, high: float, a: float, b: float) -> None:
        super().__init__(low, high)
        self._a, self._b = a, b

    def quantile(self, share: float) -> float:
        """Return the value below which a share of the draws lies."""
        return float(self.low + betaincinv(self._a, self._b, share) * (self.high - self.low))


class Categorical(Distribution):
    """One of several values.

    Args:
        values: In rising order.
        probabilities: Of each; they add up to 1.
    """

    def __init__(self, values: Sequence[float], probabilities: Sequence[float]) -> None:
        super().__init__(values[0], values[-1])
        self._values, self._cumulated = tuple(values), np.cumsum(probabilities)

    def quantile(self, share: float) -> float:
        """Return the value below which a share of the draws lies."""
        index = int(np.searchsorted(self._cumulated, share, side="right"))
        return self._values[min(index, len(self._values) - 1)]  # the last sum may be a rounding below 1


_KEYS: Mapping[str, tuple[str, ...]] = {
    "uniform": ("low", "high"),
    "log-uniform": ("low", "high"),
    "normal": ("mean", "std", "low", "high"),
    "beta": ("a", "b", "low", "high"),
    "categorical": ("values", "probabilities"),
}


class Distributions(Randomizer):
    """Every parameter from a distribution of its own; those of a group are correlated, by a Gaussian copula.

    A draw of correlated parameters is that of Gaussians with this correlation; each is then carried into its own
    distribution by the share of draws that lie below it, so that single parameters are distributed as without.

    Args:
        space: The parameters there are.
        parameters: ``name -> {distribution: ...}`` with the fields of its kind: ``uniform`` and ``log-uniform`` have
            ``low`` and ``high``; ``normal`` has ``mean`` and ``std``, ``beta`` ``a`` and ``b``, and both may have
            ends; ``categorical`` has ``values`` and may have ``probabilities``. A number alone is that value. Ends
            that are left out are those that the env accepts. A parameter that is not named is uniform in its training
            range.
        correlated: Groups ``{parameters: [names], correlation: ...}``: one coefficient for all pairs, or a matrix.

    Raises:
        Sim2RealError: A name or a field is unknown, a value leaves the bounds, or a correlation cannot be.
    """

    def __init__(
        self,
        space: DomainSpace,
        *,
        parameters: Mapping[str, Any] | None = None,
        correlated: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._distributions: dict[str, Distribution] = {
            name: Even(*parameter.train_range) for name, parameter in space.items()
        }
        if not isinstance(parameters or {}, Mapping):
            raise Sim2RealError(f"parameters: expected a mapping of names to distributions, got {parameters!r}.")
        for name, entry in (parameters or {}).items():
            if name not in space:
                raise unknown_name("domain parameter", name, space)
            self._distributions[name] = _read_distribution(f"distribution of {name}", entry, space[name])
        self._places = {name: place for place, name in enumerate(space)}
        self._groups = [
            (np.array([self._places[name] for name in names]), factor) for names, factor in _groups(correlated, space)
        ]
        super().__init__(space, {name: (kind.low, kind.high) for name, kind in self._distributions.items()})

    def sample(self, rng: np.random.Generator) -> Domain:
        """Draw every parameter from its distribution."""
        shares = rng.random(len(self._places))
        for places, factor in self._groups:
            shares[places] = ndtr(factor @ ndtri(shares[places]))
        drawn = zip(self._distributions.items(), shares.tolist(), strict=True)
        # Quantiles of 0 and 1 may lie a rounding outside.
        return {name: min(max(kind.quantile(share), kind.low), kind.high) for (name, kind), share in drawn}


def _read_distribution(where: str, entry: Any, parameter: Parameter) -> Distribution:
    if not isinstance(entry, Mapping):
        value = finite_number(entry, where)
        return Even(*_ends(where, {"low": value, "high": value}, parameter))
    kind = entry.get("distribution")
    if not isinstance(kind, str) or kind not in _KEYS:
        raise unknown_name(f"{where}:", kind, _KEYS)
    fields = check_keys(entry, ("distribution", *_KEYS[kind]), where)
    if kind == "categorical":
        return _read_categorical(where, fields, parameter)
    for name in _KEYS[kind][:2]:
        if name not in fields:
            raise Sim2RealError(f"{where}: {name} is missing.")
    low, high = _ends(where, fields, parameter)
    if kind == "uniform":
        return Even(low, high)
    if kind == "log-uniform":
        if low <= 0.0:
            raise Sim2RealError(f"{where}: low = {low:g} must be above 0 for a log-uniform one.")
        return LogUniform(low, high)
    if kind == "beta":
        a, b = (_positive(f"{where}: {name}", fields[name]) for name in ("a", "b"))
        return Beta(low, high, a, b)
    mean, std = finite_number(fields["mean"], f"{where}: mean"), _positive(f"{where}: std", fields["std"])
    if not low <= mean <= high:
        raise Sim2RealError(f"{where}: mean = {mean:g} must be between {low:g} and {high:g}.")
    return Normal(low, high, mean, std)


def _ends(where: str, fields: Mapping[str, Any], parameter: Parameter) -> tuple[float, float]:
    low, high = (
        check_number(f"{where}: {end}", fields.get(end, getattr(parameter, end)), parameter.low, parameter.high)
        for end in ("low", "high")
    )
    if low > high:
        raise Sim2RealError(f"{where}: low = {low:g} is above high = {high:g}; swap them.")
    return low, high


def _positive(name: str, value: Any) -> float:
    number = finite_number(value, name)
    if number <= 0.0:
        raise Sim2RealError(f"{name} = {number:g} must be above 0.")
    return number


def _read_categorical(where: str, fields: Mapping[str, Any], parameter: Parameter) -> Categorical:
    given, chances = fields.get("values"), fields.get("probabilities")
    if not isinstance(given, (list, tuple)) or not given:
        raise Sim2RealError(f"{where}: values = {given!r} must be a list of numbers.")
    values = [check_number(f"{where}: values", value, parameter.low, parameter.high) for value in given]
    if len(set(values)) < len(values):
        raise Sim2RealError(f"{where}: values = {given!r}: one stands twice.")
    chances = [1.0 / len(values)] * len(values) if chances is None else chances
    if not isinstance(chances, (list, tuple)) or len(chances) != len(values):
        raise Sim2RealError(f"{where}: probabilities = {chances!r} must be as many as values, {len(values)}.")
    shares = [check_number(f"{where}: probabilities", chance, 0.0, 1.0) for chance in chances]
    if abs(sum(shares) - 1.0) > 1e-6:
        raise Sim2RealError(f"{where}: probabilities = {chances!r} must add up to 1.")
    order = np.argsort(values)
    return Categorical([values[i] for i in order], [shares[i] for i in order])


def _groups(correlated: Any, space: DomainSpace) -> list[tuple[list[str], NDArray[np.float64]]]:
    """Return the names of every group and the factor that makes its correlation out of independent Gaussians."""
    if not isinstance(correlated, (list, tuple)):
        raise Sim2RealError(f"correlated: expected a list of groups, got {correlated!r}.")
    found: list[tuple[list[str], NDArray[np.float64]]] = []
    for entry in correlated:
        fields = check_keys(entry, ("parameters", "correlation"), "correlated")
        names = fields.get("parameters")
        if not isinstance(names, (list, tuple)) or len(names) < 2:
            raise Sim2RealError(f"correlated: parameters = {names!r} must be a list of at least two names.")
        for place, name in enumerate(names):
            if not isinstance(name, str) or name not in space:
                raise unknown_name("domain parameter", name, space)
            if name in names[:place] or any(name in others for others, _ in found):
                raise Sim2RealError(
                    f"correlated: {name!r} stands in two places; put what belongs together in one group."
                )
        found.append((list(names), _factor(fields.get("correlation"), list(names))))
    return found


def _factor(given: Any, names: list[str]) -> NDArray[np.float64]:
    where, size = f"correlation of {', '.join(names)}", len(names)
    if isinstance(given, (list, tuple)):
        if len(given) != size or not all(isinstance(row, (list, tuple)) and len(row) == size for row in given):
            raise Sim2RealError(f"{where}: a matrix must have {size} rows of {size}.")
        matrix = np.array([[check_number(where, value, -1.0, 1.0) for value in row] for row in given])
        if not np.array_equal(matrix, matrix.T) or not np.all(np.diag(matrix) == 1.0):
            raise Sim2RealError(f"{where}: a matrix must be symmetric, with ones on its diagonal.")
    else:
        matrix = np.full((size, size), check_number(where, given, -1.0, 1.0))
        np.fill_diagonal(matrix, 1.0)
    try:
        factor: NDArray[np.float64] = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise Sim2RealError(f"{where} = {given!r} is that of no distribution: it must be positive definite.") from None
    return factor
