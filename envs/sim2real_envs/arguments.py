"""What the arguments of a world are checked for before they are used."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeGuard

import numpy as np

from sim2real.errors import unknown_name


def is_number(value: object) -> TypeGuard[float]:
    """Return whether an argument is a finite number, and not a text that looks like one."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value)


def check_choice(kind: str, value: object, known: Iterable[str]) -> None:
    """Refuse a name that is not among the known ones.

    Raises:
        Sim2RealError: The message names them.
    """
    if not isinstance(value, str) or value not in known:
        raise unknown_name(kind, value, known)
