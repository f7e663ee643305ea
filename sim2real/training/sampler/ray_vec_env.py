"""A vectorized env of Stable-Baselines3 whose envs step on the machines of a Ray cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from sim2real.domains.contract import Env
from sim2real.errors import Sim2RealError, missing_extra
from sim2real.ray_cluster import Demand, connect, one_line
from sim2real.training.sampler.actor import EnvActor
from sim2real.training.sampler.arrays import Arrays
from sim2real.training.sampler.group import read_answer
from sim2real.training.sampler.remote import RemoteGroup, RemoteVecEnv

try:
    import ray
    from ray.exceptions import GetTimeoutError, RayError
except ImportError as error:
    raise missing_extra("ray", "Ray") from error


class RayVecEnv(RemoteVecEnv):
    """Several envs in each of several actors of a Ray cluster, spread over its machines: one training, many machines.

    It gives what Stable-Baselines3's ``DummyVecEnv`` gives for the same envs and seeds, whatever the number of actors,
    as :class:`~sim2real.training.sampler.vec_env.ParallelVecEnv` does. A step is a message to each actor and back,
    about two milliseconds even on one machine, ten times what it is between processes: it pays where the envs of an
    actor take longer than that to step, and there is more than one machine. The machines need the same packages as this
    one.

    Args:
        factories: One for each env, picklable.
        workers: Actors; as many as the machines have room for if ``None``, and never more than envs.
        address: Of the cluster, as ``ray.init`` takes it; a cluster of this machine alone, ended by ``close()``, if
            ``None`` (or the one that ``RAY_ADDRESS`` names). A process that is connected already stays so.
        resources: What an actor takes of its machine, by Ray's names: ``CPU``, ``GPU``, ``memory`` [bytes], or custom
            ones; one CPU if left out.
        timeout: How long an actor may take for a step, a reset or an answer [s].
        on_failure: What to do when an actor or its machine dies or hangs, or one of its envs raises: ``"raise"``, or
            ``"restart"`` the actor where there is room, as ``ParallelVecEnv`` restarts a worker.

    Raises:
        Sim2RealError: An argument is out of range, a factory cannot be pickled or raises, there is no cluster at the
            address, or it has no room for so many actors.
    """

    def __init__(
        self,
        factories: Sequence[Callable[[], Env]],
        *,
        workers: int | None = None,
        address: str | None = None,
        resources: Mapping[str, float] | None = None,
        timeout: float = 60.0,
        on_failure: Literal["raise", "restart"] = "raise",
    ) -> None:
        self._address, self._demand = address, Demand(resources, "an actor with envs")
        super().__init__(factories, workers=workers, timeout=timeout, on_failure=on_failure)

    def _enter(self) -> None:
        if connect(self._address):
            self._exit.callback(ray.shutdown)

    def _count_groups(self, workers: int | None) -> int:
        room = self._demand.room()
        if workers is not None and min(workers, len(self._factories)) > room:
            raise Sim2RealError(
                f"workers = {workers}, but the cluster has room for {room} that take {self._demand} each; ask for "
                "fewer, or let more machines join it."
            )
        return room if workers is None else workers

    def _make_group(self, indices: range, factories: bytes) -> RemoteGroup:
        return _Actor(indices, factories, self._arrays, self._demand)


class _Actor(RemoteGroup):
    """The end of an actor that is here.

    Args:
        indices: Of its envs.
        factories: Of its envs, pickled.
        arrays: Where what they show is put.
        demand: What it takes of its machine.
    """

    def __init__(self, indices: range, factories: bytes, arrays: Arrays, demand: Demand) -> None:
        super().__init__(indices)
        self._factories, self._arrays, self._demand = factories, arrays, demand
        self._specs = {name: ((len(indices), *array.shape[1:]), array.dtype) for name, array in arrays.items()}

    def start(self) -> None:
        # It is not for Ray to start it again: it would be one without envs.
        actor: Any = ray.remote(EnvActor)
        options = {"scheduling_strategy": "SPREAD", "max_restarts": 0, **self._demand.options()}
        self._actor = actor.options(**options).remote(self.indices[0], self._specs)
        self._where = self._actor.where.remote()
        self._request(self._actor.make.remote(sys.path, self._factories), self.indices)

    def _request(self, ref: Any, rows: range) -> None:
        self._ref, self._rows = ref, slice(rows.start, rows.stop)

    def step(self) -> None:
        actions = self._arrays["action"][self.indices.start : self.indices.stop]
        self._request(self._actor.step.remote(actions), self.indices)

    def ask(self, index: int, request: str, arguments: bytes) -> None:
        self._request(self._actor.answer.remote(index, request, arguments), range(index, index + 1))

    def receive(self, seconds: float, task: str) -> Any:
        try:
            answer, shown = ray.get(self._ref, timeout=seconds)
        except GetTimeoutError:
            raise Sim2RealError(f"{self} has not answered for {seconds:g} s; it was to {task}.") from None
        except RayError as error:
            raise Sim2RealError(f"{self} has died ({_death(error)}); it was to {task}.") from error
        for name, part in shown.items():
            self._arrays[name][self._rows] = part
        return read_answer(answer)

    def dismiss(self) -> None:
        if ray.is_initialized():
            self._request(self._actor.close.remote(), self.indices)

    def end(self, seconds: float) -> None:
        if ray.is_initialized():  # or Ray has ended it
            with suppress(RayError):
                ray.wait([self._ref], timeout=seconds)
                ray.kill(self._actor)

    def __str__(self) -> str:
        try:
            machine = f"on {ray.get(self._where, timeout=0)}"
        except (GetTimeoutError, RayError):
            machine = f"that is to take {self._demand}"
        return f"the actor {super().__str__()} {machine}"


def _death(error: RayError) -> str:
    """Return why an actor has died, in a few of the many words that Ray has for it."""
    _, known, reason = one_line(error).partition("The actor is dead because ")
    return reason.partition(". ")[0] if known else type(error).__name__
