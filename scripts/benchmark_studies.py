"""Measure what running a study costs beside its work, what a kill costs it, and its report; for docs/studies.md.

    python scripts/benchmark_studies.py                    # ten minutes or so
    python scripts/benchmark_studies.py --only kills       # some parts; the others stay as they are
    python scripts/benchmark_studies.py --render           # only renders docs/studies.md again

The studies are real ones, of short trainings of PandaReach. An idle machine, please; Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from speed.figures import (
    Figure,
    figure,
    installed,
    overview,
    part_tables,
    read_figures,
    replace_part,
    replace_tables,
)

from sim2real.errors import Sim2RealError
from sim2real.files import write_atomic, write_json
from sim2real.studies.folder import StudyFolder
from sim2real.studies.report import write_report
from sim2real.studies.run import run_study

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "docs" / "results" / "studies.json"
PAGE = REPOSITORY / "docs" / "studies.md"
WORKERS = 2
KILLS = 10
TITLES = {"executors": "Executors", "kills": "Kills", "report": "Report"}

_ENV = "sim2real_envs:sim2real/PandaReach-v0"
_SHORT = {"learning_starts": 50, "net_arch": [32, 32], "batch_size": 64, "gradient_steps": 1, "n_envs": 1}
JOBS = {
    "sources": {"panda": {"policy": "PandaReach"}},
    "targets": ["medium"],
    "methods": {"finetune": None, "patient": {"method": "finetune", "critic_warmup": 20}},
    "steps": 150,
    "seeds": 10,
    "eval_every": 75,
    "eval_episodes": 20,
    "hyperparameters": _SHORT,
}
"""40 jobs of about a second: four arms with each of ten seeds."""
RUNS = {
    "sources": {f"s{steps}": {"env": _ENV, "steps": steps, "hyperparameters": _SHORT} for steps in range(60, 65)},
    "targets": {f"payload-{kg}": {"domain": {"payload": kg / 10}} for kg in range(6)},
    "methods": {"finetune": None, "patient": {"method": "finetune", "critic_warmup": 20}},
    "steps": 60,
    "seeds": 5,
    "eval_every": 6,
    "eval_episodes": 1,
    "hyperparameters": _SHORT,
    "robustness": {"sweep": ["payload", ["payload", "servo_stiffness"]], "episodes": 1},
    "videos": {"episodes": 1},
}
"""60 cells, and for them 505 runs, films and sweeps."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=TITLES, default=list(TITLES), metavar="PART", help=", ".join(TITLES)
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of the executors (default: 3)")
    parser.add_argument("--render", action="store_true", help="render docs/studies.md from the figures kept")
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"figures": []}
    if not arguments.render:
        parts: dict[str, Callable[[Path], Iterator[Figure]]] = {
            "executors": lambda folder: measure_executors(folder, arguments.rounds),
            "kills": measure_kills,
            "report": measure_report,
        }
        for name in arguments.only:
            with tempfile.TemporaryDirectory() as folder:
                results = renewed(results, name, [asdict(found) for found in parts[name](Path(folder))])
            write_json(RESULTS, results)
    Console().print(overview(read_figures(results), "Studies"))
    write_atomic(PAGE, rendered(PAGE.read_text(encoding="utf-8"), results))


def write_study(folder: Path, study: Mapping[str, Any]) -> Path:
    """Write a study into a folder; return its file."""
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(dict(study), sort_keys=False), encoding="utf-8")
    return file


def measure_executors(folder: Path, rounds: int) -> Iterator[Figure]:
    """Let each executor do the same jobs by turns, and compare the time that it takes with the work in them."""
    file = write_study(folder, JOBS)
    goals = {"local": 1.1, "ray": 1.3}
    shares: dict[str, list[float]] = {name: [] for name in goals}
    starts: dict[str, list[float]] = {name: [] for name in goals}
    seconds: list[float] = []
    for number in range(rounds):
        for executor in goals:
            out = folder / f"{executor}-{number}"
            begun = time.time()
            run_study(file, out, executor=executor, workers=WORKERS)
            first, last, work = read_work(out)
            shares[executor].append((last - first) / (sum(work) / WORKERS))
            starts[executor].append(first - begun)
            seconds += work
            print(f"{executor}: {shares[executor][-1]:.2f}, started in {starts[executor][-1]:.1f} s", file=sys.stderr)
    yield figure("executors", "work of a job", seconds, "s")
    for executor, goal in goals.items():
        name = f"{executor}: 40 jobs, from the first start to the last end, over their work on {WORKERS} cores"
        yield figure("executors", name, shares[executor], "×", most=goal)
        yield figure("executors", f"{executor}: until the first job starts", starts[executor], "s", digits=1)


