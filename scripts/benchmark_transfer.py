"""Say when transfer pays and by which method: four worlds, near and far targets, controls that should not pay.

    python scripts/benchmark_transfer.py                  # half a day; kill it at any time, run it again to go on
    python scripts/benchmark_transfer.py --seeds 1        # a first look
    python scripts/benchmark_transfer.py --only 'reach/*' # some cells, as sim2real study takes them
    python scripts/benchmark_transfer.py --render         # only the tables, from what is kept and finished

scripts/studies/transfer.yaml is the study. It is run seed by seed, and a cell whose curves of a seed are kept in
docs/results/transfer.json, of the same study, is not run again. The tables go into docs/transfer.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from kept_curves import (
    REPOSITORY,
    Kept,
    Points,
    as_table,
    cells_of,
    curves_of,
    ending,
    run_kept,
    split,
    threshold_of,
    verdict_words,
)
from world_runs import replace_part

from sim2real.errors import Sim2RealError
from sim2real.evaluation.metrics import steps_to_reach
from sim2real.evaluation.statistics import mean_interval
from sim2real.files import write_atomic
from sim2real.studies.numbers import interval, number
from sim2real.transfer.auto import Auto
from sim2real.transfer.scratch import Scratch
from sim2real.transfer.zero_shot import ZeroShot

STUDY = REPOSITORY / "scripts" / "studies" / "transfer.yaml"
RUNS = Path("runs/transfer-study")
HEADLINE = ("medium", "hard")
"""Targets of which the whole budget is measured, too."""
NEAR = 0.05
"""What the gate may lose against the best arm, as a share of what is to be gained there."""


def main() -> None:
    assert __doc__ is not None
    kept, docs = run_kept(__doc__, STUDY, RUNS, "transfer")
    page = docs / "transfer.md"
    tables = "\n\n".join(rendered(kept))
    write_atomic(page, replace_part(page.read_text(encoding="utf-8"), Path(__file__).name, tables))
    print(tables)


def rendered(kept: Kept) -> list[str]:
    """Return the tables: the cells, the steps against scratch's whole budget, and the gate."""
    if not kept:
        return ["Not measured yet."]
    cells = cells_of(kept)
    return [cell_table(cells), steps_table(cells), gate_table(cells)]


def cell_table(cells: Mapping[str, Points]) -> str:
    """Return the verdicts: a row a source, target and budget, and a column a method."""
    methods = list(dict.fromkeys(split(title)[3] for title in cells))
    rows: dict[tuple[str, str, str, int], dict[str, str]] = {}
    for title, points in cells.items():
        source, randomizer, target, method, steps = split(title)
        row = rows.setdefault((source, randomizer, target, steps), {})
        for arm in (ZeroShot.name, Scratch.name):
            row[arm] = ending(points, arm)
        seeds = len({point["seed"] for point in points})
        row["seeds"] = str(max(seeds, int(row.get("seeds", 0))))
        row[method] = f"{ending(points, method)} {verdict_words(points, method)}".strip()
    head = ["source", "randomized", "target", "steps", "seeds", ZeroShot.name, Scratch.name, *methods]
    lines = [head, ["---"] * len(head)]
    for (source, randomizer, target, steps), row in rows.items():
        cells_of = [row.get(column, "") for column in head[4:]]
        lines.append([source, "yes" if randomizer != "none" else "no", target, f"{steps:,}", *cells_of])
    return as_table(lines)


def steps_table(cells: Mapping[str, Points]) -> str:
    """Return, for medium and hard, each method's target steps to what scratch needs its whole budget for."""
    lines = [["source", "target", "threshold", "scratch's steps", "method", "its steps", "share"], ["---"] * 7]
    budgets: dict[str, set[int]] = {}
    for title in cells:
        budgets.setdefault(split(title)[0], set()).add(split(title)[4])
    whole = {
        (source, target): points
        for title, points in cells.items()
        for source, _, target, _, steps in [split(title)]
        # Of a source with one budget so far the whole one is not measured yet.
        if target in HEADLINE and steps == max(budgets[source]) > min(budgets[source])
    }
    for (source, target), points in whole.items():
        scratch = curves_of(points, Scratch.name)
        level = threshold_of(scratch)
        if level is None:
            lines.append([source, target, "scratch does not learn it", *[""] * 4])
            continue
        needed = steps_to_reach(scratch, level)
        found = []
        for title, own in cells.items():
            other, randomizer, there, method, steps = split(title)
            if (other, there, randomizer) == (source, target, "uniform") and steps < scratch.budget:
                curves = curves_of(own, method)
                reached = steps_to_reach(curves, level)
                never = int((~(curves.values >= level).any(axis=1)).sum())
                found.append((float(reached.mean()), method, never, curves.seeds))
        for mean, method, never, seeds in sorted(found):
            words = f"{mean:,.0f}" + (f", not by {never} of {seeds}" if never else "")
            steps_words = f"{needed.mean():,.0f}"
            lines.append([source, target, number(level), steps_words, method, words, f"{mean / needed.mean():.2f}"])
    return as_table(lines)


def gate_table(cells: Mapping[str, Points]) -> str:
    """Return how the gate ends, pair by pair, beside the best single arm and scratch."""
    lines = [["source", "randomized", "target", "steps", "best arm", "its return", "auto", "lost", "auto − scratch"]]
    lines.append(["---"] * 9)
    near = pairs = 0
    for title, points in cells.items():
        source, randomizer, target, method, steps = split(title)
        if method != Auto.name:
            continue
        pairs += 1
        same = title.replace(f"/{Auto.name}/", "/*/")
        arms = {ZeroShot.name: curves_of(points, ZeroShot.name), Scratch.name: curves_of(points, Scratch.name)}
        for other, own in cells.items():
            if fnmatchcase(other, same) and split(other)[3] != Auto.name:
                arms[split(other)[3]] = curves_of(own, split(other)[3])
        best = max(arms, key=lambda arm: float(arms[arm].final.mean()))
        gate, scratch = curves_of(points, Auto.name), arms[Scratch.name]
        top, floor = float(arms[best].final.mean()), float(scratch.start.mean())
        lost = (top - float(gate.final.mean())) / max(top - floor, 1e-9)
        near += lost <= NEAR
        ahead = mean_interval(gate.final - scratch.final)
        ends = interval((ahead.low, ahead.high)) if ahead.low is not None and ahead.high is not None else "one seed"
        words = [source, "yes" if randomizer != "none" else "no", target, f"{steps:,}", best, number(top)]
        lines.append([*words, number(float(gate.final.mean())), f"{lost:.0%}", f"{number(ahead.value)} ({ends})"])
    return f"{as_table(lines)}\n\nThe gate is within {NEAR:.0%} of the best arm in {near} of {pairs} pairs."


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
