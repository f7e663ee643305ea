"""What the tables of the worlds share: which worlds there are, trainings that can be killed, the parts of a page."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import gymnasium as gym

from sim2real.deployment.bundle import load_policy
from sim2real.domains.randomizers import RandomizerSpec
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.evaluate import evaluate
from sim2real.evaluation.statistics import mean_interval
from sim2real.files import make_folder, read_yaml, write_json
from sim2real.progress import show_progress
from sim2real.training.callbacks import Progress
from sim2real.training.folder import RunFolder
from sim2real.training.hyperparameters import default_algorithm, tuned_steps
from sim2real.training.parallel import run_jobs
from sim2real.training.train import TrainingConfig, run_training

DOCS = Path(__file__).resolve().parents[1] / "docs"
PLUGIN = "sim2real_envs"
VARIANTS = (
    ("PandaReach-v0", {"control": "joint"}),
    ("Labyrinth-v0", {"layout": "medium-1"}),
    ("Labyrinth-v0", {"layout": "hard-1"}),
)
"""Worlds with other arguments than the registered ones."""

SETTINGS = ("algo", "steps", "hyperparameters")
"""By which two trainings are alike."""

_CLOCK_EVERY = 20.0  # seconds between two notes of the time a training has taken


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row of the tables."""

    name: str
    """Of the row, and of the folder of its runs."""
    world: World
    """Where it trains."""


@dataclass(frozen=True, kw_only=True)
class Test:
    """Episodes that a finished policy is judged in."""

    seed: int
    """From which their seeds derive."""
    episodes: int
    """How many."""
    randomizer: RandomizerSpec = "none"
    """Where the domains come from, in the source."""
    target: World | None = None
    """The target; the source if ``None``."""

    def to_dict(self) -> dict[str, Any]:
        """Return what it is, JSON-plain: kept with its result, which is that of this test and of no other."""
        return {**vars(self), "target": None if self.target is None else self.target.to_dict()}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training, or a policy that is there already, and the tests of it."""

    folder: Path
    """The run folder, and where the results of the tests are kept."""
    tests: Mapping[str, Test]
    """By name."""
    config: TrainingConfig | None = None
    """The training."""
    policy: str | None = None
    """Name of a pretrained policy; instead of a training."""

    @property
    def steps(self) -> int:
        """Env steps of the training."""
        return 0 if self.config is None else self.config.steps

    def missing(self) -> list[str]:
        """Return the names of the tests whose result is not there, or is that of another test of this name."""
        found = read_tests(self.folder)

        def is_there(name: str, test: Test) -> bool:
            result = found.get(name, {})
            return result.get("test") == test.to_dict() and "returns" in result

        return [name for name, test in self.tests.items() if not is_there(name, test)]


def read_arguments(parser: argparse.ArgumentParser, *, out: Path, episodes: int) -> argparse.Namespace:
    """Parse the command line, with the arguments that both tables take.

    Args:
        parser: Has what only one takes.
        out: Default folder of the runs.
        episodes: Default number of test episodes.
    """
    parser.add_argument("--only", metavar="GLOB", default="*", help="worlds whose name fits, e.g. 'Panda*'")
    parser.add_argument("--out", metavar="DIR", type=Path, default=out, help=f"folder of the runs (default: {out})")
    parser.add_argument("--docs", metavar="DIR", type=Path, default=DOCS, help="folder of worlds.md and results/")
    parser.add_argument("--workers", metavar="N", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--episodes", metavar="N", type=int, default=episodes, help=f"of a test (default: {episodes})")
    parser.add_argument("--steps", metavar="N", type=int, help="other than the tuned budget, to try this script out")
    parser.add_argument("--render", action="store_true", help="train nothing")
    args = parser.parse_args()
    if args.steps is not None and args.docs == DOCS:
        parser.error("--steps is for trying out; give another --docs too")
    return args


def read_figures(file: Path) -> dict[str, Any]:
    """Return the rows of a file of results, by name; none if there is no such file."""
    return _read(file)


def keep_figures(file: Path, new: Mapping[str, Any]) -> dict[str, Any]:
    """Put new rows into a file of results; return all of them, by name."""
    make_folder(file.parent)
    figures = dict(sorted({**read_figures(file), **new}.items()))
    write_json(file, figures)
    return figures


def find_cases(only: str = "*") -> list[Case]:
    """Return the worlds that a tuned configuration with a budget exists for, and the variants, whose name fits."""
    __import__(PLUGIN)
    ids = sorted(env_id for env_id in gym.registry if env_id.startswith("sim2real/"))
    found = []
    for env_id, kwargs in [*((env_id, {}) for env_id in ids), *((f"sim2real/{name}", args) for name, args in VARIANTS)]:
        world = World.of(f"{PLUGIN}:{env_id}", kwargs=kwargs)
        parts = [env_id.removeprefix("sim2real/").removesuffix("-v0"), *map(str, kwargs.values())]
        case = Case(name="-".join(parts), world=world)
        if fnmatch(case.name, only) and tuned_steps(default_algorithm(world), world) is not None:
            found.append(case)
    if not found:
        raise Sim2RealError(f"--only {only!r} fits no world.")
    return sorted(found, key=lambda case: case.name)


def do_jobs(jobs: Sequence[Job], workers: int) -> int:
    """Do all jobs, in worker processes; what is finished is not done again, what was killed goes on.

    Returns:
        How many failed. Each of them has said why, in a file beside its folder too; the others are not affected.

    Raises:
        Sim2RealError: A folder holds another run than that of its job, or is in use.
    """
    for job in jobs:
        if job.config is not None and (files := RunFolder(job.folder)).config.exists():
            with files.claim(job.config.to_dict(), resume=True):
                pass
    todo = [job for job in jobs if job.missing()]
    print(f"{len(todo)} of {len(jobs)} runs to do, {sum(job.steps for job in todo):,} steps", flush=True)
    if not todo:
        return 0
    done = [0] * len(todo)
    with show_progress(sys.stderr.isatty()) as bars:
        bar = bars.add("all runs", sum(job.steps for job in todo))

        def listener(index: int) -> Progress:
            def listen(steps: int) -> None:
                done[index] = steps
                bar(sum(done))

            return listen

        return sum(run_jobs(_train_and_test, todo, [listener(index) for index in range(len(todo))], workers))


def _train_and_test(job: Job, listener: Progress) -> bool:
    """Do a job; return whether it failed."""
    failure, record = failure_file(job.folder), job.folder / "tests.json"
    failure.unlink(missing_ok=True)
    found = {"seconds": 0.0, "tests": {}, **_read(record)}
    start = noted = time.perf_counter()

    def note_time() -> None:
        nonlocal noted
        now = time.perf_counter()
        found["seconds"] += now - noted
        noted = now
        write_json(record, found)

    def listen(steps: int) -> None:
        listener(steps)
        if time.perf_counter() > noted + _CLOCK_EVERY:
            note_time()

    try:
        if job.config is None:
            assert job.policy is not None
            make_folder(job.folder)
            policy = load_policy(job.policy)
        else:
            is_new = not RunFolder(job.folder).finished
            policy = run_training(job.config, job.folder, resume=True, listener=listen).policy
            if is_new:
                note_time()
        for name in job.missing():
            test = job.tests[name]
            result = evaluate(
                policy, target=test.target, randomizer=test.randomizer, episodes=test.episodes, seed=test.seed
            )
            score = {
                "success": result.success_rate,
                "return": result.return_mean,
                "return_ci95": result.return_ci95,
                "returns": result.returns,
                "episodes": test.episodes,
                "test": test.to_dict(),
            }
            found["tests"][name] = score
            write_json(record, found)
    except Exception as error:  # one world that fails, for whatever reason, must not end a night's other runs
        message = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"{job.folder}: {message}", flush=True)
        make_folder(failure.parent)
        write_json(failure, {"failed": message, **settings_of(job.config)})
        return True
    scores = ", ".join(f"{name} {found['tests'][name]['success']:.2f}" for name in job.tests)
    minutes = (time.perf_counter() - start) / 60
    print(f"{job.folder}: success {scores}; {job.steps:,} steps, {minutes:.1f} min", flush=True)
    return False


def settings_of(config: TrainingConfig | None) -> dict[str, Any]:
    """Return how a job trains, under the names of `SETTINGS`; nothing where there is no training."""
    if config is None:
        return {"algo": None, "steps": 0, "hyperparameters": {}}
    return {"algo": config.algo, "steps": config.steps, "hyperparameters": dict(config.hyperparameters)}


def failure_file(folder: Path) -> Path:
    """Return the file that says why a run failed; beside its folder, which may be gone."""
    return folder.with_name(f"{folder.name}.failed.json")


def read_tests(folder: Path) -> dict[str, Any]:
    """Return the results of a run's tests by name; none if it is not finished."""
    tests: dict[str, Any] = _read(folder / "tests.json").get("tests", {})
    return tests