def read_work(out: Path) -> tuple[float, float, list[float]]:
    """Return when the first job of a finished study began and the last one ended [s], and the work of each [s]."""
    notes = sorted((StudyFolder(out).path / "jobs").glob("*/seconds.json"))
    work = [float(json.loads(note.read_text(encoding="utf-8"))["seconds"]) for note in notes]
    ends = [note.stat().st_mtime for note in notes]
    return min(end - seconds for end, seconds in zip(ends, work, strict=True)), max(ends), work


def measure_kills(folder: Path) -> Iterator[Figure]:
    """Kill the driver of a study at random moments and go on each time; count what that costs."""
    file, chance = write_study(folder, JOBS), random.Random(0)
    whole = run_study(file, folder / "whole", workers=WORKERS).results
    lost, repeated, wrong, number = 0, 0, 0, 0
    done: list[float] = []
    while len(done) < KILLS:
        number += 1
        out = folder / f"killed-{number}"
        command = [str(Path(sys.executable).with_name("sim2real")), "study", str(file), "--out", str(out), "--quiet"]
        before: dict[str, int] = {}
        while True:
            driver = subprocess.Popen([*command, "--workers", str(WORKERS)])
            # After a random number of jobs and a moment more, so that it hits all stages on a slow machine, too.
            count, moment = len(before) + chance.randint(0, 8), chance.uniform(0.0, 2.0)
            if len(done) < KILLS and wait_for_jobs(driver, out, count) and not ends_within(driver, moment):
                os.kill(driver.pid, signal.SIGKILL)
                done.append(float(len(finished(out))))
            driver.wait()
            now = finished(out)
            lost += len(before.keys() - now.keys())
            repeated += sum(now[name] != before[name] for name in before.keys() & now.keys())
            print(f"{len(now)} of 40 jobs done, {len(done)} kills", file=sys.stderr, flush=True)
            before = now
            if driver.returncode == 0:
                break
            if driver.returncode != -signal.SIGKILL:
                raise Sim2RealError(f"the study ended with {driver.returncode}.")
        wrong += comparable(json.loads((out / "results.json").read_text(encoding="utf-8"))) != comparable(whole)
    yield figure("kills", "kills of the driver at a random moment", [float(len(done))], "", digits=0)
    yield figure("kills", "of 40 jobs were done then", done, "", digits=0)
    for name, count in {
        "finished jobs that were lost": lost,
        "finished jobs that were done again": repeated,
        "studies whose results differ from those of an undisturbed one": wrong,
    }.items():
        yield figure("kills", name, [float(count)], "", digits=0, most=0)


def wait_for_jobs(driver: subprocess.Popen[bytes], out: Path, count: int) -> bool:
    """Wait until so many jobs are done and another is under way; return whether they are, or the driver has ended."""
    begun = time.time()
    while driver.poll() is None:
        if len(finished(out)) >= count and any(job.stat().st_mtime > begun for job in out.glob("jobs/*")):
            return True
        time.sleep(0.05)
    return False


def ends_within(driver: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a driver so long at most; return whether it has ended."""
    try:
        driver.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def finished(out: Path) -> dict[str, int]:
    """Return when each finished job of a study ended [ns], by its address."""
    return {note.parent.name: note.stat().st_mtime_ns for note in out.glob("jobs/*/seconds.json")}


def comparable(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results of a study without what tells one running of it from another."""
    plain: dict[str, Any] = json.loads(json.dumps(results))
    del plain["study"]
    for cell in plain["cells"]:
        cell["result"].pop("provenance")
    return plain


def measure_report(folder: Path) -> Iterator[Figure]:
    """Run a study of many runs and write its report again."""
    run_study(write_study(folder, RUNS), folder / "out", workers=WORKERS)
    runs = len(list(folder.glob("out/jobs/*/metrics.jsonl")))
    print(f"{runs} runs", file=sys.stderr)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        path = write_report(folder / "out")
        seconds.append(time.perf_counter() - start)
    yield figure("report", f"writing the report of {runs} runs, with sweeps and films", seconds, "s", digits=1, most=30)
    yield figure("report", "its size", [path.stat().st_size / 1e6], "MB", digits=1, most=15)


def renewed(results: Mapping[str, Any], part: str, figures: list[dict[str, Any]]) -> dict[str, Any]:
    """Return results with the figures of a part replaced, and what everything was measured with."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "versions": installed("torch", "stable-baselines3", "ray", "pybullet"),
        "figures": replace_part(results, part, figures, TITLES),
    }


def rendered(page: str, results: Mapping[str, Any]) -> str:
    """Return docs/studies.md with its tables made from the figures."""
    note = f"Medians, in brackets the smallest and the largest. {results['cores']} cores"
    return replace_tables(page, Path(__file__).name, part_tables(results, TITLES, note, heading="###"))


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
