"""Running a study: its jobs in worker processes, each once, whatever is killed on the way; and what they came to."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim2real.deployment.bundle import load_policy
from sim2real.errors import Sim2RealError, unknown_name
from sim2real.files import make_folder, write_atomic, write_json
from sim2real.progress import show_progress
from sim2real.studies.exports import write_hparams, write_parquet
from sim2real.studies.folder import JobsFolder, StudyFolder
from sim2real.studies.jobs import FILM, ROBUSTNESS, Job
from sim2real.studies.plan import Cell, Plan, make_plan
from sim2real.studies.report import write_report
from sim2real.studies.study import Faults, read_study
from sim2real.studies.summary import study_markdown
from sim2real.training.callbacks import Progress
from sim2real.training.folder import RunFolder, locked, wait_until_free
from sim2real.training.parallel import Pool, Report, Workers
from sim2real.transfer.arms import judge_arms

if TYPE_CHECKING:
    from sim2real.studies.cluster import RayWorkers

TRIES = 2
"""How often a job is tried before it is given up."""
LOSSES = 5
"""How many machines a job may be lost with before it is given up."""
EXECUTORS = ("local", "ray")
"""Where the jobs of a study may be done; the first is the default."""
_POLL = 0.2  # s
_PATIENCE = 20.0  # s
_SHOWN = 5  # cells that a message lists


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What a study, or the part of it that was asked for, came to."""

    folder: Path
    """Its folder: ``report.html``, ``results.json``, ``results.md``, ``results.parquet``, ``curves.jsonl``,
    ``hparams/`` for TensorBoard, and its jobs' run folders."""
    results: dict[str, Any]
    """The content of ``results.json``."""

    @property
    def failures(self) -> list[dict[str, str]]:
        """The jobs that were given up, and why."""
        return list(self.results["failures"])


@dataclass(frozen=True, kw_only=True)
class Task:
    """A job as a worker gets it."""

    job: Job
    """What is to be done."""
    folder: Path
    """Its folder."""
    policies: Mapping[str, Path]
    """Bundles of the policies that it needs, by address."""


def plan_study(file: str | Path) -> Plan:
    """Read a study and spell it out.

    Raises:
        Sim2RealError: Entries of the study cannot be; the message lists all faults.
    """
    faults = Faults(Path(file).name)
    return make_plan(read_study(file, faults), faults)


def part(plan: Plan, only: str) -> Plan:
    """Return a part of a study: some cells, and the jobs that they need.

    Args:
        plan: The study.
        only: Pattern of the cells that are meant, see :attr:`~sim2real.studies.plan.Cell.title`; a part of a title will
            do.

    Raises:
        Sim2RealError: No cell fits.
    """
    cells = tuple(cell for cell in plan.cells if fnmatch(cell.title, f"*{only}*"))
    if not cells:
        titles = ", ".join(cell.title for cell in plan.cells[:_SHOWN])
        raise Sim2RealError(f"--only {only!r} fits no cell of the study. The first ones: {titles}.")
    needed = {address for cell in cells for address in cell.jobs}
    jobs = {address: job for address, job in plan.jobs.items() if address in needed}
    bundles = {address: data for address, data in plan.bundles.items() if address in needed}
    return replace(plan, cells=cells, jobs=jobs, bundles=bundles)


