"""Peers that are measured beside sim2real, installed apart, since what they need is nothing that it should need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from sim2real.errors import Sim2RealError


def default_folder(name: str) -> Path:
    """Return where peers are installed unless told otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sim2real" / name


def install(folder: Path, packages: Sequence[str]) -> Path:
    """Make a virtual environment with some packages, if it is not there yet.

    Args:
        folder: Where.
        packages: Requirements, with their versions.

    Returns:
        Its Python.

    Raises:
        Sim2RealError: Something could not be installed.
    """
    python = folder / "bin" / "python"
    done = folder / "installed"
    wanted = "\n".join(packages)
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return python
    print(f"setting up {folder}: {', '.join(packages)}", file=sys.stderr)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "-qq", "install"]
    for command in ([sys.executable, "-m", "venv", "--without-pip", str(folder)], [*pip, *packages]):
        if subprocess.run(command, check=False).returncode:
            raise Sim2RealError(f"could not set up the peers; this failed: {' '.join(command)}")
    done.write_text(wanted, encoding="utf-8")
    return python


class Peer:
    """A process that answers one line of JSON with another, and rests in between.

    Args:
        python: Of its virtual environment.
        script: What it runs.
    """

    def __init__(self, python: Path, script: Path) -> None:
        self._folder = python.parent.parent
        self._process = subprocess.Popen(
            [python, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()  # the end of its input ends it

    def ask(self, **request: Any) -> Any:
        """Return the answer to a request.

        Raises:
            Sim2RealError: The process has died.
        """
        assert self._process.stdin is not None  # it is a pipe
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise Sim2RealError(f"the peers' process ended at {request}; remove {self._folder} to set it up anew.")
        return json.loads(line)
