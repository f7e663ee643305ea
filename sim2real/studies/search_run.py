"""Running a search: trials are chosen as places get free, and their trainings are jobs as those of a study are."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim2real.errors import Sim2RealError
from sim2real.files import write_atomic, write_json
from sim2real.progress import show_progress
from sim2real.seeding import derive_seed
from sim2real.studies.folder import JobsFolder
from sim2real.studies.jobs import Training
from sim2real.studies.run import Attempts, Task, check_executor, do_task, is_done, make_pool, measured_rate
from sim2real.studies.search import Objective, Search, read_search
from sim2real.studies.search_report import write_search_results
from sim2real.training.callbacks import Progress
from sim2real.training.folder import ClaimedFolder, RunFolder
from sim2real.training.parallel import Pool, Report

if TYPE_CHECKING:
    from sim2real.studies.trials import Trial, Trials

_SCORES = "validation.json"
_POLL = 0.2  # s


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search came to."""

    folder: Path
    """Its folder: ``best.yaml``, ``best/`` with its policies, ``trials.json``, ``trials.md``, ``trials.parquet``,
    ``trials.png``, Optuna's ``optuna.log``, and its jobs' run folders."""
    results: dict[str, Any]
    """The content of ``trials.json``."""

    @property
    def best(self) -> dict[str, Any] | None:
        """The best trial; ``None`` where all of them failed."""
        best: dict[str, Any] | None = self.results["best"]
        return best


