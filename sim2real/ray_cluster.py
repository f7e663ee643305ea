"""A Ray cluster: how this process connects to it, and what its machines have room for."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from sim2real.errors import Sim2RealError, missing_extra

try:
    import ray
    from ray.exceptions import RayError
except ImportError as error:
    raise missing_extra("ray", "Ray") from error

CPU = "CPU"
"""Ray's name for the cores of a machine."""


def connect(address: str | None) -> bool:
    """Connect this process to a Ray cluster, unless it is already; return whether it was not.

    Args:
        address: As ``ray.init`` takes it; a cluster of this machine alone if ``None``.

    Raises:
        Sim2RealError: There is none at the address.
    """
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        reason = " ".join(str(error).split())
        raise Sim2RealError(f"cannot connect to a Ray cluster at {address or 'this machine'}: {reason}") from error
    return True


def count_room(resources: Mapping[str, float]) -> int:
    """Return how many pieces of work that take such resources each the machines have room for.

    Args:
        resources: By Ray's names: ``CPU``, ``GPU``, ``memory`` [bytes], or custom ones.
    """
    return sum(
        min(int(machine.get(name, 0.0) // amount) for name, amount in resources.items() if amount)
        for machine in _machines()
    )


def no_room(resources: Mapping[str, float], what: str) -> Sim2RealError:
    """Return the error for resources that no machine has.

    Args:
        resources: See :func:`count_room`.
        what: What is to take them.
    """
    wanted = ", ".join(f"{name} = {amount:g}" for name, amount in resources.items())
    machines = "; ".join(
        ", ".join(f"{name} = {machine.get(name, 0):g}" for name in resources) for machine in _machines()
    )
    return Sim2RealError(f"no machine of the cluster has what {what} is to take ({wanted}); they have: {machines}.")


def _machines() -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def options(resources: Mapping[str, float]) -> dict[str, Any]:
    """Return the options of a Ray task or actor that takes such resources, see :func:`count_room`."""
    amounts = dict(resources)
    found: dict[str, Any] = {"num_cpus": amounts.pop(CPU), "num_gpus": amounts.pop("GPU", 0)}
    if "memory" in amounts:
        found["memory"] = int(amounts.pop("memory"))
    return {**found, "resources": amounts}