def read_run(folder: Path) -> dict[str, Any] | None:
    """Return what a run came to: ``seed``, how it was trained, and ``failed`` or ``minutes``, ``curve`` and ``tests``.

    ``None`` while it is not finished.
    """
    seed = int(folder.name.rpartition("_")[2])
    if failure_file(folder).exists():
        return {"seed": seed, **_read(failure_file(folder))}
    if not read_tests(folder):
        return None
    config, curve = read_yaml(folder / "config.yaml"), RunFolder(folder).read_curve()
    return {
        "seed": seed,
        **{name: config[name] for name in (*SETTINGS, "randomizer")},
        "minutes": round(_read(folder / "tests.json")["seconds"] / 60, 1),
        "curve": [[point["step"], point["success_rate"]] for point in curve],
        "tests": read_tests(folder),
    }


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """Return what the runs ``seed_*`` in a folder came to, those that are finished or failed."""
    seeds = {path.name.split(".")[0] for path in folder.glob("seed_*")}
    found = [read_run(folder / name) for name in sorted(seeds, key=lambda name: int(name.rpartition("_")[2]))]
    return [run for run in found if run is not None]


def mean_success(rates: Sequence[float]) -> dict[str, Any]:
    """Return mean and 95 % interval over the success of seeds; that of a run that failed is 0."""
    estimate = mean_interval(rates)
    ends = None if estimate.low is None or estimate.high is None else [max(estimate.low, 0.0), min(estimate.high, 1.0)]
    return {"mean": estimate.value, "ci95": ends}


def interval_words(entry: Mapping[str, Any]) -> str:
    """Return a mean with its interval, ``0.95 [0.90, 1.00]``."""
    ends = "" if entry["ci95"] is None else f" [{entry['ci95'][0]:.2f}, {entry['ci95'][1]:.2f}]"
    return f"{entry['mean']:.2f}{ends}"


def replace_part(page: str, script: str, content: str) -> str:
    """Return a page with the part between the markers of a script replaced."""
    begin, end = f"<!-- made by scripts/{script} -->", f"<!-- end of scripts/{script} -->"
    before, rest = page.split(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}"


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content
