"""The commands about many runs: grids of transfers, and searches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim2real.cli import options
from sim2real.cli.learn import import_from_here
from sim2real.cli.options import OUTPUT
from sim2real.cli.output import Output
from sim2real.errors import Sim2RealError

if TYPE_CHECKING:
    from rich.table import Table

    from sim2real.studies.folder import StudyFolder
    from sim2real.studies.plan import Plan
    from sim2real.studies.search import Search


def study(
    file: Annotated[Path, typer.Argument(metavar="STUDY", help="YAML file that names sources, targets and methods.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the study; run again to go on.", rich_help_panel=OUTPUT)
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the jobs and about how long they take.")
    ] = False,
    only: Annotated[
        str,
        typer.Option(
            metavar="PATTERN",
            help="Only cells with this in source/randomizer/algo/target/method/steps; * stands for anything.",
            show_default="all",
        ),
    ] = "*",
    workers: options.JobsAtATime = None,
    executor: options.Executor = "local",
    address: options.ClusterAddress = None,
    resource: options.Resources = None,
    json_file: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run a grid of transfers, each job once; what was killed goes on when the same command is given again."""
    import_from_here()
    output = Output(json_file, quiet=quiet)
    from sim2real.studies.folder import StudyFolder
    from sim2real.studies.run import part, plan_study, run_study
    from sim2real.studies.summary import study_table

    if dry_run:
        plan = part(plan_study(file), only)
        output.show(_jobs(plan, StudyFolder(out)))
        output.say(_estimate(plan, StudyFolder(out), workers or os.cpu_count() or 1))
        output.json([{"job": job.title, "steps": job.steps, "address": address} for address, job in plan.jobs.items()])
        return
    done = run_study(
        file,
        out,
        only=only,
        executor=executor,
        workers=workers,
        address=address,
        resources=options.key_values(resource, "--resource"),
        progress=output.progress,
    )
    output.show(study_table(done.results))
    output.made(
        done.folder / "report.html",
        done.folder / "results.md",
        done.folder / "results.json",
        done.folder / "results.parquet",
        done.folder / "curves.jsonl",
    )
    output.json(done.results)
    if done.failures:
        first, count = done.failures[0], len(done.failures)
        which = f"{count} jobs failed, the first of them" if count > 1 else "A job failed:"
        raise Sim2RealError(
            f"{which} {first['job']!r}: {first['reason']} The same command tries {'them' if count > 1 else 'it'} again."
        )


def search(
    file: Annotated[
        Path, typer.Argument(metavar="SEARCH", help="YAML file that names what is searched, and for what.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the search; run again to go on.", rich_help_panel=OUTPUT)
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what is searched and about how long it takes.")
    ] = False,
    workers: options.JobsAtATime = None,
    executor: options.Executor = "local",
    address: options.ClusterAddress = None,
    resource: options.Resources = None,
    json_file: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Search hyperparameters and randomization ranges; what was killed goes on when the same command is given again."""
    import_from_here()
    output = Output(json_file, quiet=quiet)
    from sim2real.studies.search import read_search
    from sim2real.studies.search_report import search_table, selection_words, tuned_words
    from sim2real.studies.search_run import estimate_search, run_search

    if dry_run:
        from sim2real.studies.numbers import duration

        wanted, processes = read_search(file), workers or os.cpu_count() or 1
        output.show(_dimensions(wanted))
        left, seconds, basis = estimate_search(wanted, out, processes)
        output.say(
            f"{left} of {wanted.trials} x {len(wanted.seeds)} trainings to do, {wanted.training_steps:,} steps each: "
            f"about {duration(seconds)} with {processes} at a time ({basis}), and "
            f"{wanted.objective.episodes * len(wanted.objective.worlds)} validation episodes after each"
        )
        output.json(wanted.to_dict())
        return
    done = run_search(
        file,
        out,
        executor=executor,
        workers=workers,
        address=address,
        resources=options.key_values(resource, "--resource"),
        progress=output.progress,
    )
    output.show(search_table(done.results))
    if done.best is not None:
        output.say(" ".join(filter(None, (tuned_words(done.results), selection_words(done.results)))))
    best = () if done.best is None else ("best.yaml", "best")
    output.made(*(done.folder / name for name in (*best, "trials.md", "trials.json", "trials.parquet", "trials.png")))
    output.json(done.results)
    if done.best is None:
        reasons = [trial["reason"] for trial in done.results["trials"] if trial["reason"]]
        raise Sim2RealError(f"all {len(reasons)} trials failed; the first: {reasons[0]}")
    output.next(done.best["command"], ["tensorboard", "--logdir", str(done.folder / "jobs")])


def _dimensions(search: Search) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("searched", "values", "tuned", box=SIMPLE_HEAD, pad_edge=False)
    tuned = search.tuned()
    for dimension in search.dimensions:
        table.add_row(dimension.name, str(dimension), str(tuned.get(dimension.name, "")))
    return table


def _jobs(plan: Plan, files: StudyFolder) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("job", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("steps", justify="right")
    table.add_column("")
    for address, job in plan.jobs.items():
        table.add_row(job.title, f"{job.steps:,}", "" if files.noted(address) is None else "done")
    return table


def _estimate(plan: Plan, files: StudyFolder, workers: int) -> str:
    from sim2real.studies.numbers import count, duration
    from sim2real.studies.run import estimate_seconds

    seconds, basis = estimate_seconds(plan, files, workers)
    todo = [job for address, job in plan.jobs.items() if files.noted(address) is None]
    steps = sum(job.steps for job in todo)
    return (
        f"{len(todo)} of {count(len(plan.jobs), 'job')} to do, {count(steps, 'step')}: about {duration(seconds)} with "
        f"{workers} at a time ({basis})"
    )
