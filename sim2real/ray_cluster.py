"""A Ray cluster: connecting to it, what its machines have, and what a piece of work takes of them."""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from sim2real.errors import Sim2RealError, missing_extra

try:
    import ray
    from ray.exceptions import RayError
except ImportError as error:
    raise missing_extra("ray", "Ray") from error

_CPU = "CPU"
_ANSWER_TIMEOUT = 5.0  # s


def connect(address: str | None) -> bool:
    """Connect this process to a Ray cluster, unless it is already; return whether it was not.

    Args:
        address: As ``ray.init`` takes it; a cluster of this machine alone if ``None``.

    Raises:
        Sim2RealError: There is none at the address.
    """
    if ray.is_initialized():
        return False
    _check_somebody_listens(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        where = address or "this machine"
        raise Sim2RealError(f"cannot connect to a Ray cluster at {where}: {one_line(error)}") from error
    return True


def _check_somebody_listens(address: str | None) -> None:
    """Refuse an address at which nobody listens; Ray itself would try for minutes.

    Raises:
        Sim2RealError: It is one.
    """
    host, colon, port = (address or "").rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():  # "auto", "local", or a name that is for Ray to know
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        raise Sim2RealError(f"cannot connect to a Ray cluster at {address}: {one_line(error)}.") from error


class Demand:
    """What each piece of work takes of the machine that it is done on.

    Args:
        resources: Amounts by Ray's names: ``CPU``, ``GPU``, ``memory`` [bytes], or custom ones; one CPU if left out.
        what: Which work, for a message: ``"a job"``.

    Raises:
        Sim2RealError: An amount is no number, or negative.
    """

    def __init__(self, resources: Mapping[str, float] | None, what: str) -> None:
        for name, amount in (resources or {}).items():
            if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 <= amount < math.inf:
                raise Sim2RealError(f"resources: {name} = {amount!r} must be a number that is not negative.")
        self._resources = {_CPU: 1.0, **(resources or {})}
        self._what = what

    def room(self) -> int:
        """Return how many pieces the machines have room for, if they do nothing else.

        Raises:
            Sim2RealError: For none.
        """
        room = self.count_room()
        if room == 0:
            machines = "; ".join(
                ", ".join(f"{name} = {machine.get(name, 0):g}" for name in self._resources) for machine in _machines()
            )
            raise Sim2RealError(
                f"no machine of the cluster has what {self._what} is to take ({self}); they have: {machines}."
            )
        return room

    def count_room(self) -> int:
        """Return how many pieces the machines have room for now, none while no machine is there."""
        taken = {name: amount for name, amount in self._resources.items() if amount}
        return sum(
            min((int(machine.get(name, 0.0) // amount) for name, amount in taken.items()), default=sys.maxsize)
            for machine in _machines()
        )

    def options(self) -> dict[str, Any]:
        """Return the options of a Ray task or actor that takes it."""
        amounts = dict(self._resources)
        options: dict[str, Any] = {"num_cpus": amounts.pop(_CPU), "num_gpus": amounts.pop("GPU", 0)}
        if "memory" in amounts:
            options["memory"] = int(amounts.pop("memory"))
        return options | {"resources": amounts}

    def __str__(self) -> str:
        return ", ".join(f"{name} = {amount:g}" for name, amount in self._resources.items())


def extend_path(paths: Iterable[str]) -> None:
    """Find modules where another machine does: a user's own envs, where they stand alike."""
    sys.path += [path for path in paths if path not in sys.path]


def one_line(error: Exception) -> str:
    """Return what an error of Ray says, which may be many lines, as one."""
    return " ".join(str(error).split())


def _machines() -> list[dict[str, float]]:
    """Return the resources of every machine of the cluster."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
