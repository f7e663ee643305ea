"""What processes and those that spawn them know of each other; light, for workers that need no learner."""

from __future__ import annotations

import multiprocessing
import os
import warnings


def end_with_parent() -> None:
    """End this process as soon as the one that spawned it has ended, in whatever way; to be run in a thread."""
    # A pool's worker waits for work for ever when its parent is killed: the pipe stays open in its siblings.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def warn_in_one_line() -> None:
    """Write warnings of this process without the line of source that they come from, as a command line does."""
    warnings.formatwarning = lambda message, *_, **__: f"warning: {' '.join(str(message).split())}\n"


def how_it_ended(code: int | None) -> str:
    """Return in words how a process has ended.

    Args:
        code: Its exit code; minus the signal where one killed it.
    """
    if code is None:
        return "for an unknown reason"
    return f"killed by signal {-code}; was there too little memory?" if code < 0 else f"with exit code {code}"
