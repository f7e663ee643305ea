"""Measure how fast the worlds are, as ratios, and how true the lean robots move; keep the figures for docs/speed.md.

    python scripts/benchmark_envs.py              # ten minutes; renews docs/results/envs.json and docs/speed.md
    python scripts/benchmark_envs.py --only arms  # some parts; the others stay as they are
    python scripts/benchmark_envs.py --render     # only renders docs/speed.md again

What is compared is measured by turns, so that what else the machine does hits both sides. A figure is the median over
rounds; a round's step is the median over its steps. The peers, panda-gym and highway-env, are installed in a virtual
environment of their own. One thread; Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from env_speed.fidelity import SETTINGS, WORLDS
from env_speed.parts import PARTS, TITLES, Bench
from env_speed.peers import HIGHWAY_ENV, PANDA_GYM
from rich.console import Console
from speed.figures import (
    Figure,
    installed,
    overview,
    part_tables,
    read_figures,
    replace_part,
    replace_tables,
    table_lines,
)
from speed.peers import default_folder

from sim2real.errors import Sim2RealError
from sim2real.files import write_atomic, write_json

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "docs" / "results" / "envs.json"
PAGE = REPOSITORY / "docs" / "speed.md"
ROUNDS, RESETS = 7, 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=_count, default=ROUNDS, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument("--resets", type=_count, default=RESETS, metavar="N", help=f"for the memory; default {RESETS}")
    parser.add_argument("--venv", type=Path, default=default_folder("peers"), help="of the peers; default %(default)s")
    parser.add_argument("--render", action="store_true", help="render docs/speed.md from the figures kept")
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"figures": []}
    if not arguments.render:
        parts = arguments.only or list(PARTS)
        new = measure(parts, peers=arguments.venv, rounds=arguments.rounds, resets=arguments.resets)
        for part in parts:
            found = [entry for entry in new["figures"] if entry["part"] == part]
            results = {**new, "figures": replace_part(results, part, found, PARTS)}
        write_json(RESULTS, results)
    Console().print(overview(read_figures(results), "The worlds: speed and fidelity"))
    write_atomic(PAGE, rendered(PAGE.read_text(encoding="utf-8"), results))


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return number


def measure(parts: Iterable[str], *, peers: Path, rounds: int, resets: int) -> dict[str, Any]:
    """Return the figures of some parts, and what they were measured with.

    Args:
        parts: Keys of :data:`env_speed.parts.PARTS`.
        peers: Folder of the peers' virtual environment; made if it is not there.
        rounds: How often everything is measured.
        resets: After how many resets the memory is looked at.
    """
    figures = []
    with ExitStack() as stack:
        bench = Bench(stack, peers=peers, rounds=rounds, resets=resets)
        for part in parts:
            for found in PARTS[part](bench):
                print(f"{part}: {found.name}: {found.text}", file=sys.stderr, flush=True)
                figures.append(asdict(found))
    packages = installed("pybullet", "gymnasium", "numpy")
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "rounds": rounds,
        "resets": resets,
        "versions": packages | {"panda-gym": PANDA_GYM, "highway-env": HIGHWAY_ENV},
        "figures": figures,
    }


def rendered(page: str, results: Mapping[str, Any]) -> str:
    """Return docs/speed.md with its tables made from the figures."""
    titles = {part: title.format(resets=results["resets"]) for part, title in TITLES.items()}
    note = (
        f"Medians of {results['rounds']} rounds, in brackets the smallest and the largest. One core of a machine with "
        f"{results['cores']}, {results['machine']}"
    )
    return replace_tables(page, Path(__file__).name, part_tables(results, titles, note, table=_table))


def _table(figures: Sequence[Figure]) -> list[str]:
    if figures[0].part != "fidelity":
        return table_lines(figures)
    values = {found.name: found.value for found in figures}
    lines = [f"| largest / rms [mm] | {' | '.join(SETTINGS)} |", "|---|" + "---|" * len(SETTINGS)]
    for robot in WORLDS:
        cells = [f"{values[f'{robot}, {s}, most']:.2f} / {values[f'{robot}, {s}, rms']:.2f}" for s in SETTINGS]
        lines.append(f"| {robot} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
