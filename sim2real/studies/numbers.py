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


def interval(ends: Sequence[float] | None, show: Callable[[float], str] = number) -> str:
    """Return e.g. ``"0.9 to 1.5"``; a dash where there is no interval."""
    return MISSING if ends is None else f"{show(ends[0])} to {show(ends[1])}"
