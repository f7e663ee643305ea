"""What every randomizer is: where domains come from, and for some of them how they learn from the episodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sim2real.domains.space import Domain, DomainSpace, finite_number
from sim2real.errors import Sim2RealError, unknown_name

Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest value of each parameter."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training episode went."""

    domain: Domain
    """What the randomizer had drawn for it."""
    generation: int
    """How often the randomizer had moved when it was drawn."""
    ret: float
    """Sum of its rewards."""
    success: bool | None
    """Whether it succeeded; ``None`` where the env does not say."""
    steps: int
    """How many it took."""


class Randomizer(ABC):
    """Draws the domains of training episodes; its distribution stays as it is, unless it is an :class:`Adaptive` one.

    Args:
        space: The parameters there are.
        limits: Smallest and largest value that each of them may ever be given.
    """

    def __init__(self, space: DomainSpace, limits: Ranges) -> None:
        self.space, self.limits = space, dict(limits)
        self.schedule: dict[str, int] = {}
        """Parameters that are drawn again during an episode -> after how many control steps each."""

    @property
    def ranges(self) -> Ranges:
        """Return the smallest and the largest value that each parameter is given now."""
        return self.limits

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Domain:
        """Draw a full domain."""


def read_ranges(space: DomainSpace, given: Any, otherwise: Ranges) -> dict[str, tuple[float, float]]:
    """Return a range for every parameter.

    Args:
        space: The parameters there are.
        given: ``{name: [low, high]}``, checked here; or ``"bounds"``, all that the env accepts.
        otherwise: Those of the parameters that are not named.

    Raises:
        Sim2RealError: A name is unknown, or a range is empty or leaves the bounds.
    """
    if given == "bounds":
        return bounds(space)
    ranges = dict(otherwise)
    if given is not None and not isinstance(given, Mapping):
        raise Sim2RealError(f"ranges: expected a mapping of names to [low, high], or 'bounds', got {given!r}.")
    for name, ends in ({} if given is None else given).items():
        if name not in space:
            raise unknown_name("domain parameter", name, space)
        wrong = Sim2RealError(f"range of {name} = {ends!r} must be [low, high] with low <= high.")
        if not isinstance(ends, (list, tuple)) or len(ends) != 2:
            raise wrong
        low, high = (space.complete({name: value})[name] for value in ends)
        if low > high:
            raise wrong
        ranges[name] = (low, high)
    return ranges


def train_ranges(space: DomainSpace) -> dict[str, tuple[float, float]]:
    """Return what training draws from unless told otherwise."""
    return {name: parameter.train_range for name, parameter in space.items()}


def bounds(space: DomainSpace) -> dict[str, tuple[float, float]]:
    """Return all that the env accepts."""
    return {name: (parameter.low, parameter.high) for name, parameter in space.items()}


