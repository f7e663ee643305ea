"""What a search may vary: ranges and choices in the place of a hyperparameter, or of an end of a randomizer's range."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim2real.domains.randomizers import RandomizerSpec, learns
from sim2real.domains.space import DomainSpace, Parameter, finite_number
from sim2real.errors import Sim2RealError, check_keys
from sim2real.training.hyperparameters import is_whole

_KEYS = ("low", "high", "log", "choices")
_ENDS = ("low", "high")
HALF_WIDTH = "half_width"
"""Of a range around a parameter's nominal value, cut at the bounds of what the env accepts."""
_DIGITS = 4  # significant ones of what is drawn, so that it can be read and typed


@dataclass(frozen=True, kw_only=True)
class Range:
    """A number between two ends."""

    name: str
    """What it is called in tables."""
    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    log: bool = False
    """Whether its logarithm is drawn evenly."""
    whole: bool = False
    """Whether it is a whole number."""

    @property
    def values(self) -> tuple[Any, ...]:
        """Those that are checked before anything runs: the ends."""
        return self.low, self.high

    def label(self, value: Any) -> float | int | None:
        """Return how a value is recorded; ``None`` for one that it cannot have."""
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return value if number and self.low <= value <= self.high else None

    def value(self, label: float) -> float | int:
        """Return the value of a label."""
        return int(label) if self.whole else float(label)

    def rounded(self, label: float) -> float | int:
        """Return what was drawn with a few digits only, inside the ends."""
        return self.value(label if self.whole else min(max(float(f"{label:.{_DIGITS}g}"), self.low), self.high))

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', logarithmic' if self.log else ''}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of several values."""

    name: str
    """What it is called in tables."""
    values: tuple[Any, ...]
    """JSON-plain, and distinct."""

    @property
    def labels(self) -> tuple[Any, ...]:
        """How they are recorded: numbers and names as they are, lists and mappings as JSON."""
        return tuple(map(_label, self.values))

    def label(self, value: Any) -> Any:
        """Return how a value is recorded; ``None`` for one that it cannot have."""
        return next((_label(known) for known in self.values if _text(known) == _text(value)), None)

    def rounded(self, label: Any) -> Any:
        """Return what was drawn."""
        return label

    def value(self, label: Any) -> Any:
        """Return the value of a label."""
        return next(value for value in self.values if _text(_label(value)) == _text(label))

    def __str__(self) -> str:
        return ", ".join(map(str, self.labels))


Dimension = Range | Choice


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _label(value: Any) -> Any:
    return _text(value) if isinstance(value, (list, Mapping)) or value is None else value


def read_dimension(name: str, entry: Mapping[str, Any], *, whole: bool = False) -> Dimension:
    """Read ``{low: , high: , log: }`` or ``{choices: [ ]}``.

    Args:
        name: What it is called.
        entry: As in the file.
        whole: Whether it is a whole number.

    Raises:
        Sim2RealError: It cannot be.
    """
    fields = check_keys(entry, _KEYS, name)
    if ("choices" in fields) == bool(fields.keys() & set(_ENDS)) or ("choices" in fields and "log" in fields):
        raise Sim2RealError(f"{name}: give low and high (and log), or choices.")
    if "choices" in fields:
        given = fields["choices"]
        if not isinstance(given, list) or len({_text(value) for value in given}) < max(2, len(given)):
            raise Sim2RealError(f"{name}: choices = {given!r} must be a list of at least two different values.")
        return Choice(name=name, values=tuple(given))
    for end in _ENDS:
        if end not in fields:
            raise Sim2RealError(f"{name}: {end} is missing; give low and high.")
    low, high = (finite_number(fields[end], f"{name}: {end}") for end in _ENDS)
    log = fields.get("log", False)
    if low >= high:
        raise Sim2RealError(f"{name}: low = {low:g} must be below high = {high:g}.")
    if not isinstance(log, bool):
        raise Sim2RealError(f"{name}: log = {log!r} must be true or false.")
    if log and low <= 0:
        raise Sim2RealError(f"{name}: low = {low:g} must be above 0 where log is true.")
    if whole and not (low.is_integer() and high.is_integer()):
        raise Sim2RealError(f"{name}: low and high must be whole numbers.")
    return Range(name=name, low=int(low) if whole else low, high=int(high) if whole else high, log=log, whole=whole)


def read_hyperparameter(name: str, entry: Any) -> Any:
    """Return a hyperparameter's value, or the dimension that stands for it."""
    return read_dimension(name, entry, whole=is_whole(name)) if isinstance(entry, Mapping) else entry


