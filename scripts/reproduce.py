"""Measure a published table again, and renew it where it stands.

python scripts/reproduce.py                   # which tables there are, where, and what makes them
python scripts/reproduce.py reach             # one of them again; killed? the same command goes on
python scripts/reproduce.py reach --render    # only the page, from the results that are kept
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from speed.figures import replace_tables

from sim2real.errors import Sim2RealError
from sim2real.files import write_atomic
from sim2real.studies.run import run_study
from sim2real.studies.summary import study_markdown

REPOSITORY = Path(__file__).resolve().parents[1]
STUDIES = REPOSITORY / "scripts" / "studies"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A table that is published."""

    page: str
    """Where it stands."""
    takes: str
    """About how long it takes on two cores."""
    script: str | None = None
    """What measures and renders it; a study of its name if ``None``."""


TABLES = {
    "demo": Published(page="README.md", takes="5 min", script="benchmark_demo.py"),
    "reach": Published(page="README.md", takes="20 min"),
    "worlds": Published(page="docs/worlds.md", takes="8 h", script="benchmark_worlds.py"),
    "targets": Published(page="docs/worlds.md", takes="5 h", script="calibrate_targets.py"),
    "randomization": Published(page="docs/randomization.md", takes="10 h", script="benchmark_randomization.py"),
    "transfer": Published(page="docs/transfer.md", takes="12 h", script="benchmark_transfer.py"),
    "adviser": Published(page="docs/transfer.md", takes="1 h", script="calibrate_adviser.py"),
    "speed": Published(page="docs/speed.md", takes="30 min", script="benchmark_envs.py"),
    "learning": Published(page="docs/learning.md", takes="2 h", script="benchmark_learning.py"),
    "studies": Published(page="docs/studies.md", takes="10 min", script="benchmark_studies.py"),
}
"""By name."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", choices=TABLES, metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--render", action="store_true", help="measure nothing")
    parser.add_argument("--out", type=Path, metavar="DIR", help="of a study (default: runs/studies/TABLE)")
    arguments = parser.parse_args()
    if arguments.table is None:
        Console().print(overview())
        return
    table = TABLES[arguments.table]
    if table.script is not None:
        if arguments.out is not None:
            parser.error("--out is for tables of studies.")
        command = [sys.executable, str(REPOSITORY / "scripts" / table.script)]
        sys.exit(subprocess.run([*command, *(["--render"] if arguments.render else [])]).returncode)
    if not arguments.render:
        measure(arguments.table, arguments.out or Path("runs") / "studies" / arguments.table)
    page = REPOSITORY / table.page
    write_atomic(page, rendered(page.read_text(encoding="utf-8"), arguments.table, read_kept(arguments.table)))


def overview() -> Table:
    """Return the published tables and what makes them."""
    listed = Table("table", "stands in", "takes about", "is made by", box=SIMPLE_HEAD, pad_edge=False)
    for name, table in TABLES.items():
        maker = f"scripts/studies/{name}.yaml" if table.script is None else f"scripts/{table.script}"
        listed.add_row(name, table.page, table.takes, maker)
    return listed


def measure(name: str, out: Path) -> None:
    """Run a study, or go on with it, and keep its results beside it.

    Raises:
        Sim2RealError: A job of it failed; then nothing is kept.
    """
    file = STUDIES / f"{name}.yaml"
    done = run_study(file, out, progress=sys.stderr.isatty())
    if done.failures:
        raise Sim2RealError(f"{done.failures[0]['job']!r} failed: {done.failures[0]['reason']}")
    results = {**done.results, "study": str(file.relative_to(REPOSITORY))}
    write_atomic(kept(name), json.dumps(results, indent=1, allow_nan=False) + "\n")


def kept(name: str) -> Path:
    """Return the file with the results of a study that are published."""
    return STUDIES / f"{name}.json"


def read_kept(name: str) -> dict[str, Any]:
    """Return the results of a study that are published.

    Raises:
        Sim2RealError: There are none.
    """
    if not kept(name).exists():
        raise Sim2RealError(f"{name} has not been measured yet; leave --render out.")
    content: dict[str, Any] = json.loads(kept(name).read_text(encoding="utf-8"))
    return content


def rendered(page: str, name: str, results: Mapping[str, Any]) -> str:
    """Return a page with the table of a study made from its results."""
    return replace_tables(page, f"studies/{name}.yaml", study_markdown(results))


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
