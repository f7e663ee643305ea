"""Train every world with its tuned configuration, in its randomized source, and say how often it succeeds.

    python scripts/benchmark_worlds.py                        # hours; kill it at any time, run it again to go on
    python scripts/benchmark_worlds.py --only 'Panda*'        # some worlds; the others stay as they are
    python scripts/benchmark_worlds.py --render               # only the tables, from the runs that are finished

A seed whose results are kept already, trained with the same settings, is not trained again; to measure everything anew,
give another --docs with a copy of docs/worlds.md in it.

Success is that of 200 new episodes in the randomized source, for every seed. The results go into
docs/results/worlds.json, their table and curves into docs/worlds.md, and the policy of the first seed into
policies/sim2real_policies/pretrained, whatever it is worth. Minutes are wall time with two runs side by side.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from world_runs import (
    DOCS,
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

from sim2real.deployment.bundle import load_policy
from sim2real.errors import Sim2RealError
from sim2real.files import make_folder, write_atomic
from sim2real.studies.plots import LIGHT, write_png
from sim2real.training.folder import RunFolder
from sim2real.training.train import TrainingConfig, make_config

RUNS = Path("runs/worlds")
PRETRAINED = DOCS.parent / "policies" / "sim2real_policies" / "pretrained"
GOAL = 0.9
POINTS = 20
"""Points of a learning curve, beside the one before learning."""
TEST = "source"
_TEST_SEED = 1_000  # plus the run's own: no two policies meet the same episodes
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")  # Okabe & Ito (2008)
_STYLES = ("-", "--", "-.", ":", "-")
_COLUMNS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", metavar="N", type=int, default=3, help="runs of each world (default: 3)")
    args = read_arguments(parser, out=RUNS, episodes=200)
    cases = find_cases(args.only)
    file = args.docs / "results" / "worlds.json"
    before = read_figures(file)
    failed = 0 if args.render else do_jobs(make_jobs(cases, args, before), args.workers)
    new = {
        case.name: entry for case in cases if (entry := judge(case, args.out / case.name, before.get(case.name, {})))
    }
    figures = keep_figures(file, new)
    if args.docs == DOCS:
        for case in cases:
            publish(case, args.out / case.name / "seed_0")
    write_png(curves(figures), args.docs / "results" / "worlds.png")
    page = args.docs / "worlds.md"
    write_atomic(page, rendered(page.read_text(encoding="utf-8"), figures))
    print(table(figures))
    sys.exit(1 if failed else 0)


def make_jobs(cases: Sequence[Case], args: argparse.Namespace, before: Mapping[str, Any]) -> list[Job]:
    """Return one job a world and seed that is not known yet, the first seed of every world first."""
    configs = {case.name: source_training(case, args.steps) for case in cases}
    known = {
        (name, run["seed"])
        for name, config in configs.items()
        if is_alike(before.get(name, {}), settings_of(config))
        for run in before[name]["runs"]
        if "failed" not in run
    }
    return [
        Job(
            config=replace(config, seed=seed),
            folder=args.out / name / f"seed_{seed}",
            tests={TEST: Test(seed=_TEST_SEED + seed, episodes=args.episodes, randomizer="uniform")},
        )
        for seed in range(args.seeds)
        for name, config in configs.items()
        if (name, seed) not in known
    ]


def source_training(case: Case, steps: int | None = None) -> TrainingConfig:
    """Return the training of a world with its tuned configuration, in its randomized source, with seed 0."""
    config = make_config(case.world, randomizer="uniform", seed=0, steps=steps)
    return replace(config, eval_every=max(1, config.steps // POINTS))


def judge(case: Case, folder: Path, before: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the runs of a world came to; ``None`` while there are none.

    Args:
        case: The world.
        folder: Of its runs.
        before: What was kept of it earlier; its other seeds stand if they were trained in the same way.
    """
    runs = read_runs(folder)
    if not runs:
        return None
    settings = {name: runs[0][name] for name in SETTINGS}
    kept = []
    for entry in runs:
        found: dict[str, Any] = {"seed": entry["seed"]}
        if "failed" in entry:
            found["failed"] = entry["failed"]
        else:
            found |= {name: entry[name] for name in ("minutes", "curve")}
            found["success"] = entry["tests"][TEST]["success"]
            found["episodes"] = entry["tests"][TEST]["episodes"]
            found["reached"] = next((step for step, success in entry["curve"] if success >= GOAL), None)
        kept.append(found)
    if is_alike(before, settings):
        kept += [run for run in before["runs"] if run["seed"] not in {new["seed"] for new in kept}]
    return {
        "env": case.world.env.rpartition(":")[2],
        "kwargs": dict(case.world.kwargs),
        **settings,
        "success": mean_success([run.get("success", 0.0) for run in kept]),
        "runs": sorted(kept, key=lambda run: run["seed"]),
    }


