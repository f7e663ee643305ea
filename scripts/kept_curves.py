"""Curves of a study that are kept among the results: what is run, what of it is kept, and what is read from it.

A study runs seed by seed, and a cell of which the curves of a seed are kept is not run again, so that what takes days
can be measured on several machines, one after the other.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from world_runs import DOCS

from sim2real.domains.world import make_importable
from sim2real.evaluation.metrics import Curves, arm_curves, threshold
from sim2real.files import read_jsonl, read_yaml, write_atomic
from sim2real.studies.run import part, plan_study, run_study
from sim2real.studies.summary import SHORT_WORDS, percent
from sim2real.transfer.scratch import Scratch
from sim2real.transfer.verdict import Judgement, judge
from sim2real.transfer.zero_shot import ZeroShot

REPOSITORY = Path(__file__).resolve().parents[1]

Points = list[dict[str, Any]]
"""Of a cell, labelled with ``arm`` and ``seed``."""

Kept = dict[str, dict[str, dict[str, list[list[Any]]]]]
"""Curves by cell, arm and seed: of each point step, return, success rate and, for the gate, who was chosen."""


def run_kept(description: str, study_file: Path, runs: Path, name: str) -> tuple[Kept, Path]:
    """Run a study as the command line says, and keep its curves; return them and the folder of the docs.

    Args:
        description: Of the command.
        study_file: The study.
        runs: Folder of the runs, where the user names none.
        name: Of the results, which are kept in ``results/NAME.json`` of the docs.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", metavar="N", type=int, help="how many (default: those of the study)")
    parser.add_argument("--only", metavar="GLOB", default="*", help="cells, as sim2real study takes them")
    parser.add_argument("--study", metavar="FILE", type=Path, default=study_file, help="another one, to try this out")
    parser.add_argument("--out", metavar="DIR", type=Path, default=runs, help=f"folder of the runs (default: {runs})")
    parser.add_argument("--docs", metavar="DIR", type=Path, default=DOCS, help="folder of the page and of results/")
    parser.add_argument("--workers", metavar="N", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--render", action="store_true", help="run nothing")
    args = parser.parse_args()
    if args.study != study_file and args.docs == DOCS:
        parser.error("--study is for trying out; give another --docs too")
    make_importable(REPOSITORY)
    study, file = read_yaml(args.study), args.docs / "results" / f"{name}.json"
    kept = read_kept(file, study)
    titles = [] if args.render else [cell.title for cell in part(plan_study(args.study), args.only).cells]
    for seed in range(args.seeds or study["seeds"]):
        out = args.out / f"seed_{seed}"
        done = [title for title, arms in kept.items() if all(str(seed) in seeds for seeds in arms.values())]
        if not set(titles) <= set(done):
            own = args.study.with_name(f".{args.study.stem}-{seed}.yaml")  # beside it, for its relative paths
            exclude = [*study.get("exclude", []), *map(labels_of, done)]
            try:
                write_atomic(own, yaml.safe_dump({**study, "seeds": [seed], "exclude": exclude}, sort_keys=False))
                run_study(own, out, only=args.only, workers=args.workers, progress=sys.stderr.isatty())
            finally:
                own.unlink(missing_ok=True)
        if (out / "curves.jsonl").exists():
            kept = with_seed(kept, seed, finished_points(out))
            write_kept(file, study, kept)
    write_kept(file, study, kept)
    docs: Path = args.docs
    return read_kept(file, study), docs


def read_kept(file: Path, study: Mapping[str, Any]) -> Kept:
    """Return the curves that are kept, if they are of the same study but for its number of seeds."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    same = {**content.get("study", {}), "seeds": 0} == {**study, "seeds": 0}
    curves: Kept = content["curves"] if same else {}
    return curves


def write_kept(file: Path, study: Mapping[str, Any], kept: Kept) -> None:
    """Keep curves, one line a cell, in the order of the study."""
    titles = sorted(kept, key=lambda title: _place(title, study))
    lines = ",\n".join(f"{json.dumps(title)}: {_compact(kept[title])}" for title in titles)
    write_atomic(file, f'{{"study": {_compact(study)},\n"curves": {{\n{lines}}}}}\n')


def _place(title: str, study: Mapping[str, Any]) -> tuple[int, ...]:
    """Return where a cell stands among those of a study."""
    source, randomizer, target, method, steps = split(title)
    named = {"sources": source, "randomizers": randomizer, "targets": target, "methods": method}
    orders = ((list(study.get(part, ())), name) for part, name in named.items())
    return *(order.index(name) if name in order else len(order) for order, name in orders), steps


def _compact(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


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


def split(title: str) -> tuple[str, str | None, str, str, int]:
    """Return source, randomizer, target, method and budget of a cell; no randomizer of a policy that was there."""
    source, *randomizer, _, target, method, steps = title.split("/")
    return source, randomizer[0] if randomizer else None, target, method, int(steps)


def labels_of(title: str) -> dict[str, Any]:
    """Return an entry of ``exclude`` that leaves out one cell."""
    source, randomizer, target, method, steps = split(title)
    labels = {"source": source, "target": target, "method": method, "steps": steps}
    return labels if randomizer is None else {**labels, "randomizer": randomizer}


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


def cells_of(kept: Kept) -> dict[str, Points]:
    """Return the points of every cell that has a seed of all of its arms, by title."""
    cells = {title: points_of(arms) for title, arms in kept.items()}
    return {title: points for title, points in cells.items() if points}


def curves_of(points: Points, arm: str, key: str = "return_mean") -> Curves:
    """Return the curves of an arm."""
    found = arm_curves(points, arm, key)
    assert found is not None
    return found


def judged(points: Points, method: str) -> Judgement:
    """Return the verdict of a cell."""
    zero_shot = curves_of(points, ZeroShot.name) if any(p["arm"] == ZeroShot.name for p in points) else None
    return judge(curves_of(points, method), curves_of(points, Scratch.name), zero_shot=zero_shot)


def verdict_words(points: Points, method: str) -> str:
    """Return the verdict of a cell in words; nothing for a single seed, which decides nothing."""
    single = len({point["seed"] for point in points}) == 1
    return "" if single else SHORT_WORDS[judged(points, method).verdict]


def ending(points: Points, arm: str) -> str:
    """Return the mean success of an arm over the last quarter of its curve; its return where there is no success."""
    if not any(point["arm"] == arm for point in points):
        return "–"
    success = arm_curves(points, arm, "success_rate")
    return f"{curves_of(points, arm).final.mean():.1f}" if success is None else percent(float(success.final.mean()))


def threshold_of(scratch: Curves) -> float | None:
    """Return the threshold that scratch sets, ``None`` if it does not learn.

    See :func:`~sim2real.evaluation.metrics.threshold`; a single curve has no interval to be clear by.
    """
    if scratch.seeds > 1:
        return threshold(scratch)
    start, final = float(scratch.start.mean()), float(scratch.final.mean())
    return start + 0.9 * (final - start)


def as_table(lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; the second line divides its head from the rest."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
