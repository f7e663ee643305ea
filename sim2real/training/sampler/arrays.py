"""Arrays that envs show in what happens, of one process or shared by several."""

from __future__ import annotations

import math
from collections.abc import ItemsView, Mapping
from multiprocessing.context import SpawnContext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError

_ALIGNMENT = 64  # of every array [bytes]: a cache line, so that no two processes write to one

Spec = tuple[tuple[int, ...], np.dtype[Any]]
"""Shape and type of an array."""


class Arrays:
    """Named arrays in the memory of this process.

    Args:
        specs: What there shall be; zero at first.
    """

    def __init__(self, specs: Mapping[str, Spec]) -> None:
        self._arrays = {name: np.zeros(shape, dtype) for name, (shape, dtype) in specs.items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return an array, to read and to write."""
        return self._arrays[name]

    def items(self) -> ItemsView[str, NDArray[Any]]:
        """Return all of them with their names."""
        return self._arrays.items()


class SharedArrays(Arrays):
    """Named arrays in one block of memory that a process shares with those it spawns.

    The block is a file that has no name any more when it is used, so nothing is left behind however the processes end.

    Args:
        context: Spawns them; instances are pickled as arguments of a process, and not otherwise.
        specs: What there shall be; zero at first.

    Raises:
        Sim2RealError: There is no room for it.
    """

    def __init__(self, context: SpawnContext, specs: Mapping[str, Spec]) -> None:
        self._specs = dict(specs)
        size = max(1, sum(_room(spec) for spec in specs.values()))
        try:
            self._block: Any = context.RawArray("b", size)
        except OSError as error:
            raise Sim2RealError(
                f"no room for {size / 1e6:.1f} MB of shared memory: {error.strerror}; free some in /dev/shm, or use "
                "fewer envs."
            ) from error
        self._open()

    def _open(self) -> None:
        self._arrays = {}
        start = 0
        for name, (shape, dtype) in self._specs.items():
            flat = np.frombuffer(self._block, dtype, math.prod(shape), start)
            self._arrays[name] = flat.reshape(shape)
            start += _room((shape, dtype))

    def __getstate__(self) -> dict[str, Any]:
        return {"_specs": self._specs, "_block": self._block}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()


def _room(spec: Spec) -> int:
    shape, dtype = spec
    return -(-math.prod(shape) * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