def run_study(
    file: str | Path,
    out: str | Path,
    *,
    only: str = "*",
    executor: str = "local",
    workers: int | None = None,
    address: str | None = None,
    resources: Mapping[str, float] | None = None,
    progress: bool = False,
) -> StudyResult:
    """Run a study, or go on with it: what is finished is not done again.

    Args:
        file: The study, see :mod:`sim2real.studies.study`.
        out: Its folder. It may hold a part of this study, or an earlier version of it.
        only: Pattern of the cells that are meant, see :func:`part`.
        executor: ``"local"``, processes of this machine, or ``"ray"``, those of a Ray cluster.
        workers: Jobs at a time; as many as cores, or as the cluster has room for, if ``None``.
        address: Of the cluster, see :class:`~sim2real.studies.cluster.RayWorkers`.
        resources: What a job takes of a machine of the cluster, by Ray's names; one CPU if ``None``.
        progress: Show a progress bar on standard error.

    Raises:
        Sim2RealError: Entries of the study cannot be, another process is running in the folder, the disk is full, or
            there is no such cluster.
    """
    plan, files = plan_study(file), StudyFolder(Path(out))
    wanted = part(plan, only)
    check_executor(executor, workers, address, resources)
    make_folder(files.path)
    with locked(files.path):
        write_atomic(files.study, Path(file).read_bytes())
        for bundle, data in plan.bundles.items():
            make_folder(files.bundle(bundle).parent)
            write_atomic(files.bundle(bundle), data)
        done = {job.address for job in plan.jobs.values() if is_done(job, files)}
        todo = [job for job in wanted.jobs.values() if job.address not in done]
        failures: dict[str, str] = {}
        if todo:
            with show_progress(progress) as bars:
                title = f"study, {len(todo)} of {len(wanted.jobs)} jobs"
                listener = bars.add(title, sum(job.steps for job in todo))
                with make_pool(executor, workers, address, resources) as pool:
                    failures = _Runner(plan, files, todo, listener).run(pool)
        results = collect(plan, files, failures, str(file))
        write_report(files.path)
    return StudyResult(folder=files.path, results=results)


def is_done(job: Job, files: JobsFolder) -> bool:
    """Return whether the result of a job is there and whole; one that is damaged is removed, to be made anew."""
    if not files.seconds(job.address).exists():
        return False
    try:
        noted = files.noted(job.address)
        if noted is None:
            raise Sim2RealError(f"{files.seconds(job.address)} cannot be read.")
        job.check(files.job(job.address), noted)
    except (Sim2RealError, ValueError, KeyError, TypeError, OSError) as error:
        warnings.warn(f"{job.title} is done again, since its result is damaged: {error}", stacklevel=2)
        shutil.rmtree(files.job(job.address))
        return False
    return True


def do_task(task: Task, listener: Progress) -> float:
    """Do a job in a worker, or go on with it; return how long it took this time [s]."""
    start = time.perf_counter()
    if task.folder.exists():  # the worker of a driver that was killed takes a moment to end
        wait_until_free(task.folder, _PATIENCE)
    noted = task.job.do(task.folder, task.policies, listener)
    seconds = time.perf_counter() - start
    write_json(task.folder / "seconds.json", {"seconds": seconds, **noted})
    return seconds


def check_executor(
    executor: str, workers: int | None, address: str | None, resources: Mapping[str, float] | None
) -> None:
    """Check where jobs shall be done, see :func:`run_study`.

    Raises:
        Sim2RealError: The executor is unknown, or something given cannot be.
    """
    if executor not in EXECUTORS:
        raise unknown_name("executor", executor, EXECUTORS)
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise Sim2RealError(f"workers = {workers!r} must be a whole number of at least 1.")
    for name, value in {"address": address, "resources": resources}.items():
        if value and executor != "ray":
            raise Sim2RealError(f"{name} is for the executor ray, not for {executor}.")
    if executor == "ray":
        from sim2real.ray_cluster import Demand

        Demand(resources, "a job")


def make_pool(
    executor: str, workers: int | None, address: str | None, resources: Mapping[str, float] | None
) -> Workers | RayWorkers:
    """Return where jobs are done, see :func:`run_study`.

    Raises:
        Sim2RealError: There is no such cluster.
    """
    if executor == "local":
        return Workers(workers or os.cpu_count() or 1)
    from sim2real.studies.cluster import RayWorkers

    return RayWorkers(address, workers, resources)