class SearchFolder(JobsFolder):
    """Where each file of a search stands.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.journal = path / "optuna.log"
        self.search = path / "search.yaml"

    def scores(self, address: str) -> Path:
        """Return the file that says how good the policy of a job is in the validation worlds."""
        return self.job(address) / _SCORES


@dataclass(frozen=True, kw_only=True)
class Measurement(Task):
    """A training and its validation, as a worker gets them."""

    objective: Objective
    """What is best."""


def measure(task: Measurement, listener: Progress) -> None:
    """Train and validate in a worker, or go on with it."""
    if not (task.folder / "seconds.json").exists():
        do_task(task, listener)
    write_json(task.folder / _SCORES, task.objective.score(RunFolder(task.folder).policy))


def trial_jobs(search: Search, trial: Trial) -> list[Training]:
    """Return the trainings of a trial, one a seed.

    Raises:
        Sim2RealError: Its values do not go together.
    """
    config = search.config(trial.values)
    return [
        Training(title=f"trial {trial.number}, seed {seed}", config=replace(config, seed=seed)) for seed in search.seeds
    ]


def run_search(
    file: str | Path,
    out: str | Path,
    *,
    executor: str = "local",
    workers: int | None = None,
    address: str | None = None,
    resources: Mapping[str, float] | None = None,
    progress: bool = False,
) -> SearchResult:
    """Run a search, or go on with it: no trial is lost, no training done twice.

    With one worker the trials follow from the file alone. With more, those of the sampler ``tpe`` also follow from the
    order in which earlier ones happen to finish; those of ``random`` never do.

    Args:
        file: The search, see :mod:`sim2real.studies.search`.
        out: Its folder. It may hold the same search with fewer trials.
        executor: ``"local"``, processes of this machine, or ``"ray"``, those of a Ray cluster.
        workers: Trainings at a time; as many as cores, or as the cluster has room for, if ``None``.
        address: Of the cluster, see :class:`~sim2real.studies.cluster.RayWorkers`.
        resources: What a training takes of a machine of the cluster, by Ray's names; one CPU if ``None``.
        progress: Show a progress bar on standard error.

    Raises:
        Sim2RealError: Entries of the search cannot be, Optuna is not installed, the folder holds another search or
            another process is running in it, the disk is full, or there is no such cluster.
    """
    search, files = read_search(file), SearchFolder(Path(out))
    check_executor(executor, workers, address, resources)
    from sim2real.studies.trials import Trials

    claimed = ClaimedFolder(files.path, product="trials.json", kept=("jobs/*",))
    with claimed.claim(search.to_dict(), resume=True):
        write_atomic(files.search, Path(file).read_bytes())
        trials = Trials(
            files.journal,
            search.dimensions,
            sampler=search.sampler,
            seed=derive_seed(search.seeds[0], "search"),
            tuned=search.tuned(),
        )
        runner = _Runner(search, trials, files)
        if runner.left:
            with show_progress(progress) as bars, make_pool(executor, workers, address, resources) as pool:
                runner.run(pool, bars.add(f"search, {runner.left} of {search.trials} trials", runner.steps))
        results = write_search_results(files.path, search, trials.read(), str(file))
    return SearchResult(folder=files.path, results=results)


def estimate_search(search: Search, out: str | Path, workers: int) -> tuple[int, float, str]:
    """Return the trainings that are left, how long they will about take [s], and what that is estimated from.

    Args:
        search: The search.
        out: Its folder.
        workers: Processes.
    """
    steps, files = search.training_steps, SearchFolder(Path(out))
    jobs = [path.name for path in (files.path / "jobs").glob("*")]
    left = max(0, search.trials * len(search.seeds) - sum(files.scores(address).exists() for address in jobs))
    rate, basis = measured_rate((steps, files.noted(address)) for address in jobs)
    return left, left * steps / rate / workers, basis


class _Runner:
    """Chooses trials, hands their trainings to workers, and notes what they come to.

    Args:
        search: What is searched.
        trials: Those that there are; the open ones were interrupted.
        files: The folder.
    """

    def __init__(self, search: Search, trials: Trials, files: SearchFolder) -> None:
        self._search, self._trials, self._files = search, trials, files
        known = trials.read()
        if len(known) > search.trials:
            raise Sim2RealError(
                f"{files.path} holds {len(known)} trials already, more than trials = {search.trials}; raise it or "
                f"choose another folder."
            )
        self._chosen = len(known)
        self._interrupted = [trial for trial in known if trial.state == "open"]
        self.left = max(0, search.trials - self._chosen) + len(self._interrupted)
        """Trials that are not finished."""
        self._steps = search.training_steps
        self._open: dict[int, list[str]] = {}
        self._closed = 0
        self._jobs: dict[str, Training] = {}
        self._waiting: deque[str] = deque()
        self._progress: dict[str, int] = {}
        self._scores: dict[str, dict[str, float]] = {}
        self._attempts = Attempts()
        self._failed: dict[str, str] = {}

    @property
    def steps(self) -> int:
        """Env steps that they take."""
        return self.left * len(self._search.seeds) * self._steps

    def run(self, pool: Pool[Measurement], listener: Progress) -> None:
        """Finish all trials."""
        for trial in self._interrupted:
            self._begin(trial)
        under_way: dict[int, str] = {}
        numbers = count()
        while True:
            while pool.free and (address := self._next()) is not None:
                number = next(numbers)
                under_way[number] = address
                pool.submit(number, measure, self._task(address))
            if not under_way:
                return
            for report in pool.reports(_POLL):
                if report.kind == "progress":
                    self._progress[under_way[report.task]] = report.value
                else:
                    self._settle(under_way.pop(report.task), report)
            listener(self._steps_done())

    def _next(self) -> str | None:
        """Take the next training; choose a trial where none waits: late, by all that is known then."""
        while not self._waiting:
            if self._chosen >= self._search.trials:
                return None
            self._chosen += 1
            self._begin(self._trials.ask())
        return self._waiting.popleft()

    def _task(self, address: str) -> Measurement:
        return Measurement(
            job=self._jobs[address],
            folder=self._files.job(address),
            policies={},
            objective=self._search.objective,
        )

    def _begin(self, trial: Trial) -> None:
        try:
            jobs = trial_jobs(self._search, trial)
        except Sim2RealError as error:
            self._trials.fail(trial.number, str(error))
            self._closed += 1
            return
        self._open[trial.number] = [job.address for job in jobs]
        for job in jobs:
            if job.address in self._jobs:  # another trial has the same values
                continue
            self._jobs[job.address] = job
            if not self._recall(job):
                self._waiting.append(job.address)
        self._close(trial.number)

    def _recall(self, job: Training) -> bool:
        """Return whether a training was validated already, and take what it came to."""
        file = self._files.scores(job.address)
        if not is_done(job, self._files) or not file.exists():
            return False
        self._scores[job.address] = json.loads(file.read_text(encoding="utf-8"))
        return True

    def _settle(self, address: str, report: Report) -> None:
        job = self._jobs[address]
        if report.kind == "done":
            self._recall(job)
        elif (reason := self._attempts.give_up(job, report)) is None:
            self._waiting.append(address)
        else:
            self._failed[address] = reason
        for number in [number for number, addresses in self._open.items() if address in addresses]:
            self._close(number)

    def _close(self, number: int) -> None:
        """Note what a trial came to, if that is known."""
        addresses, measure = self._open[number], self._search.objective.measure
        failed = next((address for address in addresses if address in self._failed), None)
        if failed is not None:
            self._trials.fail(number, f"seed {self._jobs[failed].config.seed}: {self._failed[failed]}")
        elif all(address in self._scores for address in addresses):
            scores = {
                str(self._jobs[address].config.seed): {**self._scores[address], "job": address} for address in addresses
            }
            values = [self._scores[address][measure] for address in addresses]
            if None in values:
                self._trials.fail(number, f"its validation episodes do not say {measure}.")
            else:
                self._trials.tell(number, sum(values) / len(values), scores)
        else:
            return
        del self._open[number]
        self._closed += 1
        needed = {address for others in self._open.values() for address in others}
        for address in {*addresses} & {*self._waiting} - needed:  # the other seeds of one that failed
            self._waiting.remove(address)
            del self._jobs[address]

    def _steps_done(self) -> int:
        under_way = {address for addresses in self._open.values() for address in addresses}
        closed = self._closed * len(self._search.seeds) * self._steps
        return closed + sum(
            self._steps if address in self._scores else self._progress.get(address, 0) for address in under_way
        )
