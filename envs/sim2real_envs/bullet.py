"""PyBullet, without the lines that it prints from C, which would stand in front of every error and in every JSON."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OUTPUTS = (1, 2)  # file descriptors of standard output and standard error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what C code prints meanwhile: a greeting at import, warnings about URDFs that leave masses out."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(output) for output in _OUTPUTS]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for output in _OUTPUTS:
            os.dup2(nowhere, output)
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # C keeps what goes into a pipe until its buffer is full
        for output, copy in zip(_OUTPUTS, kept, strict=True):
            os.dup2(copy, output)
            os.close(copy)
        os.close(nowhere)


with quiet():
    import pybullet

__all__ = ["pybullet", "quiet"]
