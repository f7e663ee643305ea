"""Units of measure: what one number of a channel is in the unit of another."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sim2real.errors import Sim2RealError

if TYPE_CHECKING:
    from pint import UnitRegistry

PURE = "1"
"""The unit of a number without one."""


def conversion(unit: str, other: str) -> tuple[float, float]:
    """Return ``scale`` and ``offset`` with ``x [other] = scale · x [unit] + offset``.

    Args:
        unit: As pint reads it, e.g. ``"m/s"``, ``"N m"``, ``"deg"``; ``"1"`` for a pure number.
        other: Likewise.

    Raises:
        Sim2RealError: A unit is unknown, or they measure different things; an angle is no pure number.
    """
    if unit == other:
        return 1.0, 0.0
    if PURE in (unit, other):
        raise Sim2RealError(f"{unit!r} cannot be converted into {other!r}: only one of them is a pure number.")
    import pint  # half a second, for those whose units differ

    registry = _registry()
    try:
        given, wanted = registry.Unit(unit), registry.Unit(other)
        if _has_angle(given) != _has_angle(wanted):  # to pint an angle is a pure number, and rad/s are Hz
            raise pint.DimensionalityError(given, wanted)
        offset = registry.Quantity(0.0, given).to(wanted).magnitude
        one = registry.Quantity(1.0, given).to(wanted).magnitude
    except pint.UndefinedUnitError:
        raise Sim2RealError(
            f"{unit!r} or {other!r} is no unit that is known; write it as 'm/s', 'rad', 'N m'."
        ) from None
    except (pint.PintError, AssertionError, ValueError):
        raise Sim2RealError(f"{unit!r} cannot be converted into {other!r}.") from None
    return float(one - offset), float(offset)


def _has_angle(unit: Any) -> bool:
    return "radian" in str(_registry().Quantity(1.0, unit).to_root_units().units)


@cache
def _registry() -> UnitRegistry[Any]:
    from pint import UnitRegistry

    return UnitRegistry()
