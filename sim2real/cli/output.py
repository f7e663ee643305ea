"""What commands print: results on standard output, as words or as JSON, and what to type next."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sim2real.errors import Sim2RealError

if TYPE_CHECKING:
    from rich.console import RenderableType

STDOUT = Path("-")
"""The ``--json`` file that means standard output."""
FILE_WIDTH = 120
"""Columns of a table that goes into a file or a pipe."""


class Output:
    """Where a command's results go.

    Args:
        json_file: The file of ``--json``, if given. It is checked now, not after hours of work.
        quiet: Leave out words and progress.

    Raises:
        Sim2RealError: The JSON file could not be written.
    """

    def __init__(self, json_file: Path | None = None, *, quiet: bool = False) -> None:
        self._json_file = json_file
        self._quiet = quiet
        if json_file is None or json_file == STDOUT:
            return
        if json_file.is_dir():
            raise Sim2RealError(f"--json {json_file} is a folder; give the name of a file.")
        if not os.access(json_file if json_file.exists() else json_file.parent, os.W_OK):
            raise Sim2RealError(f"--json {json_file} cannot be written; give a file in a folder that exists.")

    @property
    def progress(self) -> bool:
        """Whether to show progress bars: only to a person."""
        return not self._quiet and sys.stderr.isatty()

    def say(self, text: str = "") -> None:
        """Print words: on standard error where standard output carries JSON."""
        if not self._quiet:
            typer.echo(text, err=self._json_file == STDOUT)

    def made(self, *paths: Path) -> None:
        """Tell which files or folders were made."""
        self._list("made", [str(path) for path in paths])

    def next(self, *commands: Sequence[str]) -> None:
        """Tell what to type next."""
        self._list("next", [shlex.join(command) for command in commands])

    def _list(self, title: str, lines: Iterable[str]) -> None:
        for number, line in enumerate(lines):
            self.say(f"{title if number == 0 else '':6}{line}")

    def show(self, content: RenderableType) -> None:
        """Print a table, or whatever else Rich lays out."""
        if not self._quiet:
            from rich.console import Console

            console = Console(stderr=self._json_file == STDOUT)
            if not console.is_terminal:
                console.width = FILE_WIDTH
            console.print(content)

    def json(self, content: Mapping[str, Any] | Sequence[Any]) -> None:
        """Write the result as strict JSON where the user asked for it.

        Raises:
            Sim2RealError: The file cannot be written.
        """
        if self._json_file is None:
            return
        from sim2real.files import write_atomic

        text = json.dumps(content, indent=2, allow_nan=False) + "\n"
        if self._json_file == STDOUT:
            typer.echo(text, nl=False)
        else:
            write_atomic(self._json_file, text)
            self.made(self._json_file)


def interval(mean: float | None, bounds: Sequence[float] | None, digits: int = 3) -> str:
    """Return a number with its 95 % interval, e.g. ``0.950 [0.887, 0.978]``; a dash where there is none."""
    if mean is None:
        return "-"
    ends = "" if bounds is None else f" [{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]"
    return f"{mean:.{digits}f}{ends}"
