"""Domain parameters and the space they span.

A *domain* is one setting of the physical and sensor parameters of a world: a plain ``dict`` from parameter name to
``float``. A :class:`DomainSpace` says which parameters there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sim2real.errors import Sim2RealError, check_keys, unknown_name

Domain = dict[str, float]
Operator = Literal["=", "*", "+"]

_FIELDS = ("nominal", "low", "high", "unit", "operator", "train")


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One domain parameter: what an env accepts for it and what training draws by default."""

    nominal: float
    """Value of the undisturbed world."""
    low: float
    """Smallest value the env accepts."""
    high: float
    """Largest value the env accepts."""
    unit: str = ""
    """SI unit of the value; empty, or ``"1"``, for a pure number."""
    operator: Operator = "="
    """How the value acts on the simulator: ``=`` sets it, ``*`` scales the nominal one, ``+`` adds to it."""
    train: tuple[float, float] | None = None
    """Range a randomizer draws from unless told otherwise, inside the bounds; the bounds themselves if ``None``."""

    def __post_init__(self) -> None:
        for field in ("nominal", "low", "high"):
            object.__setattr__(self, field, finite_number(getattr(self, field), field))
        if self.low > self.high:
            raise Sim2RealError(f"low = {self.low:g} is above high = {self.high:g}; swap them.")
        if not self.low <= self.nominal <= self.high:
            raise Sim2RealError(
                f"nominal = {self.nominal:g} is outside its bounds [{self.low:g}, {self.high:g}]; widen the bounds."
            )
        if not isinstance(self.unit, str):
            raise Sim2RealError(f"unit = {self.unit!r} must be text, like 'kg'.")
        if self.operator not in ("=", "*", "+"):
            raise unknown_name("operator", self.operator, ("=", "*", "+"))
        if self.train is not None:
            if not isinstance(self.train, (tuple, list)) or len(self.train) != 2:
                raise Sim2RealError(f"train = {self.train!r} must be a pair [low, high].")
            low, high = (finite_number(value, "train") for value in self.train)
            if not self.low <= low <= high <= self.high:
                raise Sim2RealError(
                    f"train = [{low:g}, {high:g}] must be ordered and inside the bounds [{self.low:g}, {self.high:g}]."
                )
            object.__setattr__(self, "train", (low, high))

    @property
    def train_range(self) -> tuple[float, float]:
        """Return the range a randomizer draws from by default, as ``(low, high)``."""
        return self.train if self.train is not None else (self.low, self.high)


def finite_number(value: object, field: str) -> float:
    """Return a finite number as ``float``; also a numpy scalar and YAML's ``1e-3``, which its reader takes for text.

    Raises:
        Sim2RealError: It is something else; the message names the field.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise Sim2RealError(f"{field} = {value!r} must be a finite number.")
    return number


class DomainSpace(Mapping[str, Parameter]):
    """Ordered mapping from parameter name to :class:`Parameter`.

    Args:
        parameters: The parameters by name; a :class:`Parameter` or a mapping of its fields each.

    Raises:
        Sim2RealError: A field is unknown or out of range; the message names the parameter.
    """

    def __init__(self, parameters: Mapping[str, Parameter | Mapping[str, Any]] | None = None) -> None:
        self._parameters: dict[str, Parameter] = {}
        for name, parameter in (parameters or {}).items():
            if not isinstance(parameter, Parameter):
                where = f"parameter {name!r}"
                fields = check_keys(parameter, _FIELDS, where)
                for required in ("nominal", "low", "high"):
                    if required not in fields:
                        raise Sim2RealError(f"{where}: {required!r} is missing; give nominal, low and high.")
                try:
                    parameter = Parameter(**fields)
                except Sim2RealError as error:
                    raise Sim2RealError(f"{where}: {error}") from None
            self._parameters[name] = parameter

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __repr__(self) -> str:
        rows = (
            f"{name} {p.operator}U({p.train_range[0]:g}, {p.train_range[1]:g}){_after(p)}" for name, p in self.items()
        )
        return f"DomainSpace({', '.join(rows)})"

    def __or__(self, other: DomainSpace) -> DomainSpace:
        """Join two spaces; a name in both is an error."""
        for name in other:
            if name in self:
                raise Sim2RealError(f"parameter {name!r} is owned twice; rename one of them.")
        return DomainSpace({**self._parameters, **other._parameters})

    def nominal(self) -> Domain:
        """Return the domain in which every parameter has its nominal value."""
        return {name: parameter.nominal for name, parameter in self.items()}

    def complete(self, domain: Mapping[str, float]) -> Domain:
        """Return ``domain`` with its missing parameters at their nominal values, all checked against the bounds.

        Raises:
            Sim2RealError: A name is unknown, or a value is not a finite number inside its bounds.
        """
        full = self.nominal()
        if not isinstance(domain, Mapping):
            raise Sim2RealError(f"domain: expected a mapping of names to values, got {domain!r}.")
        for name, value in domain.items():
            if name not in self:
                raise unknown_name("domain parameter", name, self)
            parameter = self[name]
            try:
                number = finite_number(value, name)
            except Sim2RealError as error:
                raise Sim2RealError(f"domain parameter {error}") from None
            if not parameter.low <= number <= parameter.high:
                unit = _after(parameter)
                raise Sim2RealError(
                    f"domain parameter {name} = {number:g}{unit} is outside its bounds "
                    f"[{parameter.low:g}, {parameter.high:g}]{unit}; choose a value inside them."
                )
            full[name] = number
        return full

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return a JSON-plain description, the inverse of the constructor."""
        plain = {name: asdict(parameter) for name, parameter in self.items()}
        for fields in plain.values():
            fields["train"] = list(fields["train"]) if fields["train"] is not None else None
        return plain


def _after(parameter: Parameter) -> str:
    """Return the unit as it stands after a number."""
    return "" if parameter.unit in ("", "1") else f" {parameter.unit}"
