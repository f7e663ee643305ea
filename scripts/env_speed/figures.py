"""Measured figures and the goals beside them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure, and its goal if it has one."""

    part: str
    """What part of the benchmark it belongs to."""
    name: str
    value: float
    """Median over the rounds."""
    low: float
    """Smallest over the rounds."""
    high: float
    """Largest over the rounds."""
    unit: str
    digits: int = 2
    """How many to show behind the point."""
    least: float | None = None
    """Goal: at least this."""
    most: float | None = None
    """Goal: at most this."""

    @property
    def goal(self) -> str:
        """The goal in words, empty where there is none."""
        if self.least is not None:
            return f"≥ {self.least:g}"
        return "" if self.most is None else f"≤ {self.most:g}"

    @property
    def verdict(self) -> str:
        """``"met"``, ``"missed"``, or nothing where there is no goal."""
        if self.least is not None:
            return "met" if self.value >= self.least else "missed"
        if self.most is not None:
            return "met" if self.value <= self.most else "missed"
        return ""

    @property
    def text(self) -> str:
        """The figure with its unit and, over several rounds, its range."""
        value, low, high = (f"{x:.{self.digits}f}".replace("-", "−") for x in (self.value, self.low, self.high))
        spread = "" if self.low == self.high else f" [{low}, {high}]"
        return f"{value}{spread} {self.unit}"


def figure(part: str, name: str, values: list[float], unit: str, **more: float) -> Figure:
    """Return the figure of one value a round.

    Args:
        part: What part of the benchmark it belongs to.
        name: What was measured.
        values: One a round.
        unit: Of the values.
        more: ``digits``, and ``least`` or ``most`` for a goal.
    """
    middle = statistics.median(values)
    return Figure(part=part, name=name, value=middle, low=min(values), high=max(values), unit=unit, **more)  # type: ignore[arg-type]


def ratio(over: list[float], under: list[float]) -> list[float]:
    """Return the ratio of every round."""
    return [a / b for a, b in zip(over, under, strict=True)]
