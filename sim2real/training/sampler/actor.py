"""What runs on a machine of a Ray cluster: a group of envs, whose arrays travel; light, as it needs no learner."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from sim2real.ray_cluster import extend_path
from sim2real.training.sampler.arrays import Arrays, Spec
from sim2real.training.sampler.group import Group

Answer = tuple[bytes, dict[str, NDArray[Any]]]
"""Of the group, and the rows of the arrays that have changed by it."""


class EnvActor:
    """A group of envs; to be made an actor of Ray.

    Args:
        first: Index of the first env.
        specs: Of the arrays, with a row for each env of the group.
    """

    def __init__(self, first: int, specs: Mapping[str, Spec]) -> None:
        self._first, self._arrays = first, Arrays(specs)
        self._group = Group(first, self._arrays, row=0)
        self._observation, self._terminal = (
            [name for name in specs if name.startswith(f"{what}/")] for what in ("observation", "terminal")
        )

    def where(self) -> str:
        """Return the name of the machine."""
        return platform.node()

    def make(self, paths: Sequence[str], factories: bytes) -> Answer:
        """Make the envs.

        Args:
            paths: Where modules are found on the machine that the factories come from.
            factories: Pickled callables, each of which makes an env.
        """
        extend_path(paths)
        return self._group.make(factories), {}

    def step(self, actions: NDArray[Any]) -> Answer:
        """Let each env take its action."""
        self._arrays["action"][:] = actions
        answer = self._group.step()
        names = [*self._observation, "reward", "done", "info"]
        if self._arrays["done"].any():
            names += self._terminal
        return answer, {name: self._arrays[name] for name in names}

    def answer(self, index: int, request: str, arguments: bytes) -> Answer:
        """Do something with one env, see :meth:`Group.answer`; of a reset, its row of the observations changes."""
        answer = self._group.answer(index, request, arguments)
        row = index - self._first
        names = self._observation if request == "reset" else ()
        return answer, {name: self._arrays[name][row : row + 1] for name in names}

    def close(self) -> None:
        """Close the envs."""
        self._group.close()
