"""Say what drawing the training domains in one way or another is worth: in the source, far from it, and in targets.

    python scripts/benchmark_randomization.py                      # hours; kill it at any time, run it again to go on
    python scripts/benchmark_randomization.py --only 'Drive*'      # some worlds; the others stay as they are
    python scripts/benchmark_randomization.py --seeds 1            # a first look
    python scripts/benchmark_randomization.py --render             # only the tables, from the runs that are finished

scripts/studies/randomization.yaml has the worlds and the randomizers. Every policy is trained with the tuned
configuration of its world and the same number of simulator steps, and judged in the same episodes: 200 in the nominal
world, 200 in held-out domains, each in another one from all that the world accepts, 100 in the target `hard` and 100 in
the second engine. The results go into docs/results/randomization.json, their table into docs/randomization.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmark_worlds import source_training
from world_runs import (
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
)

from sim2real.domains.randomizers import RandomizerSpec
from sim2real.domains.targets import find_target
from sim2real.errors import Sim2RealError
from sim2real.evaluation.statistics import mean_interval
from sim2real.files import read_yaml, write_atomic

RUNS = Path("runs/randomization")
STUDY = Path(__file__).with_name("studies") / "randomization.yaml"
FIRST_SEED = 300
"""Of the policies; no table of the worlds has one of these."""
TESTS = {"source": "nominal", "held-out": "held-out domains", "hard": "`hard`", "mujoco": "`mujoco`"}
"""Tests -> heads of their columns."""
PLAIN, BASELINE = "none", "uniform"
_TEST_SEED = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", metavar="N", type=int, help="of every randomizer (default: those of the study)")
    args = read_arguments(parser, out=RUNS, episodes=200)
    study = read_yaml(STUDY)
    cases = [case for case in find_cases() if case.name in study["worlds"] and fnmatch(case.name, args.only)]
    if not cases:
        raise Sim2RealError(f"--only {args.only!r} fits none of {', '.join(study['worlds'])}.")
    jobs = make_jobs(cases, study["randomizers"], args.seeds or study["seeds"], args)
    failed = 0 if args.render else do_jobs(jobs, args.workers)
    file = args.docs / "results" / "randomization.json"
    before = read_figures(file)
    found = {case.name: judge(case, args.out / case.name, study["randomizers"], before) for case in cases}
    figures = keep_figures(file, {name: entry for name, entry in found.items() if entry["randomizers"]})
    page = args.docs / "randomization.md"
    write_atomic(page, rendered(page.read_text(encoding="utf-8"), figures))
    print(table(figures))
    sys.exit(1 if failed else 0)


def make_jobs(
    cases: Sequence[Case], randomizers: Mapping[str, RandomizerSpec], seeds: int, args: argparse.Namespace
) -> list[Job]:
    """Return one job a world, randomizer and seed, the first seed of everything first."""
    jobs = []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        for case in cases:
            tests = {
                "source": Test(seed=_TEST_SEED, episodes=args.episodes),
                "held-out": Test(
                    seed=_TEST_SEED, episodes=args.episodes, randomizer={"name": "uniform", "ranges": "bounds"}
                ),
                **{
                    name: Test(seed=_TEST_SEED, episodes=args.episodes // 2, target=find_target(case.world, name))
                    for name in ("hard", "mujoco")
                },
            }
            for name, spec in randomizers.items():
                config = replace(source_training(case, args.steps), randomizer=spec, seed=seed)
                folder = args.out / case.name / name / f"seed_{seed}"
                jobs.append(Job(config=config, folder=folder, tests=tests))
    return jobs


def judge(
    case: Case, folder: Path, randomizers: Mapping[str, RandomizerSpec], before: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the policies of a world came to, by randomizer; what was kept stands where there is nothing new."""
    old = before.get(case.name, {}).get("randomizers", {})
    found: dict[str, Any] = {}
    for name, spec in randomizers.items():
        runs = [run for run in read_runs(folder / name) if "failed" not in run]
        if runs:
            found[name] = {
                "randomizer": spec,
                "steps": runs[0]["steps"],
                "seeds": [run["seed"] for run in runs],
                "minutes": [run["minutes"] for run in runs],
                "curves": [run["curve"] for run in runs],
                **{test: [run["tests"][test]["success"] for run in runs] for test in TESTS},
            }
        elif name in old and old[name]["randomizer"] == spec:
            found[name] = old[name]
    return {"env": case.world.env.rpartition(":")[2], "kwargs": dict(case.world.kwargs), "randomizers": found}


def table(figures: Mapping[str, Any]) -> str:
    """Return the table of the results: a row a world and randomizer, means over seeds with Student's 95 % intervals."""
    head = ["world", "randomizer", "seeds", *TESTS.values(), f"held-out, more than `{BASELINE}`", "minutes"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for world, entry in figures.items():
        for name, rates in entry["randomizers"].items():
            cells = [
                f"`{world}`",
                f"`{name}`",
                str(len(rates["seeds"])),
                *(interval_words(mean_success(rates[test])) for test in TESTS),
                "–" if name == BASELINE else difference(entry["randomizers"], name),
                f"{sum(rates['minutes']) / len(rates['minutes']):.0f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def difference(randomizers: Mapping[str, Any], name: str) -> str:
    """Return by how much a randomizer succeeds more often in held-out domains than the baseline, seed by seed."""
    if BASELINE not in randomizers:
        return "–"
    rates = [
        dict(zip(randomizers[one]["seeds"], randomizers[one]["held-out"], strict=True)) for one in (name, BASELINE)
    ]
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