def read_randomizer(entry: Any) -> Any:
    """Return a randomizer's description in which dimensions stand for what is searched.

    Args:
        entry: What :func:`~sim2real.domains.randomizers.make_randomizer` takes, where an end of a range may be a
            dimension and a range may be ``{half_width: dimension}``; or ``{choices: [ ]}`` of such descriptions.

    Raises:
        Sim2RealError: A dimension cannot be.
    """
    if not isinstance(entry, Mapping):
        return entry
    if "choices" in entry:
        return read_dimension("randomizer", entry)
    ranges = entry.get("ranges")
    if not isinstance(ranges, Mapping):
        return dict(entry)
    return {**entry, "ranges": {name: _read_range(str(name), given) for name, given in ranges.items()}}


def _read_range(name: str, given: Any) -> Any:
    if isinstance(given, Mapping):
        width = check_keys(given, (HALF_WIDTH,), f"range of {name}").get(HALF_WIDTH)
        if not isinstance(width, Mapping):
            raise Sim2RealError(f"range of {name}: {HALF_WIDTH} = {width!r} must be searched; else give [low, high].")
        return {HALF_WIDTH: read_dimension(f"{name}.{HALF_WIDTH}", width)}
    if isinstance(given, list) and len(given) == len(_ENDS):
        return [
            read_dimension(f"{name}.{end}", entry) if isinstance(entry, Mapping) else entry
            for end, entry in zip(_ENDS, given, strict=True)
        ]
    return given


def dimensions(tree: Any) -> Iterator[Dimension]:
    """Yield the dimensions that stand in hyperparameters or in a randomizer, in their order."""
    if isinstance(tree, (Range, Choice)):
        yield tree
    elif isinstance(tree, (Mapping, list)):
        for entry in tree.values() if isinstance(tree, Mapping) else tree:
            yield from dimensions(entry)


def fill(tree: Any, values: Mapping[str, Any]) -> Any:
    """Return hyperparameters or a randomizer with values in the place of dimensions, by their names."""
    if isinstance(tree, (Range, Choice)):
        return values[tree.name]
    if isinstance(tree, Mapping):
        return {key: fill(entry, values) for key, entry in tree.items()}
    return [fill(entry, values) for entry in tree] if isinstance(tree, list) else tree


def fill_randomizer(tree: Any, values: Mapping[str, Any], space: DomainSpace) -> RandomizerSpec:
    """Return a randomizer's description with values in the place of dimensions, and ranges for half-widths.

    Args:
        tree: From :func:`read_randomizer`.
        values: By the dimensions' names.
        space: The parameters of the env.
    """
    spec = fill(tree, values)
    ranges = spec.get("ranges") if isinstance(spec, Mapping) else None
    if isinstance(ranges, Mapping):
        spec = {**spec, "ranges": {name: _around(given, space.get(name)) for name, given in ranges.items()}}
    return spec  # type: ignore[no-any-return]


def _around(given: Any, parameter: Parameter | None) -> Any:
    if not isinstance(given, Mapping) or parameter is None:  # an unknown name is refused with the others
        return given
    width = given[HALF_WIDTH]
    ends = (parameter.nominal - width, parameter.nominal + width)
    # Rounded, or 0.1 + 0.2 would not be 0.3.
    return [min(max(round(end, 12), parameter.low), parameter.high) for end in ends]


def usual(tree: Any, space: DomainSpace) -> dict[str, float]:
    """Return what searched ends of ranges are where nothing is said of them, by name.

    Those of the env's training ranges; of a randomizer that learns, those of what the env accepts.
    """
    found: dict[str, float] = {}
    widest = isinstance(tree, Mapping) and learns(tree)
    for name, parameter in space.items():
        low, high = (parameter.low, parameter.high) if widest else parameter.train_range
        found |= {f"{name}.low": low, f"{name}.high": high}
        width = round(high - parameter.nominal, 12)
        if round(parameter.nominal - low, 12) == width:
            found[f"{name}.{HALF_WIDTH}"] = width
    named = {dimension.name for dimension in dimensions(tree)}
    return {name: value for name, value in found.items() if name in named}


def corners(searched: Sequence[Dimension]) -> Iterator[dict[str, Any]]:
    """Yield values to be checked before anything runs: each value of each dimension, all others first or last."""
    for dimension in searched:
        for value in dimension.values:
            for side in (0, -1):
                yield {**{other.name: other.values[side] for other in searched}, dimension.name: value}
