"""Say when transfer pays between worlds of different shape: other arms, wheels, sensors, actions, other people's envs.

    python scripts/benchmark_heterogeneous.py                  # 8 hours; kill it at any time, run it again to go on
    python scripts/benchmark_heterogeneous.py --seeds 1        # a first look
    python scripts/benchmark_heterogeneous.py --only 'push/*'  # some cells, as sim2real study takes them
    python scripts/benchmark_heterogeneous.py --render         # only the table, from what is kept and finished

scripts/studies/heterogeneous.yaml is the study; two of its targets need pip install panda-gym==3.0.7
highway-env==1.12.1. It is run seed by seed, and a cell whose curves of a seed are kept in
docs/results/heterogeneous.json, of the same study, is not run again. The table goes into docs/heterogeneous.md.
"""

from __future__ import annotations

import sys
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
from sim2real.files import write_atomic
from sim2real.transfer.scratch import Scratch
from sim2real.transfer.zero_shot import ZeroShot

STUDY = REPOSITORY / "scripts" / "studies" / "heterogeneous.yaml"
RUNS = Path("runs/heterogeneous-study")


def main() -> None:
    assert __doc__ is not None
    kept, docs = run_kept(__doc__, STUDY, RUNS, "heterogeneous")
    page, text = docs / "heterogeneous.md", rendered(kept)
    write_atomic(page, replace_part(page.read_text(encoding="utf-8"), Path(__file__).name, text))
    print(text)


def rendered(kept: Kept) -> str:
    """Return the table: a row a pair and method, with a tenth of the steps that scratch is given."""
    cells = cells_of(kept)
    if not cells:
        return "Not measured yet."
    head = ["source", "target", "method", "steps", "seeds", ZeroShot.name, "it ends", "scratch ends", "verdict"]
    lines = [[*head, "scratch, whole budget", "its steps", "share of scratch's"]]
    lines.append(["---"] * len(lines[0]))
    most = {pair: max(split(t)[4] for t in cells if pair_of(t) == pair) for pair in map(pair_of, cells)}
    for title, points in cells.items():
        source, _, target, method, steps = split(title)
        if steps == most[source, target]:
            continue
        ends = [ending(points, arm) for arm in (ZeroShot.name, method, Scratch.name)]
        seeds = len({point["seed"] for point in points})
        verdict = verdict_words(points, method)
        whole = next((p for t, p in cells.items() if pair_of(t) == (source, target) and split(t)[4] > steps), None)
        found = [source, target, method, f"{steps:,}", str(seeds), *ends, verdict]
        lines.append([*found, *(["–"] * 3 if whole is None else against_scratch(points, whole, method))])
    return as_table(lines)


def pair_of(title: str) -> tuple[str, str]:
    """Return source and target of a cell."""
    source, _, target, _, _ = split(title)
    return source, target


def against_scratch(points: Points, whole: Points, method: str) -> list[str]:
    """Return how scratch ends with its whole budget, and a method's steps to its threshold, as they are and as a share.

    Args:
        points: Of the method's cell.
        whole: Of a cell with scratch's whole budget.
        method: The method.
    """
    scratch = curves_of(whole, Scratch.name)
    level, end = threshold_of(scratch), ending(whole, Scratch.name)
    if level is None:
        return [end, "scratch does not learn it", ""]
    curves, needed = curves_of(points, method), float(steps_to_reach(scratch, level).mean())
    mean = float(steps_to_reach(curves, level).mean())
    never = int((~(curves.values >= level).any(axis=1)).sum())
    words = f"{mean:,.0f}" + (f", not by {never} of {curves.seeds}" if never else "")
    return [f"{end}, 90 % after {needed:,.0f}", words, f"{mean / needed:.2f}"]


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
