"""Say how hard the targets of every world are: for policies trained without and with randomization, and from scratch.

    python scripts/calibrate_targets.py --part randomized  # tests the pretrained policies
    python scripts/calibrate_targets.py --part fixed       # hours: policies trained in the nominal domain alone
    python scripts/calibrate_targets.py --part scratch     # hours: one policy a target, from nothing
    python scripts/calibrate_targets.py --render           # only the table, from the runs that are finished

Without --part it does all three. Kill it at any time and run it again; a target that has changed is tested again. The
results go into docs/results/targets.json, beside those that are there already, and the table into docs/worlds.md. A
ladder is calibrated if policies that have met the nominal domain only lose something on `mild` (the interval of their
success over all episodes lies below that in the source, or, as success is often full, that of the return that they
lose, episode by episode of the same seed, lies above zero), more than half of their success on `hard`, and a learner
from scratch reaches 0.8 of that success on `hard`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmark_worlds import POINTS, source_training
from world_runs import (
    Case,
    Job,
    Test,
    do_jobs,
    find_cases,
    keep_figures,
    read_arguments,
    read_figures,
    read_runs,
    read_tests,
    replace_part,
)

from sim2real.domains.targets import NOMINAL, find_target, list_targets
from sim2real.errors import Sim2RealError
from sim2real.evaluation.statistics import mean_interval, proportion_interval
from sim2real.files import write_atomic
from sim2real.training.train import make_config
from sim2real_policies import pretrained_policies

OUT = Path("runs/targets")
FIXED_SEED = 130
"""Of the first policy without randomization."""
SCRATCH_SEED = 200
"""Of the first learner from scratch."""
LADDER = ("mild", "medium", "hard", "out-of-range", "mujoco")
"""Targets with a column of their own."""
KINDS = ("fixed", "randomized", "scratch")
"""Trained in the nominal domain, in the randomized source, in the target."""
RULES = {"mild": "mild costs something", "hard": "hard costs half", "scratch": "scratch solves hard"}
_SOURCE = "source"
_VERDICTS = {True: "pass", False: "FAIL", None: "not known"}
_TEST_SEED = 2_000  # one for all policies, so that they meet the same episodes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", metavar="GLOB", default="*", help="targets whose name fits, e.g. hard")
    parser.add_argument("--part", choices=KINDS, help="do one part only")
    parser.add_argument("--seeds", metavar="N", type=int, default=3, help="without randomization (default: 3)")
    parser.add_argument(
        "--scratch-seeds", metavar="N", type=int, default=1, help="from scratch on a target (default: 1)"
    )
    args = read_arguments(parser, out=OUT, episodes=100)
    cases = find_cases(args.only)
    failed = 0 if args.render else do_jobs([job for case in cases for job in make_jobs(case, args)], args.workers)
    file = args.docs / "results" / "targets.json"
    before = read_figures(file)
    new = {case.name: entry for case in cases if (entry := judge(case, args.out, before.get(case.name, {})))}
    figures = keep_figures(file, new)
    page = args.docs / "worlds.md"
    write_atomic(page, rendered(page.read_text(encoding="utf-8"), figures))
    print(report(figures))
    sys.exit(1 if failed else 0)


def make_jobs(case: Case, args: argparse.Namespace) -> list[Job]:
    """Return what is to be trained for a world, and on which targets it is tested."""
    source = source_training(case, args.steps)
    targets = {
        name: find_target(case.world, name)
        for name in list_targets(case.world)
        if name != NOMINAL and fnmatch(name, args.targets)
    }
    tests = {name: Test(seed=_TEST_SEED, episodes=args.episodes, target=world) for name, world in targets.items()}
    nominal = {_SOURCE: Test(seed=_TEST_SEED, episodes=args.episodes)}
    folder, jobs = args.out / case.name, []
    if args.part in (None, "randomized") and case.name in pretrained_policies():
        jobs.append(Job(policy=case.name, folder=folder / "randomized", tests={**nominal, **tests}))
    if args.part in (None, "fixed"):
        for seed in range(FIXED_SEED, FIXED_SEED + args.seeds):
            config = replace(source, randomizer="none", seed=seed)
            jobs.append(Job(config=config, folder=folder / "fixed" / f"seed_{seed}", tests={**nominal, **tests}))
    if args.part in (None, "scratch"):
        for name, world in targets.items():
            settings: dict[str, Any] = {"algo": source.algo, "steps": source.steps, "randomizer": "none"}
            config = make_config(world, **settings, seed=0, eval_every=max(1, source.steps // POINTS))
            for seed in range(SCRATCH_SEED, SCRATCH_SEED + args.scratch_seeds):
                place = folder / f"scratch-{name}" / f"seed_{seed}"
                jobs.append(Job(config=replace(config, seed=seed), folder=place, tests={name: tests[name]}))
    return jobs


def judge(case: Case, out: Path, before: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what policies of every kind come to on every target of a world; ``None`` while there are none.

    Args:
        case: The world.
        out: Folder of the runs.
        before: What was kept of it earlier, which stands where a target is still the same and there is nothing new.
    """
    folder = out / case.name
    fixed, tested = read_runs(folder / "fixed"), read_tests(folder / "randomized")
    targets: dict[str, Any] = {}
    for name, target in list_targets(case.world).items():
        name, where = (_SOURCE, {}) if name == NOMINAL else (name, {"kwargs": target.kwargs, "domain": target.domain})
        runs = {"fixed": fixed, "randomized": [{"tests": tested}], "scratch": read_runs(folder / f"scratch-{name}")}
        found = {kind: score for kind, entries in runs.items() if (score := pool(entries, name))}
        old = before.get("targets", {}).get(name, {})
        if all(old.get(key) == value for key, value in where.items()):
            found = {**{kind: old[kind] for kind in KINDS if kind in old}, **found}
        targets[name] = {**where, **found}
    if not any(kind in scores for scores in targets.values() for kind in KINDS):
        return None
    return {
        "env": case.world.env.rpartition(":")[2],
        "kwargs": dict(case.world.kwargs),
        "targets": targets,
        "rules": check(targets),
    }


