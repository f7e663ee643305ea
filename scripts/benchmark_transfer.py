"""Say when transfer pays and by which method: four worlds, near and far targets, controls that should not pay.

    python scripts/benchmark_transfer.py                  # half a day; kill it at any time, run it again to go on
    python scripts/benchmark_transfer.py --seeds 1        # a first look
    python scripts/benchmark_transfer.py --only 'reach/*' # some cells, as sim2real study takes them
    python scripts/benchmark_transfer.py --render         # only the tables, from what is kept and finished

scripts/studies/transfer.yaml is the study. It is run seed by seed, and a cell whose curves of a seed are kept in
docs/results/transfer.json, of the same study, is not run again. The tables go into docs/transfer.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from world_runs import DOCS, replace_part

from sim2real.domains.world import make_importable
from sim2real.errors import Sim2RealError
from sim2real.evaluation.metrics import Curves, arm_curves, steps_to_reach, threshold
from sim2real.evaluation.statistics import mean_interval
from sim2real.files import read_jsonl, read_yaml, write_atomic
from sim2real.studies.numbers import interval, number
from sim2real.studies.run import part, plan_study, run_study
from sim2real.studies.summary import SHORT_WORDS, percent
from sim2real.transfer.auto import Auto
from sim2real.transfer.scratch import Scratch
from sim2real.transfer.verdict import Judgement, judge
from sim2real.transfer.zero_shot import ZeroShot

REPOSITORY = Path(__file__).resolve().parents[1]
STUDY = REPOSITORY / "scripts" / "studies" / "transfer.yaml"
RUNS = Path("runs/transfer-study")
HEADLINE = ("medium", "hard")
"""Targets of which the whole budget is measured, too."""
NEAR = 0.05
"""What the gate may lose against the best arm, as a share of what is to be gained there."""

Points = list[dict[str, Any]]
"""Of a cell, labelled with ``arm`` and ``seed``."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", metavar="N", type=int, help="how many (default: those of the study)")
    parser.add_argument("--only", metavar="GLOB", default="*", help="source/randomizer/algo/target/method/steps")
    parser.add_argument("--study", metavar="FILE", type=Path, default=STUDY, help="another one, to try this script out")
    parser.add_argument("--out", metavar="DIR", type=Path, default=RUNS, help=f"folder of the runs (default: {RUNS})")
    parser.add_argument("--docs", metavar="DIR", type=Path, default=DOCS, help="folder of transfer.md and results/")
    parser.add_argument("--workers", metavar="N", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--render", action="store_true", help="run nothing")
    args = parser.parse_args()
    if args.study != STUDY and args.docs == DOCS:
        parser.error("--study is for trying out; give another --docs too")
    make_importable(REPOSITORY)
    study, file = read_yaml(args.study), args.docs / "results" / "transfer.json"
    kept = read_kept(file, study)
    titles = [cell.title for cell in part(plan_study(args.study), args.only).cells]
    for seed in range(args.seeds or study["seeds"]):
        out = args.out / f"seed_{seed}"
        done = [title for title, arms in kept.items() if all(str(seed) in seeds for seeds in arms.values())]
        if not args.render and not set(titles) <= set(done):
            own = args.study.with_name(f".{args.study.stem}-{seed}.yaml")  # beside it, for its relative paths
            exclude = [*study.get("exclude", []), *map(labels_of, done)]
            try:
                write_atomic(own, yaml.safe_dump({**study, "seeds": [seed], "exclude": exclude}, sort_keys=False))
                run_study(own, out, only=args.only, workers=args.workers, progress=sys.stderr.isatty())
            finally:
                own.unlink(missing_ok=True)
        if (out / "curves.jsonl").exists():
            kept = with_seed(kept, seed, finished_points(out))
    write_atomic(file, json.dumps({"study": study, "curves": kept}, allow_nan=False, separators=(",", ":")) + "\n")
    page = args.docs / "transfer.md"
    tables = "\n\n".join(rendered(kept))
    write_atomic(page, replace_part(page.read_text(encoding="utf-8"), Path(__file__).name, tables))
    print(tables)


Kept = dict[str, dict[str, dict[str, list[list[Any]]]]]
"""Curves by cell, arm and seed: of each point step, return, success rate and, for the gate, who was chosen."""


def read_kept(file: Path, study: Mapping[str, Any]) -> Kept:
    """Return the curves that are kept, if they are of the same study but for its number of seeds."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    same = {**content.get("study", {}), "seeds": 0} == {**study, "seeds": 0}
    curves: Kept = content["curves"] if same else {}
    return curves


def labels_of(title: str) -> dict[str, Any]:
    """Return an entry of ``exclude`` that leaves out one cell."""
    source, randomizer, target, method, steps = split(title)
    return {"source": source, "randomizer": randomizer, "target": target, "method": method, "steps": steps}


def finished_points(out: Path) -> Iterator[dict[str, Any]]:
    """Yield the points of the cells of a study that are finished."""
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    finished = {cell["title"] for cell in results["cells"] if "result" in cell}
    yield from (point for point in read_jsonl(out / "curves.jsonl") if point["cell"] in finished)


def with_seed(kept: Kept, seed: int, points: Iterator[dict[str, Any]]) -> Kept:
    """Return the curves with those of a seed put in the place of what was kept of it."""
    found = {cell: {arm: dict(seeds) for arm, seeds in arms.items()} for cell, arms in kept.items()}
    new: dict[tuple[str, str], list[list[Any]]] = {}
    for p in points:
        row = [p["step"], round(p["return_mean"], 4), p["success_rate"], *([p["chosen"]] if "chosen" in p else [])]
        new.setdefault((p["cell"], p["arm"]), []).append(row)
    for (cell, arm), rows in new.items():
        found.setdefault(cell, {}).setdefault(arm, {})[str(seed)] = sorted(rows, key=lambda row: int(row[0]))
    return found


def points_of(arms: Mapping[str, Mapping[str, Sequence[Sequence[Any]]]]) -> Points:
    """Return the points of a cell, of the seeds that all of its arms have."""
    shared = set.intersection(*(set(seeds) for seeds in arms.values()))
    return [
        {"arm": arm, "seed": int(seed), "step": row[0], "return_mean": row[1], "success_rate": row[2]}
        for arm, seeds in arms.items()
        for seed, rows in seeds.items()
        if seed in shared
        for row in rows
    ]


def judged(points: Points, method: str) -> Judgement:
    """Return the verdict of a cell."""
    curves = {arm: curves_of(points, arm) for arm in (method, Scratch.name, ZeroShot.name)}
    return judge(curves[method], curves[Scratch.name], zero_shot=curves[ZeroShot.name])


def curves_of(points: Points, arm: str, key: str = "return_mean") -> Curves:
    """Return the curves of an arm."""
    found = arm_curves(points, arm, key)
    assert found is not None
    return found


def rendered(kept: Kept) -> list[str]:
    """Return the tables: the cells, the steps against scratch's whole budget, and the gate."""
    if not kept:
        return ["Not measured yet."]
    cells = {title: points_of(arms) for title, arms in kept.items()}
    cells = {title: points for title, points in cells.items() if points}
    return [cell_table(cells), steps_table(cells), gate_table(cells)]


def split(title: str) -> tuple[str, str, str, str, int]:
    """Return source, randomizer, target, method and budget of a cell."""
    source, randomizer, _, target, method, steps = title.split("/")
    return source, randomizer, target, method, int(steps)


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
        row[method] = f"{ending(points, method)} {SHORT_WORDS[judged(points, method).verdict]}"
    head = ["source", "randomized", "target", "steps", "seeds", ZeroShot.name, Scratch.name, *methods]
    lines = [head, ["---"] * len(head)]
    for (source, randomizer, target, steps), row in rows.items():
        cells_of = [row.get(column, "") for column in head[4:]]
        lines.append([source, "yes" if randomizer != "none" else "no", target, f"{steps:,}", *cells_of])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ending(points: Points, arm: str) -> str:
    """Return the mean success of an arm over the last quarter of its curve."""
    return percent(float(curves_of(points, arm, "success_rate").final.mean()))


def steps_table(cells: Mapping[str, Points]) -> str:
    """Return, for medium and hard, each method's target steps to what scratch needs its whole budget for."""
    lines = [["source", "target", "threshold", "scratch's steps", "method", "its steps", "share"], ["---"] * 7]
    whole = {
        (source, target): points
        for title, points in cells.items()
        for source, _, target, _, steps in [split(title)]
        if target in HEADLINE and steps == max(split(other)[4] for other in cells if split(other)[0] == source)
    }
    for (source, target), points in whole.items():
        scratch = curves_of(points, Scratch.name)
        level = threshold(scratch) if scratch.seeds > 1 else one_seed_threshold(scratch)
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
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def one_seed_threshold(scratch: Curves) -> float:
    """Return the same threshold of a single curve, which has no interval to be clear by."""
    start, final = float(scratch.start.mean()), float(scratch.final.mean())
    return start + 0.9 * (final - start)


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
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\nThe gate is within {NEAR:.0%} of the best arm in {near} of {pairs} pairs."


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