class _Runner:
    """Hands jobs to workers as soon as what they need is there.

    Args:
        plan: The study.
        files: Its folder.
        todo: The jobs that are not done yet.
        listener: Told the steps that are done, of all jobs.
    """

    def __init__(self, plan: Plan, files: StudyFolder, todo: Sequence[Job], listener: Progress) -> None:
        self._plan, self._files, self._listener = plan, files, listener
        self._waiting = [job.address for job in todo]
        self._missing = set(self._waiting)
        self._attempts = Attempts()
        self._steps: dict[str, int] = {}
        self._failed: dict[str, str] = {}

    def run(self, pool: Pool[Task]) -> dict[str, str]:
        """Do all jobs that can be done; return why others could not, by address."""
        numbers = {address: number for number, address in enumerate(self._plan.jobs)}
        addresses = list(self._plan.jobs)
        under_way: set[str] = set()
        while self._waiting or under_way:
            while pool.free and (address := self._next()) is not None:
                under_way.add(address)
                pool.submit(numbers[address], do_task, self._task(address))
            for report in pool.reports(_POLL):
                address = addresses[report.task]
                if report.kind == "progress":
                    self._steps[address] = report.value
                else:
                    under_way.remove(address)
                    self._settle(address, report)
                self._listener(sum(self._steps.values()))
        return self._failed

    def _next(self) -> str | None:
        """Take the next job whose policies are there; give up those whose policies never will be."""
        for address in list(self._waiting):
            needs = self._plan.jobs[address].needs
            lost = next((needed for needed in needs if needed in self._failed), None)
            if lost is not None:
                self._waiting.remove(address)
                self._failed[address] = f"needs {self._plan.jobs[lost].title!r}, which failed."
            elif not self._missing.intersection(needs):
                self._waiting.remove(address)
                return address
        return None

    def _task(self, address: str) -> Task:
        job = self._plan.jobs[address]
        policies = {needed: policy_file(self._plan, self._files, needed) for needed in job.needs}
        return Task(job=job, folder=self._files.job(address), policies=policies)

    def _settle(self, address: str, report: Report) -> None:
        job = self._plan.jobs[address]
        if report.kind == "done":
            self._missing.discard(address)
            self._steps[address] = job.steps
            return
        reason = self._attempts.give_up(job, report)
        if reason is None:
            self._waiting.append(address)
        else:
            self._failed[address] = reason


class Attempts:
    """Counts how often jobs were tried in vain."""

    def __init__(self) -> None:
        self._tries: Counter[str] = Counter()
        self._losses: Counter[str] = Counter()

    def give_up(self, job: Job, report: Report) -> str | None:
        """Return why a job is not tried again; ``None`` where it is.

        Args:
            job: What was tried.
            report: That it failed, or was lost with its machine.

        Raises:
            Sim2RealError: The disk is full, and nothing else would go better.
        """
        error = report.value
        if os.strerror(errno.ENOSPC) in str(error):
            raise Sim2RealError(f"{job.title}: {error} Free some space, then run the same command to go on.")
        tries = self._losses if report.kind == "lost" else self._tries
        tries[job.address] += 1
        if self._tries[job.address] < TRIES and self._losses[job.address] < LOSSES:
            return None
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return reason if reason.endswith(".") else f"{reason}."


