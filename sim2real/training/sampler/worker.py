"""What runs in a worker process: a group of envs, served through a pipe."""

from __future__ import annotations

import pickle
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import Connection

from sim2real.processes import end_with_parent
from sim2real.training.sampler.arrays import Arrays
from sim2real.training.sampler.group import Group

STEP = b"step"
"""The message that asks for a step; all others are the pickled arguments of ``Group.answer``."""


def serve(pipe: Connection, arrays: Arrays, first: int, factories: bytes) -> None:
    """Serve until the other end of the pipe is closed.

    Args:
        pipe: To the process that is served.
        arrays: Shared with it, a row for every env.
        first: Index of the first env.
        factories: Pickled callables, each of which makes an env.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the parent ends this one
    threading.Thread(target=end_with_parent, daemon=True).start()
    group = Group(first, arrays, row=first)
    try:
        with suppress(EOFError, OSError):  # the parent is gone, or has closed the pipe
            pipe.send_bytes(group.make(factories))
            while True:
                message = pipe.recv_bytes()
                pipe.send_bytes(group.step() if message == STEP else group.answer(*pickle.loads(message)))
    finally:
        group.close()
