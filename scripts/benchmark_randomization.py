"""Say what drawing the training domains in one way or another is worth: in the source, far from it, and in targets.

    python scripts/benchmark_randomization.py                      # hours; kill it at any time, run it again to go on
    python scripts/benchmark_randomization.py --only 'Drive*'      # some worlds; the others stay as they are
    python scripts/benchmark_randomization.py --seeds 1            # a first look
    python scripts/benchmark_randomization.py --render             # only the tables, from the runs that are finished

A seed whose results are kept already, of the same training and tests, is not trained again; to measure everything
anew, give another --docs with a copy of docs/randomization.md in it.

scripts/studies/randomization.yaml has the worlds and the randomizers. Every policy is trained with the tuned
configuration of its world and the same number of simulator steps, and judged in the same episodes: 200 in the nominal
world, 200 in held-out domains, each in another one from all that the world accepts, 100 in the target `hard` and 100 in
the second engine. The results go into docs/results/randomization.json, their table into docs/randomization.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmark_worlds import source_training
from world_runs import (
    SETTINGS,
    Case,
    Job,
    Test,
    do_jobs,
    find_cases,
    interval_words,
    keep_figures,
    mean_success,
    read_arguments,
    read_figures,
    read_runs,
    replace_part,
    settings_of,
)

from sim2real.domains.randomizers import RandomizerSpec
from sim2real.domains.targets import find_target
from sim2real.errors import Sim2RealError
from sim2real.evaluation.statistics import mean_interval
from sim2real.files import read_yaml, write_atomic
from sim2real.training.train import TrainingConfig

RUNS = Path("runs/randomization")
STUDY = Path(__file__).with_name("studies") / "randomization.yaml"
FIRST_SEED = 300
"""Of the policies; no table of the worlds has one of these."""
TESTS = {"source": "nominal", "held-out": "held-out domains", "hard": "`hard`", "mujoco": "`mujoco`"}
"""Tests -> heads of their columns."""
BASELINES = ("uniform", "uniform-bounds")
"""What the others are compared with."""
_TEST_SEED = 5_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """A randomizer in a world."""

    case: Case
    """The world."""
    name: str
    """Of the randomizer."""
    config: TrainingConfig
    """The training, with any seed."""
    tests: Mapping[str, Test]
    """Of every policy."""
    folder: Path
    """Of the runs."""

    def facts(self) -> dict[str, Any]:
        """Return by what two results are results of the same."""
        tests = {name: test.to_dict() for name, test in self.tests.items()}
        return {"randomizer": self.config.randomizer, **settings_of(self.config), "tests": tests}

    def job(self, seed: int) -> Job:
        """Return the job of a seed."""
        return Job(config=replace(self.config, seed=seed), folder=self.folder / f"seed_{seed}", tests=self.tests)

    def kept(self, figures: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the runs of this row among figures that were kept."""
        entry = figures.get(self.case.name, {}).get("randomizers", {}).get(self.name, {})
        runs: list[dict[str, Any]] = entry.get("runs", [])
        return runs if all(entry.get(name) == value for name, value in self.facts().items()) else []

    def judge(self, before: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what the runs came to, with those kept ``before``; ``None`` if there are none."""
        facts = self.facts()
        found = {run["seed"]: run for run in self.kept(before)}
        for run in read_runs(self.folder):
            if "failed" in run or {name: test["test"] for name, test in run["tests"].items()} != facts["tests"]:
                continue
            if all(run[name] == facts[name] for name in (*SETTINGS, "randomizer")):
                rates = {test: run["tests"][test]["success"] for test in TESTS}
                found[run["seed"]] = {"seed": run["seed"], "minutes": run["minutes"], **rates, "curve": run["curve"]}
        return {**facts, "runs": [found[seed] for seed in sorted(found)]} if found else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", metavar="N", type=int, help="of every randomizer (default: those of the study)")
    args = read_arguments(parser, out=RUNS, episodes=200)
    study = read_yaml(STUDY)
    cases = [case for case in find_cases() if case.name in study["worlds"] and fnmatch(case.name, args.only)]
    if not cases:
        raise Sim2RealError(f"--only {args.only!r} fits none of {', '.join(study['worlds'])}.")
    rows = [make_row(case, name, spec, args) for case in cases for name, spec in study["randomizers"].items()]
    file = args.docs / "results" / "randomization.json"
    before = read_figures(file)
    seeds = range(FIRST_SEED, FIRST_SEED + (args.seeds or study["seeds"]))
    known = {(row.case.name, row.name, run["seed"]) for row in rows for run in row.kept(before)}
    jobs = [row.job(seed) for seed in seeds for row in rows if (row.case.name, row.name, seed) not in known]
    failed = 0 if args.render else do_jobs(jobs, args.workers)
    figures = keep_figures(file, gather(rows, before))
    page = args.docs / "randomization.md"
    write_atomic(page, rendered(page.read_text(encoding="utf-8"), figures))
    print(table(figures))
    sys.exit(1 if failed else 0)


def make_row(case: Case, name: str, spec: RandomizerSpec, args: argparse.Namespace) -> Row:
    """Return the trainings and tests of a randomizer in a world."""
    everywhere = {"name": "uniform", "ranges": "bounds"}
    return Row(
        case=case,
        name=name,
        config=replace(source_training(case, args.steps), randomizer=spec, seed=FIRST_SEED),
        tests={
            "source": Test(seed=_TEST_SEED, episodes=args.episodes),
            "held-out": Test(seed=_TEST_SEED, episodes=args.episodes, randomizer=everywhere),
            **{
                target: Test(seed=_TEST_SEED, episodes=args.episodes // 2, target=find_target(case.world, target))
                for target in ("hard", "mujoco")
            },
        },
        folder=args.out / case.name / name,
    )


def gather(rows: Sequence[Row], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the runs of all rows came to, by world and randomizer."""
    found: dict[str, Any] = {}
    for row in rows:
        if (entry := row.judge(before)) is not None:
            world = {"env": row.case.world.env.rpartition(":")[2], "kwargs": dict(row.case.world.kwargs)}
            found.setdefault(row.case.name, {**world, "randomizers": {}})["randomizers"][row.name] = entry
    return found


def table(figures: Mapping[str, Any]) -> str:
    """Return the table of the results: a row a world and randomizer, means over seeds with Student's 95 % intervals."""
    more = [f"held-out, more than `{baseline}`" for baseline in BASELINES]
    head = ["world", "randomizer", "seeds", *TESTS.values(), *more, "minutes"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for world, entry in figures.items():
        for name, row in entry["randomizers"].items():
            runs = row["runs"]
            cells = [
                f"`{world}`",
                f"`{name}`",
                str(len(runs)),
                *(interval_words(mean_success([run[test] for run in runs])) for test in TESTS),
                *(difference(entry["randomizers"], name, baseline) for baseline in BASELINES),
                f"{sum(run['minutes'] for run in runs) / len(runs):.0f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def difference(randomizers: Mapping[str, Any], name: str, baseline: str) -> str:
    """Return by how much a randomizer succeeds more often in held-out domains than a baseline, seed by seed."""
    if name == baseline or baseline not in randomizers:
        return "–"
    rates = [{run["seed"]: run["held-out"] for run in randomizers[one]["runs"]} for one in (name, baseline)]
    both = sorted(rates[0].keys() & rates[1].keys())
    if not both:
        return "–"
    found = mean_interval([rates[0][seed] - rates[1][seed] for seed in both])
    if found.low is None or found.high is None:
        return f"{found.value:+.2f}"
    words = f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
    return f"**{words}**" if found.low > 0.0 or found.high < 0.0 else words


def rendered(page: str, figures: Mapping[str, Any]) -> str:
    """Return a page with its table of results made from the figures."""
    return replace_part(page, Path(__file__).name, table(figures) if figures else "Not measured yet.")


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
