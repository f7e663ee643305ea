"""The infos of env steps on their way between processes: numbers in shared memory, the rest only when it changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

WIDTH = 64
"""Numbers of an info that find room in shared memory; what is more is sent like the rest."""

_NUMBERS = (bool, int, float, np.bool_, np.int32, np.int64, np.float32, np.float64)
_IMMUTABLE = (*_NUMBERS, str, bytes, type(None))
_MOST = 16  # numbers of an array that is taken apart
_EXACT = 2**53  # whole numbers up to this size are exact in double precision

Layout = tuple[tuple[str, Any], ...]
"""Keys and, for each, the type of its number, or type and shape of its small array, or ``None`` for the rest."""


class News(NamedTuple):
    """What the numbers of an info do not say."""

    layout: Layout | None
    """The layout, if it is not that of the info before."""
    rest: dict[str, Any]
    """What else has changed."""


class InfoWriter:
    """Takes the infos of one env apart."""

    def __init__(self) -> None:
        self._layout: Layout = ()
        self._rest: dict[str, Any] = {}

    def write(self, info: Mapping[str, Any], row: NDArray[np.float64]) -> News | None:
        """Write the numbers of an info.

        Args:
            info: Of a step or a reset.
            row: Where its numbers go, shape (WIDTH,).

        Returns:
            What the reader has to be told besides, if anything.
        """
        numbers: list[float] = []
        kinds: list[tuple[str, Any]] = []
        changed: dict[str, Any] = {}
        for key, value in info.items():
            kind = _kind(value, WIDTH - len(numbers))
            kinds.append((key, kind))
            if kind is None:
                if not _same(value, self._rest.get(key, self)):
                    self._rest[key] = changed[key] = deepcopy(value)  # an env may go on changing its own
            elif isinstance(kind, tuple):
                numbers += value.ravel().tolist()
            else:
                numbers.append(float(value))
        row[: len(numbers)] = numbers
        layout = tuple(kinds)
        if layout == self._layout:
            return News(None, changed) if changed else None
        self._layout = layout
        return News(layout, changed)


class InfoReader:
    """Puts the infos of one env together again."""

    def __init__(self) -> None:
        self._layout: Layout = ()
        self._rest: dict[str, Any] = {}

    def read(self, row: NDArray[np.float64], news: News | None) -> dict[str, Any]:
        """Return an info that is the caller's own."""
        if news is not None:
            if news.layout is not None:
                self._layout = news.layout
            self._rest |= news.rest
        numbers = row.tolist()
        info: dict[str, Any] = {}
        place = 0
        for key, kind in self._layout:
            if kind is None:
                info[key] = _copy(self._rest[key])
            elif isinstance(kind, tuple):
                dtype, shape = kind
                size = math.prod(shape)
                info[key] = np.array(numbers[place : place + size], dtype).reshape(shape)
                place += size
            else:
                info[key] = kind(numbers[place])
                place += 1
        return info


def _kind(value: Any, room: int) -> Any:
    """Return what :data:`Layout` says of a value, ``None`` if it does not fit into so many numbers."""
    kind: Any = type(value)
    if kind in _NUMBERS:
        exact = kind in (float, np.float32, np.float64) or abs(int(value)) <= _EXACT
        return kind if room >= 1 and exact else None
    if (
        kind is np.ndarray
        and value.size <= min(room, _MOST)
        and value.dtype.kind in "fiub"
        and value.dtype.itemsize <= 8
    ):
        exact = value.dtype.kind in "fb" or value.dtype.itemsize <= 4
        return (value.dtype.str, value.shape) if exact else None
    return None


def _same(one: Any, other: Any) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # an array is neither equal nor not; other classes may raise anything
        return False


def _copy(value: Any) -> Any:
    if isinstance(value, _IMMUTABLE):
        return value
    if type(value) is dict and all(type(part) in _IMMUTABLE for part in value.values()):
        return dict(value)
    return deepcopy(value)