def collect(plan: Plan, files: StudyFolder, failures: Mapping[str, str], study: str) -> dict[str, Any]:
    """Judge the cells whose jobs are done; write ``curves.jsonl``, ``results.json`` and its other forms.

    Args:
        plan: The study.
        files: Its folder.
        failures: Why jobs could not be done, by address.
        study: Path of the study, as it was given.

    Returns:
        The content of ``results.json``.
    """
    lines, cells = [], []
    for cell in plan.cells:
        points, missing = _points(cell, files)
        entry: dict[str, Any] = {"title": cell.title, **cell.labels, "arms": cell.arms, "sources": cell.sources}
        if missing:
            entry["missing"] = [plan.jobs[address].title for address in missing]
        else:
            entry["result"] = judge_arms(
                points, cell.method, cell.base, sorted(cell.sources), _provenance(plan, files, cell)
            )
        entry |= _looks(cell, files)
        cells.append(entry)
        lines += [{"cell": cell.title, **point} for point in points]
    results = {
        "study": study,
        "description": plan.description,
        "cells": cells,
        "failures": [
            {"job": plan.jobs[address].title, "address": address, "reason": reason}
            for address, reason in failures.items()
        ],
    }
    write_atomic(files.curves, "".join(json.dumps(line) + "\n" for line in lines))
    write_json(files.results, results)
    write_atomic(files.table, study_markdown(results) + "\n")
    write_parquet(files.parquet, cells, lines)
    write_hparams(files.hparams, cells, lines)
    plain: dict[str, Any] = json.loads(json.dumps(results))
    return plain


def _points(cell: Cell, files: StudyFolder) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the points of a cell's curves, and the addresses of jobs that are not done."""
    points, missing = [], []
    for arm, seeds in cell.arms.items():
        for seed, address in seeds.items():
            if not files.seconds(address).exists():
                missing.append(address)
                continue
            points += [{"arm": arm, "seed": seed, **point} for point in RunFolder(files.job(address)).read_curve()]
    return points, missing


def _provenance(plan: Plan, files: StudyFolder, cell: Cell) -> dict[str, Any]:
    return dict(load_policy(policy_file(plan, files, next(iter(cell.sources.values())))).metadata.provenance)


def policy_file(plan: Plan, files: StudyFolder, address: str) -> Path:
    """Return the bundle of a policy: of one that is trained, or of one that was there."""
    return RunFolder(files.job(address)).policy if address in plan.jobs else files.bundle(address)


def _looks(cell: Cell, files: StudyFolder) -> dict[str, Any]:
    """Return where the finished film and sweeps of a cell are, and its source, from the folder of the study.

    The source is named where its randomizer has learned: ``randomized``, the run folder of the first seed.
    """
    found: dict[str, Any] = {}
    source = files.job(cell.sources[min(cell.sources)])
    if RunFolder(source).policy.exists() and RunFolder(source).randomization.exists():
        found["randomized"] = str(source.relative_to(files.path))
    if cell.film is not None and files.seconds(cell.film).exists():
        found["film"] = str((files.job(cell.film) / FILM).relative_to(files.path))
        found["film_episodes"] = cell.film_episodes
    sweeps = [
        {
            arm: str((files.job(address) / ROBUSTNESS).relative_to(files.path))
            for arm, address in sweep.items()
            if files.seconds(address).exists()
        }
        for sweep in cell.sweeps
    ]
    return {**found, **({"sweeps": sweeps} if any(sweeps) else {})}


def estimate_seconds(plan: Plan, files: StudyFolder, workers: int) -> tuple[float, str]:
    """Return how long the jobs that are not done will about take [s], and what that is estimated from.

    Args:
        plan: The study.
        files: Its folder.
        workers: Processes.
    """
    noted = {address: files.noted(address) for address in plan.jobs}
    todo = sum(job.work for address, job in plan.jobs.items() if noted[address] is None)
    rate, basis = measured_rate((job.work, noted[address]) for address, job in plan.jobs.items())
    return todo / rate / workers, basis


_RATE = 250.0


def measured_rate(jobs: Iterable[tuple[float, Mapping[str, Any] | None]]) -> tuple[float, str]:
    """Return how fast a process works [steps/s], and what that is taken from.

    Args:
        jobs: The work of each [steps], and its :meth:`JobsFolder.noted`.
    """
    rates = [steps / max(noted["seconds"], 1e-3) for steps, noted in jobs if steps and noted is not None]
    if rates:
        return sum(rates) / len(rates), f"from {len(rates)} jobs that are done"
    return _RATE, f"at {_RATE:g} steps/s a process, which SAC makes in the arms' worlds"
