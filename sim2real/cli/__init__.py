"""The command line: each command reads its arguments and calls one public function of :mod:`sim2real`."""

from sim2real.cli.entry import main

__all__ = ["main"]
