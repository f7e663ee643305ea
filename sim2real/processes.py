"""What a process that was spawned does about the one that spawned it; light, for workers that need no learner."""

from __future__ import annotations

import multiprocessing
import os


def end_with_parent() -> None:
    """End this process as soon as the one that spawned it has ended, in whatever way; to be run in a thread."""
    # A pool's worker waits for work for ever when its parent is killed: the pipe stays open in its siblings.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
