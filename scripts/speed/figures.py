"""Measured figures and the goals beside them, and the tables of a page that are made from them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from rich.table import Table


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
            return f"≥ {self.least:.3g}"
        return "" if self.most is None else f"≤ {self.most:.3g}"

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


def read_figures(results: Mapping[str, Any]) -> list[Figure]:
    """Return the figures of a file of results."""
    return [Figure(**fields) for fields in results["figures"]]


def replace_part(
    results: Mapping[str, Any], part: str, figures: Sequence[Mapping[str, Any]], parts: Iterable[str]
) -> list[Mapping[str, Any]]:
    """Return the figures of a file of results with those of one part replaced, in the order of all parts."""
    kept = [entry for entry in results["figures"] if entry["part"] != part]
    return [entry for name in parts for entry in [*kept, *figures] if entry["part"] == name]


def installed(*packages: str) -> dict[str, str]:
    """Return the versions of packages by name, without what tells one build of a version from another."""
    return {name: version(name).partition("+")[0] for name in packages}


def overview(figures: Iterable[Figure], title: str) -> Table:
    """Return figures beside their goals, for the terminal."""
    table = Table("part", "what", "measured", "goal", "", title=title)
    for found in figures:
        colour = "[red]" if found.verdict == "missed" else ""
        table.add_row(found.part, found.name, found.text, found.goal, colour + found.verdict)
    return table


def table_lines(figures: Sequence[Figure]) -> list[str]:
    """Return the lines of a Markdown table of figures, beside their goals if there are any."""
    rows = [["", "measured"], ["---", "---"]] + [[found.name, found.text] for found in figures]
    if any(found.goal for found in figures):
        marks = {"missed": "**missed**"}
        ends = [(found.goal, marks.get(found.verdict, found.verdict)) for found in figures]
        rows = [[*row, *end] for row, end in zip(rows, [("goal", ""), ("---", "---"), *ends], strict=True)]
    return [f"| {' | '.join(row)} |" for row in rows]


def part_tables(
    results: Mapping[str, Any],
    titles: Mapping[str, str],
    note: str,
    *,
    heading: str = "##",
    table: Callable[[Sequence[Figure]], list[str]] = table_lines,
) -> str:
    """Return a section with a table for every part that has figures, and below them how they were measured.

    Args:
        results: A file of results, with its figures and versions.
        titles: Of the sections, by part.
        note: What stands below, before the versions.
        heading: Marks of a title.
        table: Makes the lines of the table of a part.
    """
    figures, lines = read_figures(results), []
    for part, title in titles.items():
        found = [entry for entry in figures if entry.part == part]
        if found:
            lines += [f"{heading} {title}", "", *table(found), ""]
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return "\n".join([*lines, f"{note}; {versions}."])


def replace_tables(page: str, script: str, tables: str) -> str:
    """Return a page with the tables that a script makes replaced."""
    begin, end = f"<!-- tables: scripts/{script} -->", "<!-- end of tables -->"
    before, rest = page.split(begin)
    return f"{before}{begin}\n{tables}\n{end}{rest.split(end, 1)[1]}"
