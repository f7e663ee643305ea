"""A vectorized env of Stable-Baselines3 whose envs step in worker processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from sim2real.domains.contract import Env
from sim2real.errors import Sim2RealError
from sim2real.processes import how_it_ended
from sim2real.training.sampler.arrays import Arrays, SharedArrays, Spec
from sim2real.training.sampler.group import read_answer
from sim2real.training.sampler.remote import RemoteGroup, RemoteVecEnv
from sim2real.training.sampler.worker import STEP, serve

_CONTEXT = multiprocessing.get_context("spawn")
_DEATH_TIMEOUT = 5.0
"""In which a worker that does not answer any more has ended [s]."""


class ParallelVecEnv(RemoteVecEnv):
    """Several envs in each of several processes; what they show lies in shared memory.

    It gives what Stable-Baselines3's ``DummyVecEnv`` gives for the same envs and seeds, whatever the number of workers:
    an episode that ends begins anew in the same step, with its last observation in ``info["terminal_observation"]``.
    Envs whose step takes no longer than a message between processes are faster in one.

    No process and no memory stays behind, however this process ends.

    Args:
        factories: One for each env, picklable.
        workers: Processes; as many as cores if ``None``, and never more than envs.
        timeout: How long a worker may take for a step, a reset or an answer [s].
        on_failure: What to do when a worker dies or hangs, or one of its envs raises: ``"raise"``, or ``"restart"`` the
            worker. All of its envs are then reset with the seeds they were given last; the step in which it happened
            ends their episodes as a time limit does, with the reward 0 and ``info["restarted"]`` saying why.

    Raises:
        Sim2RealError: An argument is out of range, a factory cannot be pickled or raises, or there is no room.
    """

    def __init__(
        self,
        factories: Sequence[Callable[[], Env]],
        *,
        workers: int | None = None,
        timeout: float = 60.0,
        on_failure: Literal["raise", "restart"] = "raise",
    ) -> None:
        super().__init__(factories, workers=workers, timeout=timeout, on_failure=on_failure)

    def _count_groups(self, workers: int | None) -> int:
        cores = os.cpu_count() or 1
        if workers is not None and workers > cores:
            message = f"{workers} workers on {cores} cores only take turns; {cores} would be as fast."
            warnings.warn(message, stacklevel=4)
        return cores if workers is None else workers

    def _make_arrays(self, specs: Mapping[str, Spec]) -> Arrays:
        return SharedArrays(_CONTEXT, specs)

    def _make_group(self, indices: range, factories: bytes) -> RemoteGroup:
        return _Worker(indices, factories, self._arrays)


class _Worker(RemoteGroup):
    """The end of a worker process that is here.

    Args:
        indices: Of its envs.
        factories: Of its envs, pickled.
        arrays: Shared with it.
    """

    def __init__(self, indices: range, factories: bytes, arrays: Arrays) -> None:
        super().__init__(indices)
        self._factories, self._arrays = factories, arrays

    def start(self) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        arguments = (theirs, self._arrays, self.indices[0], self._factories)
        self._process: BaseProcess = _CONTEXT.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def step(self) -> None:
        self._send(STEP)

    def ask(self, index: int, request: str, arguments: bytes) -> None:
        self._send(pickle.dumps((index, request, arguments)))

    def _send(self, message: bytes) -> None:
        with suppress(OSError):  # that the process is gone is noticed when it does not answer
            self._pipe.send_bytes(message)

    def receive(self, seconds: float, task: str) -> Any:
        try:
            if not self._pipe.poll(seconds):
                raise Sim2RealError(f"{self} has not answered for {seconds:g} s; it was to {task}.")
            return read_answer(self._pipe.recv_bytes())
        except (EOFError, OSError):
            self._process.join(_DEATH_TIMEOUT)
            raise Sim2RealError(
                f"{self} has died ({how_it_ended(self._process.exitcode)}); it was to {task}."
            ) from None

    def dismiss(self) -> None:
        with suppress(OSError):
            self._pipe.close()

    def end(self, seconds: float) -> None:
        self.dismiss()
        self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __str__(self) -> str:
        return f"the worker process {super().__str__()}"
