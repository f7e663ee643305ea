"""A vectorized env of Stable-Baselines3 whose envs step in workers of a Ray cluster."""

from __future__ import annotations

import pickle
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.contract import Env
from sim2real.errors import Sim2RealError, missing_extra
from sim2real.ray_cluster import CPU, connect, count_room, no_room, options
from sim2real.training.sampler.arrays import Spec
from sim2real.training.sampler.vec_env import END_TIMEOUT, ParallelVecEnv, Worker, check_workers, name_envs, read_answer
from sim2real.training.sampler.worker import STEP, Arrays, Lane, answer, close_all, make_lanes, step_all

try:
    import ray
    from ray.exceptions import GetTimeoutError, RayError
except ImportError as error:
    raise missing_extra("ray", "Ray") from error

Rows = dict[str, NDArray[Any]]

_ACTION = "action"


class RayVecEnv(ParallelVecEnv):
    """Several envs in each of several workers of a Ray cluster, so that one training collects from several machines.

    It gives what :class:`ParallelVecEnv` and ``DummyVecEnv`` give for the same envs and seeds, wherever they are.
    Every step costs a message to each worker and one back, a millisecond or two: it pays where steps are slow, or
    where there are so many envs that a worker's share takes long. The machines need the same packages as this one.

    Args:
        factories: One for each env, picklable.
        workers: How many; as many as the machines have room for if ``None``, and never more than envs.
        address: Of the cluster, as ``ray.init`` takes it; a cluster of this machine alone if ``None`` (or the one that
            ``RAY_ADDRESS`` names). A process that is connected already stays so.
        resources: What a worker takes of its machine, by Ray's names: ``CPU``, ``GPU``, ``memory`` [bytes], or custom
            ones; one CPU if left out.
        timeout: How long a worker may take for a step, a reset or an answer [s].
        on_failure: See :class:`ParallelVecEnv`; a worker is restarted on any machine that has room.

    Raises:
        Sim2RealError: An argument is out of range, a factory cannot be pickled or raises, there is no cluster at the
            address, or it has no room for the workers.
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
        self._resources = {CPU: 1.0, **(resources or {})}
        self._connected = connect(address)
        super().__init__(factories, workers=workers, timeout=timeout, on_failure=on_failure)

    def close(self) -> None:
        """End the workers, and the connection if this has made it; a second call does nothing."""
        super().close()
        if self._connected:
            self._connected = False
            ray.shutdown()

    def _count_workers(self, workers: int | None) -> int:
        if workers is not None:
            check_workers(workers)
        room = count_room(self._resources)
        wanted = min(room if workers is None else workers, len(self._factories))
        if room == 0:
            raise no_room(self._resources, "a worker")
        if wanted > room:
            raise Sim2RealError(f"workers = {wanted}: the cluster has room for {room}.")
        return wanted

    def _make_arrays(self) -> Arrays:
        return _make(self._specs)

    def _make_worker(self, indices: range, factories: bytes) -> Worker:
        assert isinstance(self._arrays, dict)
        return _Remote(indices, factories, self._specs, self._arrays, self._resources)


class _Remote:
    """A worker of the cluster.

    Args:
        indices: Of its envs.
        factories: Of its envs, pickled.
        specs: Of the arrays.
        arrays: Those here, whose rows are sent there and brought back.
        resources: What it takes of its machine.
    """

    def __init__(
        self, indices: range, factories: bytes, specs: Mapping[str, Spec], arrays: Rows, resources: Mapping[str, float]
    ) -> None:
        self.indices = indices
        self._arguments = (indices, factories, dict(specs), list(sys.path))
        self._arrays, self._resources = arrays, resources
        self._actor: Any
        self._due: deque[Any]
        self.start()

    def start(self) -> None:
        # That an actor is restarted by Ray would lose its envs unseen.
        host = ray.remote(_Host).options(**options(self._resources), scheduling_strategy="SPREAD", max_restarts=0)
        self._actor = host.remote(*self._arguments)
        self._due = deque([self._actor.make.remote()])

    def send_bytes(self, message: bytes) -> None:
        rows = slice(self.indices.start, self.indices.stop)
        actions = self._arrays[_ACTION][rows] if message == STEP else None
        self._due.append(self._actor.do.remote(message, actions))

    def receive(self, seconds: float, task: str) -> Any:
        ref = self._due.popleft()
        try:
            message, rows = ray.get(ref, timeout=seconds)
        except GetTimeoutError:
            raise Sim2RealError(f"{self} has not answered for {seconds:g} s; it was to {task}.") from None
        except RayError as error:
            raise Sim2RealError(f"{self} has died ({type(error).__name__}); it was to {task}.") from None
        for name, part in rows.items():
            self._arrays[name][self.indices.start : self.indices.stop] = part
        return read_answer(message)

    def let_go(self) -> None:
        with suppress(RayError):
            if ray.is_initialized():
                self._due = deque([self._actor.close.remote()])

    def end(self, seconds: float = 0.0) -> None:
        with suppress(RayError):
            if ray.is_initialized():
                ray.wait(list(self._due), timeout=min(seconds, END_TIMEOUT))
                ray.kill(self._actor)

    def __str__(self) -> str:
        return f"the worker in the cluster of {name_envs(self.indices)}"


class _Host:
    """What runs in the cluster: the envs of a worker, and arrays of its own for them."""

    def __init__(self, indices: range, factories: bytes, specs: Mapping[str, Spec], paths: Sequence[str]) -> None:
        self._indices, self._factories = indices, factories
        self._rows = slice(indices.start, indices.stop)
        self._arrays = _make(specs)
        self._lanes: list[Lane] = []
        sys.path += [path for path in paths if path not in sys.path]  # a user's own envs, where they stand alike

    def make(self) -> tuple[bytes, Rows]:
        """Make the envs."""
        outbox = _Outbox()
        make_lanes(outbox, self._lanes, self._arrays, self._indices.start, self._factories)
        return outbox.message, {}

    def do(self, message: bytes, actions: NDArray[Any] | None) -> tuple[bytes, Rows]:
        """Do what a message asks for; return the answer and what the envs show then."""
        outbox = _Outbox()
        if message == STEP:
            self._arrays[_ACTION][self._rows] = actions
            step_all(outbox, self._lanes)
        else:
            answer(outbox, self._lanes, *pickle.loads(message))
        return outbox.message, {name: part[self._rows] for name, part in self._arrays.items() if name != _ACTION}

    def close(self) -> None:
        """Close the envs."""
        close_all(self._lanes)


class _Outbox:
    """Keeps the one answer that is sent."""

    message = b""

    def send_bytes(self, message: bytes) -> None:
        self.message = message


def _make(specs: Mapping[str, Spec]) -> Rows:
    return {name: np.zeros(shape, dtype) for name, (shape, dtype) in specs.items()}
