"""Measure how fast learning is, as ratios to Stable-Baselines3, SBX and panda-gym; keep it for docs/learning.md.

    python scripts/benchmark_learning.py                       # an hour or two, most of it races
    python scripts/benchmark_learning.py --only updates cores  # some parts; the others stay as they are
    python scripts/benchmark_learning.py --render              # only renders docs/learning.md again

What is compared is measured by turns; a figure is the median over rounds. Whole trainings, for curves and races, are
kept one by one in docs/results/learning-*.json, so that a run that was killed goes on; remove a file to run them again.
The peers are installed in a virtual environment of their own. An idle machine, please; Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from learning_speed import curves
from learning_speed.kept import Kept
from learning_speed.parts import PARTS, TITLES, Bench
from learning_speed.peers import JAX, PANDA_GYM, SBX
from learning_speed.races import Races
from rich.console import Console
from speed.figures import Figure, installed, overview, part_tables, read_figures, replace_part, replace_tables
from speed.peers import default_folder

from sim2real.errors import Sim2RealError
from sim2real.files import write_atomic, write_json

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "docs" / "results" / "learning.json"
KEPT = {part: RESULTS.with_name(f"learning-{part}.json") for part in ("curves", "race")}
PAGE = REPOSITORY / "docs" / "learning.md"
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=TITLES, default=list(TITLES), metavar="PART", help=", ".join(TITLES)
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument("--venv", type=Path, default=default_folder("peers-learning"), help="of the peers")
    parser.add_argument("--render", action="store_true", help="render docs/learning.md from the figures kept")
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"figures": []}
    if not arguments.render:
        bench = Bench(peers=arguments.venv, rounds=arguments.rounds)
        races = Races(Kept(KEPT["race"]), arguments.venv)
        parts: dict[str, Callable[[], Iterator[Figure]]] = {name: partial(part, bench) for name, part in PARTS.items()}
        parts["curves"] = lambda: curves.figures(Kept(KEPT["curves"]))
        parts["race"] = races.figures
        for name in arguments.only:
            results = renewed(results, name, measure(name, parts[name]), arguments.rounds)
            write_json(RESULTS, results)
    Console().print(overview(read_figures(results), "Learning: speed"))
    write_atomic(PAGE, rendered(PAGE.read_text(encoding="utf-8"), results))


def measure(name: str, part: Callable[[], Iterator[Figure]]) -> list[dict[str, Any]]:
    """Return the figures of a part, and tell each as soon as it is there."""
    figures = []
    for found in part():
        print(f"{name}: {found.name}: {found.text}", file=sys.stderr, flush=True)
        figures.append(asdict(found))
    return figures


def renewed(results: Mapping[str, Any], part: str, figures: list[dict[str, Any]], rounds: int) -> dict[str, Any]:
    """Return results with the figures of a part replaced, and what everything was measured with."""
    packages = installed("torch", "stable-baselines3", "gymnasium", "pybullet")
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "rounds": rounds,
        "versions": packages | {"sbx-rl": SBX, "jax": JAX, "panda-gym": PANDA_GYM},
        "figures": replace_part(results, part, figures, TITLES),
    }


def rendered(page: str, results: Mapping[str, Any]) -> str:
    """Return docs/learning.md with its tables made from the figures."""
    note = (
        f"Medians of {results['rounds']} rounds (of ten seeds where what is learned is compared, of three in races; of "
        "cores and memory one measurement), in brackets the smallest and the largest. "
        f"{results['cores']} cores, {results['machine']}"
    )
    return replace_tables(page, Path(__file__).name, part_tables(results, TITLES, note))


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