def pool(runs: Sequence[Mapping[str, Any]], test: str) -> dict[str, Any] | None:
    """Return success and return of several policies in one test, with their intervals over all episodes.

    A run that failed counts as one that never succeeds. ``None`` where there is no test of this name.
    """
    tests = [run["tests"][test] for run in runs if test in run.get("tests", ())]
    if not tests:
        return None
    returns = [result["return"] for result in tests]
    # The intervals are those of independent means.
    spread = math.hypot(*((result["return_ci95"][1] - result["return_ci95"][0]) / 2 for result in tests)) / len(tests)
    mean = sum(returns) / len(returns)
    tests += [{"success": 0.0, "episodes": tests[0]["episodes"]} for run in runs if "failed" in run]
    successes = sum(round(result["success"] * result["episodes"]) for result in tests)
    estimate = proportion_interval(successes, sum(result["episodes"] for result in tests))
    lost = [
        before - after
        for run in runs
        if {test, _SOURCE} <= run.get("tests", {}).keys()
        for before, after in zip(run["tests"][_SOURCE]["returns"], run["tests"][test]["returns"], strict=True)
    ]
    loss = mean_interval(lost) if lost else None
    return {
        "success": estimate.value,
        "ci95": [estimate.low, estimate.high],
        "of_each": [result["success"] for result in tests],
        "return": mean,
        "return_ci95": [mean - spread, mean + spread],
        "return_lost": None if loss is None else {"mean": loss.value, "ci95": [loss.low, loss.high]},
        "episodes": tests[0]["episodes"],
    }


def check(targets: Mapping[str, Any]) -> dict[str, bool | None]:
    """Return which rules a ladder keeps; ``None`` where what is needed to tell is missing."""

    def score(target: str, kind: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = targets.get(target, {}).get(kind)
        return found

    source, mild, hard = (score(name, "fixed") for name in (_SOURCE, "mild", "hard"))
    learned = score("hard", "scratch")
    return {
        "mild": None if source is None or mild is None else _loses(source, mild),
        "hard": None if source is None or hard is None else hard["success"] < 0.5 * source["success"],
        "scratch": None if source is None or learned is None else learned["success"] >= 0.8 * source["success"],
    }


def _loses(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    less_success: bool = after["ci95"][1] < before["ci95"][0]
    lost = after.get("return_lost")
    return less_success or (lost is not None and lost["ci95"][0] > 0)


def table(figures: Mapping[str, Any]) -> str:
    """Return the table of the targets."""
    words = " / ".join(KINDS)
    columns = ["world", _SOURCE, *LADDER, "with a story", "return lost on mild", *RULES.values()]
    lines = [f"Success of policies trained {words}:", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, entry in figures.items():
        targets = entry["targets"]
        stories = "; ".join(f"`{t}` {_cell(targets[t])}" for t in targets if t not in (_SOURCE, *LADDER))
        verdicts = [{True: "yes", False: "**no**", None: "–"}[entry["rules"][rule]] for rule in RULES]
        cells = [_cell(targets[target]) if target in targets else "–" for target in (_SOURCE, *LADDER)]
        lost = targets.get("mild", {}).get("fixed", {}).get("return_lost")
        lines.append(f"| {' | '.join([f'`{name}`', *cells, stories or '–', _lost(lost), *verdicts])} |")
    return "\n".join(lines)


def _cell(scores: Mapping[str, Any]) -> str:
    return " / ".join(f"{scores[kind]['success']:.2f}" if kind in scores else "–" for kind in KINDS) if scores else "–"


def _lost(loss: Mapping[str, Any] | None) -> str:
    if loss is None:
        return "–"
    low, high = loss["ci95"]
    return f"{loss['mean']:.1f} [{low:.1f}, {high:.1f}]".replace("-", "−")


def report(figures: Mapping[str, Any]) -> str:
    """Return which ladder keeps which rule, with the figures that decide it."""
    lines = []
    for name, entry in figures.items():
        found = {t: entry["targets"].get(t, {}) for t in (_SOURCE, "mild", "hard")}
        numbers = ", ".join(f"{target} {_cell(scores)}" for target, scores in found.items())
        verdicts = ", ".join(f"{RULES[rule]}: {_VERDICTS[kept]}" for rule, kept in entry["rules"].items())
        lines.append(f"{name:<24} {verdicts}   ({numbers}; {' / '.join(KINDS)})")
    return "\n".join(lines)


def rendered(page: str, figures: Mapping[str, Any]) -> str:
    """Return the page of the worlds with its table of targets made from the figures."""
    return replace_part(page, Path(__file__).name, table(figures) if figures else "Not measured yet.")


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