class Adaptive(Randomizer):
    """A randomizer whose distribution moves with the outcomes of the episodes.

    A subclass writes ``sample``, ``ranges``, :meth:`_learn`, :meth:`_state`, :meth:`_load` and, as it needs,
    :meth:`figures`. Its own numbers are in units of the limits: 0 is a parameter's smallest value, 1 its largest.

    Args:
        space: The parameters there are.
        ranges: ``{name: [low, high]}``: how far it may go; all that the env accepts where a parameter is not named. A
            range of one value keeps a parameter there.
        success_return: Return from which an episode counts as a success; what the env says if ``None``.

    Raises:
        Sim2RealError: A name is unknown, a range is empty or leaves the bounds, or there is nothing to randomize.
    """

    needs_success: ClassVar[bool] = True
    """Whether it asks if episodes succeeded."""
    patience: ClassVar[int] = 10
    """Updates in a row without a move after which it is taken to be stuck, see :attr:`stuck`."""

    def __init__(self, space: DomainSpace, *, ranges: Any = None, success_return: float | None = None) -> None:
        super().__init__(space, read_ranges(space, ranges, bounds(space)))
        self.success_return = None if success_return is None else check_number("success_return", success_return)
        self.names = [name for name, (low, high) in self.limits.items() if low < high]
        """Of the parameters that vary, in the order of its numbers."""
        if not self.names:
            raise Sim2RealError("there is no parameter to randomize: each has one value only.")
        self._low, self._high = (np.array([self.limits[name][end] for name in self.names]) for end in (0, 1))
        self._fixed = {name: low for name, (low, high) in self.limits.items() if low == high}
        nominal = np.array([space[name].nominal for name in self.names])
        self._nominal = np.clip((nominal - self._low) / (self._high - self._low), 0.0, 1.0)
        self.generation = 0
        """How often it has moved."""
        self.idle = 0
        """Updates since it has moved last."""

    def update(self, outcomes: Sequence[Outcome]) -> bool:
        """Learn from episodes that have ended since the last update.

        Returns:
            Whether the distribution has moved, so that it has to be loaded wherever it is drawn from.

        Raises:
            Sim2RealError: It needs to know which episodes succeeded, and they do not say.
        """
        before = self.generation
        for outcome in outcomes:
            moved = self._learn(outcome)
            if moved:
                self.generation, self.idle = self.generation + 1, 0
            elif moved is not None:
                self.idle += 1
        return self.generation > before

    def state(self) -> dict[str, Any]:
        """Return all that it has learned, JSON-plain."""
        return {"generation": self.generation, "idle": self.idle, **self._state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Put it into a state that one of the same description was in.

        Raises:
            Sim2RealError: It is not such a state.
        """
        try:
            self.generation, self.idle = (int(read_numbers(state[name], (), 0.0)) for name in ("generation", "idle"))
            self._load(state)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise Sim2RealError(f"no state of {type(self).__name__}: {type(error).__name__}: {error}.") from None

    @property
    def stuck(self) -> bool:
        """Whether it has long not moved although it could."""
        return self.idle >= self.patience and not self._done()

    def figures(self) -> dict[str, float]:
        """Return numbers worth a curve in TensorBoard, by name."""
        return {}

    def _learn(self, outcome: Outcome) -> bool | None:
        """Take in one outcome; return whether the distribution has moved, ``None`` if it was not time for an update."""
        raise NotImplementedError

    def _done(self) -> bool:
        """Return whether it is as wide as it gets."""
        return False

    def _state(self) -> dict[str, Any]:
        raise NotImplementedError

    def _load(self, state: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def _succeeded(self, outcome: Outcome) -> bool:
        if self.success_return is not None:
            return outcome.ret >= self.success_return
        if outcome.success is None:
            raise no_success(type(self).__name__)
        return outcome.success

    def _domain(self, numbers: np.ndarray[Any, Any]) -> Domain:
        """Return the full domain of numbers between 0 and 1, in the order of :attr:`names`."""
        values = self._low + numbers * (self._high - self._low)
        # Rounding must not carry a value over the edge.
        inside = np.minimum(np.maximum(values, self._low), self._high).tolist()
        found = {**self._fixed, **dict(zip(self.names, inside, strict=True))}
        return {name: found[name] for name in self.space}

    def _numbers(self, domain: Domain) -> np.ndarray[Any, Any]:
        """Return the numbers between 0 and 1 of a domain, in the order of :attr:`names`."""
        values = np.array([domain[name] for name in self.names])
        numbers: np.ndarray[Any, Any] = np.clip((values - self._low) / (self._high - self._low), 0.0, 1.0)
        return numbers

    def _in_units(self, low: np.ndarray[Any, Any], high: np.ndarray[Any, Any]) -> Ranges:
        """Return ranges whose ends are numbers between 0 and 1."""
        ends = zip(self._domain(low).items(), self._domain(high).values(), strict=True)
        return {name: (least, most) for (name, least), most in ends}


def read_numbers(
    value: Any, shape: tuple[int | None, ...], low: float = -np.inf, high: float = np.inf
) -> np.ndarray[Any, Any]:
    """Return numbers of a state, of a shape in which ``None`` is any length.

    Raises:
        ValueError: They are not of this shape, not finite, or outside their ends.
    """
    found = np.array(value, np.float64)
    if found.size == 0 and shape[:1] == (None,):  # how wide no row is cannot be told
        found = found.reshape([length or 0 for length in shape])
    if len(found.shape) != len(shape) or any(b not in (None, a) for a, b in zip(found.shape, shape, strict=True)):
        raise ValueError(f"numbers of shape {found.shape} in the place of {shape}")
    if not (np.isfinite(found).all() and (found >= low).all() and (found <= high).all()):
        raise ValueError(f"numbers that are not {_between(low, high)}")
    return found


def read_figures(value: Any) -> dict[str, float]:
    """Return the figures of a state.

    Raises:
        ValueError: They are not numbers by name.
    """
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError("figures without names")
    return {name: float(read_numbers(number, ())) for name, number in value.items()}


def no_success(who: str) -> Sim2RealError:
    """Return the error for an env that does not say whether episodes succeed."""
    return Sim2RealError(
        f"randomizer {who} needs to know which episodes succeed, and this env never says is_success; give "
        "success_return, the return from which an episode counts as one."
    )


def check_number(name: str, value: Any, low: float = -np.inf, high: float = np.inf) -> float:
    """Return a setting as a number between two ends, which are allowed.

    Raises:
        Sim2RealError: It is something else.
    """
    number = finite_number(value, name)
    if not low <= number <= high:
        raise Sim2RealError(f"{name} = {number:g} must be {_between(low, high)}.")
    return number


def check_whole(name: str, value: Any, low: int) -> int:
    """Return a setting as a whole number that is not below another.

    Raises:
        Sim2RealError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise Sim2RealError(f"{name} = {value!r} must be a whole number of at least {low}.")
    return value


def _between(low: float, high: float) -> str:
    return f"at least {low:g}" if high == np.inf else f"between {low:g} and {high:g}"