def is_alike(before: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Tell whether what was kept of a world was trained with the same settings."""
    return all(before.get(name) == value for name, value in settings.items())


def publish(case: Case, folder: Path) -> None:
    """Make the policy of a finished run the pretrained one of its world; its bundle says which command makes it."""
    if RunFolder(folder).finished:
        policy = load_policy(folder)
        facts = {**policy.metadata.provenance, "command": f"python scripts/benchmark_worlds.py --only {case.name}"}
        policy.metadata = replace(policy.metadata, provenance=facts)
        make_folder(PRETRAINED)
        policy.save(PRETRAINED / f"{case.name}.zip")


def table(figures: Mapping[str, Any]) -> str:
    """Return the table of the results."""
    lines = [
        f"| world | learner | steps | minutes | success of each seed | mean [95 %] | ≥ {GOAL} | {GOAL} reached at |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, entry in figures.items():
        runs = entry["runs"]
        good = sum(run.get("success", 0.0) >= GOAL for run in runs)
        verdict = f"{good} of {len(runs)}" if good == len(runs) else f"**{good} of {len(runs)}**"
        minutes = [run["minutes"] for run in runs if "minutes" in run]
        cells = [
            f"`{name}`",
            entry["algo"].upper(),
            f"{entry['steps']:,}",
            f"{sum(minutes) / len(minutes):.0f}" if minutes else "–",
            " ".join("failed" if "failed" in run else f"{run['success']:.2f}" for run in runs),
            interval_words(entry["success"]),
            verdict,
            " ".join("–" if run.get("reached") is None else f"{run['reached'] / 1000:.3g}k" for run in runs),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rendered(page: str, figures: Mapping[str, Any]) -> str:
    """Return the page of the worlds with its table of results made from the figures."""
    picture = "![Success over env steps, one panel a world, one line a seed](results/worlds.png)"
    content = f"{table(figures)}\n\n{picture}" if figures else "Not measured yet."
    return replace_part(page, Path(__file__).name, content)


def curves(figures: Mapping[str, Any]) -> Figure:
    """Draw the learning curves, one panel a world and one line a seed."""
    rows = -(-len(figures) // _COLUMNS)
    figure = Figure(figsize=(2.9 * _COLUMNS, 2.1 * rows), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False, sharey=True)
    for axes in panels.ravel()[len(figures) :]:
        axes.set_axis_off()
    for number, (name, entry) in enumerate(figures.items()):
        axes = panels.ravel()[number]
        axes.set_title(f"{name} ({entry['algo'].upper()})", fontsize=9.5, loc="left", color=LIGHT.text)
        axes.axhline(100 * GOAL, color=LIGHT.muted, linewidth=0.8, linestyle=(0, (2, 2)))
        for index, learned in enumerate(seed for seed in entry["runs"] if "curve" in seed):
            steps, success = zip(*learned["curve"], strict=True)
            style = {"color": _COLOURS[index % len(_COLOURS)], "linestyle": _STYLES[index % len(_STYLES)]}
            axes.plot(steps, [100 * rate for rate in success], label=f"seed {learned['seed']}", linewidth=1.5, **style)
        axes.set_ylim(-4, 104)
        axes.set_xlim(0, entry["steps"])
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.tick_params(labelsize=8, colors=LIGHT.muted)
        axes.grid(color=LIGHT.grid, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        if number % _COLUMNS == 0:
            axes.set_ylabel("success [%]", fontsize=8.5, color=LIGHT.muted)
        if number + _COLUMNS >= len(figures):
            axes.set_xlabel("env steps", fontsize=8.5, color=LIGHT.muted)
        if number == 0:
            axes.legend(fontsize=7.5, frameon=False, loc="lower right")
    return figure


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
