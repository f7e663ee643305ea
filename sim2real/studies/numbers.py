"""How numbers are written: the same in the verdict's sentence, the terminal table, the report and its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MISSING = "–"


def number(value: float | None) -> str:
    """Return a number with three significant digits and a true minus sign, e.g. ``"−1,133"``; a dash for ``None``.

    From a thousand on it is whole, with commas, so that no exponent stands beside plain numbers.
    """
    if value is None:
        return MISSING
    text = f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
    return text.replace("-", "−")


def count(how_many: int, what: str) -> str:
    """Return e.g. ``"1 job"`` or ``"1,200 jobs"``."""
    return f"{how_many:,} {what}{'' if how_many == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return e.g. ``"40 s"``, ``"12 min"`` or ``"3.5 h"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def interval(ends: Sequence[float] | None, show: Callable[[float], str] = number) -> str:
    """Return e.g. ``"0.9 to 1.5"``; a dash where there is no interval."""
    return MISSING if ends is None else f"{show(ends[0])} to {show(ends[1])}"
