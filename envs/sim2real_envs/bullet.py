"""PyBullet, imported without the line that it prints from C at import, which would stand in front of every error."""

from __future__ import annotations

import os
import sys

sys.stderr.flush()
_stderr = os.dup(2)
try:
    _nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(_nowhere, 2)
    os.close(_nowhere)
    import pybullet
finally:
    os.dup2(_stderr, 2)
    os.close(_stderr)

__all__ = ["pybullet"]
