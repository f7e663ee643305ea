"""A vectorized env of Stable-Baselines3 whose envs step in worker processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import pairwise
from multiprocessing.process import BaseProcess
from typing import Any, Literal, Protocol

import cloudpickle
import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices

from sim2real.domains.contract import Env
from sim2real.errors import Sim2RealError, unknown_name
from sim2real.training.sampler.arrays import SharedArrays, Spec
from sim2real.training.sampler.infos import WIDTH, InfoReader
from sim2real.training.sampler.worker import NOTHING, STEP, Arrays, Failure, StepNews, serve

Array = NDArray[Any]

_CONTEXT = multiprocessing.get_context("spawn")
START_TIMEOUT = 120.0
"""In which a worker has to have made its envs [s]."""
END_TIMEOUT = 5.0
"""In which a worker has to have closed them [s]."""


class ParallelVecEnv(VecEnv):
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
        if not factories:
            raise Sim2RealError("factories is empty; give one for each env.")
        if on_failure not in ("raise", "restart"):
            raise unknown_name("on_failure", on_failure, ("raise", "restart"))
        self._factories, self._timeout, self._on_failure = list(factories), timeout, on_failure
        self.meanwhile: Callable[[], None] | None = None
        """Called while the envs make a step; it must not ask them anything."""
        self.restarts = 0
        """How often a worker has been restarted."""
        prototype = self.prototype
        for space in (prototype.observation_space, prototype.action_space):
            _check_space(space)
        self._specs = _specs(len(factories), prototype.observation_space, prototype.action_space)
        self._arrays = self._make_arrays()
        count = min(self._count_workers(workers), len(factories))
        bounds = [len(factories) * number // count for number in range(count + 1)]
        self._workers: list[Worker] = []
        self._waiting = False
        # Also runs when the object is forgotten, or the interpreter ends; a second call does nothing.
        self._end = weakref.finalize(self, _end_all, self._workers)
        try:
            for first, end in pairwise(bounds):
                pickled = _pickled_factories(self._factories[first:end])
                self._workers.append(self._make_worker(range(first, end), pickled))
            for worker in self._workers:
                _expect(worker.receive(START_TIMEOUT, "make its envs"))
            self._given: list[int | None] = [None] * len(factories)
            self._readers = [InfoReader() for _ in factories]
            super().__init__(len(factories), prototype.observation_space, prototype.action_space)
        except BaseException:
            self.close()
            raise

    def _count_workers(self, workers: int | None) -> int:
        cores = os.cpu_count() or 1
        if workers is None:
            return cores
        check_workers(workers)
        if workers > cores:
            warnings.warn(
                f"{workers} workers on {cores} cores only take turns; {cores} would be as fast.", stacklevel=4
            )
        return workers

    def _make_arrays(self) -> Arrays:
        return SharedArrays(_CONTEXT, self._specs)

    def _make_worker(self, indices: range, factories: bytes) -> Worker:
        assert isinstance(self._arrays, SharedArrays)
        return _Process(indices, factories, self._arrays)

    @cached_property
    def prototype(self) -> Env:
        """An env like the others, in this process: for what does not depend on the state of an episode."""
        return self._factories[0]()

    def reset(self) -> Any:
        """Begin a new episode everywhere, with the seeds and options set for it."""
        for index, seed in enumerate(self._seeds):
            if seed is not None:
                self._given[index] = seed
        requests = [(self._seeds[index], self._options[index]) for index in range(self.num_envs)]
        self.reset_infos = self._ask_all("reset", requests)
        self._reset_seeds()
        self._reset_options()
        self._shown = self._observations("observation", slice(None))
        return self._shown

    def step_async(self, actions: Array) -> None:
        """Let all envs begin a step."""
        self._arrays["action"][:] = actions
        for worker in self._workers:
            worker.send_bytes(STEP)
        self._waiting = True

    def step_wait(self) -> tuple[Any, Array, Array, list[dict[str, Any]]]:
        """Wait until all have made the step."""
        if self.meanwhile is not None:
            self.meanwhile()
        self._waiting = False
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        restarted: dict[int, str] = {}
        for worker in self._workers:
            try:
                answer = worker.receive(self._timeout, "make a step")
                news: dict[int, StepNews] = _expect(answer)
            except Sim2RealError as error:
                if self._on_failure == "raise":
                    self.close()
                    raise
                restarted |= dict.fromkeys(worker.indices, str(error))
                self._restart(worker)
                continue
            self._read_infos(worker.indices, news, infos)
        dones = self._arrays["done"].copy()
        rewards = self._arrays["reward"].copy()
        for index, why in restarted.items():
            dones[index], rewards[index] = True, 0.0
            infos[index] = {
                "TimeLimit.truncated": True,
                "terminal_observation": _row(self._shown, index),
                "restarted": why,
            }
        self._shown = self._observations("observation", slice(None))
        return self._shown, rewards, dones, infos

    def _read_infos(self, indices: range, news: dict[int, StepNews], infos: list[dict[str, Any]]) -> None:
        rows, done = self._arrays["info"], self._arrays["done"]
        for index in indices:
            told = news.get(index)
            info = self._readers[index].read(rows[index], told.info if told is not None else None)
            if done[index]:
                info["terminal_observation"] = self._observations("terminal", index)
                assert told is not None
                assert told.reset is not None
                self.reset_infos[index] = told.reset
            infos[index] = info

    def _observations(self, what: str, where: Any) -> Any:
        if isinstance(self.observation_space, gym.spaces.Dict):
            return {key: self._arrays[f"{what}/{key}"][where].copy() for key in self.observation_space.spaces}
        return self._arrays[f"{what}/"][where].copy()

    def close(self) -> None:
        """End the workers; a second call does nothing."""
        self._end()
        if "prototype" in self.__dict__:
            self.prototype.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of some envs."""
        return [self._ask(index, "get", attr_name) for index in self._get_indices(indices)]

    def has_attr(self, attr_name: str) -> bool:
        """Return whether all envs have an attribute."""
        return all(self._ask(index, "has", attr_name) for index in range(self.num_envs))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of some envs."""
        for index in self._get_indices(indices):
            self._ask(index, "set", (attr_name, value))

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> Any:
        """Call a method of some envs; return what each returns."""
        call = (method_name, method_args, method_kwargs)
        return [self._ask(index, "call", call) for index in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> Any:
        """Return of some envs whether there is such a wrapper."""
        return [self._ask(index, "wrapped", wrapper_class) for index in self._get_indices(indices)]

    def get_images(self) -> list[Array | None]:
        """Return a picture of every env."""
        return self._ask_all("render", [None] * self.num_envs)

    def _ask(self, index: int, request: str, arguments: Any) -> Any:
        worker = next(worker for worker in self._workers if index in worker.indices)
        self._not_while_waiting(request)
        worker.send_bytes(_pickled((index, request, arguments)))
        return _expect(worker.receive(self._timeout, f"answer ({request})"))

    def _ask_all(self, request: str, arguments: Sequence[Any]) -> list[Any]:
        # One env of every worker at a time: they work side by side, and no pipe fills up.
        self._not_while_waiting(request)
        answers: list[Any] = [None] * self.num_envs
        for offset in range(max(len(worker.indices) for worker in self._workers)):
            busy = [worker for worker in self._workers if offset < len(worker.indices)]
            for worker in busy:
                index = worker.indices[offset]
                worker.send_bytes(_pickled((index, request, arguments[index])))
            for worker in busy:
                answer = _expect(worker.receive(self._timeout, f"answer ({request})"))
                answers[worker.indices[offset]] = answer
        return answers

    def _not_while_waiting(self, request: str) -> None:
        if self._waiting:
            raise RuntimeError(f"{request}: a step is under way; call step_wait() first")

    def _restart(self, worker: Worker) -> None:
        self.restarts += 1
        worker.end()
        worker.start()
        _expect(worker.receive(START_TIMEOUT, "make its envs"))
        for index in worker.indices:
            self._readers[index] = InfoReader()
            self.reset_infos[index] = self._ask(index, "reset", (self._given[index], {}))


class Worker(Protocol):
    """Where some of the envs step: a process, of this machine or of another."""

    indices: range
    """Of its envs."""

    def start(self) -> None:
        """Start it; it says so when it is ready."""

    def send_bytes(self, message: bytes, /) -> None:
        """Send a message; that the worker is gone is noticed when it does not answer."""

    def receive(self, seconds: float, task: str) -> Any:
        """Return the answer to the first message that has none yet, with the arrays as they are then.

        Args:
            seconds: How long it may take.
            task: What the worker was asked to do, for a message.

        Raises:
            Sim2RealError: There is none.
        """

    def let_go(self) -> None:
        """Let it close its envs and end."""

    def end(self, seconds: float = 0.0) -> None:
        """End it: it gets so many seconds to close its envs."""


class _Process:
    """A worker process.

    Args:
        indices: Of its envs.
        factories: Of its envs, pickled.
        arrays: Shared with it.
    """

    def __init__(self, indices: range, factories: bytes, arrays: SharedArrays) -> None:
        self.indices = indices
        """Of its envs."""
        self._arrays, self._factories = arrays, factories
        self.start()

    def start(self) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        arguments = (theirs, self._arrays, self.indices[0], self._factories)
        self._process: BaseProcess = _CONTEXT.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def send_bytes(self, message: bytes) -> None:
        with suppress(OSError):
            self._pipe.send_bytes(message)

    def receive(self, seconds: float, task: str) -> Any:
        try:
            if not self._pipe.poll(seconds):
                raise Sim2RealError(f"{self} has not answered for {seconds:g} s; it was to {task}.")
            message = self._pipe.recv_bytes()
        except (EOFError, OSError):
            self._process.join(END_TIMEOUT)
            raise Sim2RealError(f"{self} has died ({_death(self._process.exitcode)}); it was to {task}.") from None
        return read_answer(message)

    def let_go(self) -> None:
        with suppress(OSError):
            self._pipe.close()

    def end(self, seconds: float = 0.0) -> None:
        self.let_go()
        self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __str__(self) -> str:
        return f"the worker process of {name_envs(self.indices)}"


def read_answer(message: bytes) -> Any:
    """Return what a worker has answered."""
    return {} if message == NOTHING else cloudpickle.loads(message)


def name_envs(indices: range) -> str:
    """Return which envs these are, for a message."""
    first, last = indices[0], indices[-1]
    return f"env {first}" if first == last else f"envs {first} to {last}"


def _expect(answer: Any) -> Any:
    if isinstance(answer, Failure):
        error = Sim2RealError(f"env {answer.index} failed {answer.when}: {answer.what}")
        error.add_note(f"in a worker process:\n{answer.trace}")
        raise error
    return answer


def _row(observations: Any, index: int) -> Any:
    if isinstance(observations, dict):
        return {key: part[index].copy() for key, part in observations.items()}
    return observations[index].copy()


def _end_all(workers: Sequence[Worker]) -> None:
    deadline = time.monotonic() + END_TIMEOUT
    for worker in workers:
        worker.let_go()
    for worker in workers:
        worker.end(max(0.0, deadline - time.monotonic()))


def _death(code: int | None) -> str:
    if code is None:
        return "for an unknown reason"
    return f"killed by signal {-code}; was there too little memory?" if code < 0 else f"with exit code {code}"


def _pickled_factories(factories: Sequence[Callable[[], Env]]) -> bytes:
    try:
        return cloudpickle.dumps(list(factories))  # type: ignore[no-any-return]
    except Exception as error:  # objects may raise anything when they are pickled
        raise Sim2RealError(
            f"an env factory cannot be pickled for a worker process: {error}; give a function with plain arguments."
        ) from error


def check_workers(workers: int) -> None:
    """Refuse a number of workers that cannot be.

    Raises:
        Sim2RealError: It is no whole number of at least 1.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise Sim2RealError(f"workers = {workers!r} must be a whole number of at least 1.")


def _check_space(space: gym.Space[Any]) -> None:
    parts = list(space.spaces.values()) if isinstance(space, gym.spaces.Dict) else [space]
    for part in parts:
        if not isinstance(
            part, (gym.spaces.Box, gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)
        ):
            raise Sim2RealError(f"space {part} has no fixed size in memory; use the envs in one process (workers = 0).")


def _specs(envs: int, observation: gym.Space[Any], action: gym.Space[Any]) -> dict[str, Spec]:
    def parts(space: gym.Space[Any]) -> Iterable[tuple[str, Spec]]:
        named = space.spaces if isinstance(space, gym.spaces.Dict) else {"": space}
        for key, part in named.items():
            assert part.shape is not None
            yield key, ((envs, *part.shape), np.dtype(part.dtype))

    specs = {f"{what}/{key}": spec for what in ("observation", "terminal") for key, spec in parts(observation)}
    specs["action"] = next(iter(parts(action)))[1]
    return specs | {
        "reward": ((envs,), np.dtype(np.float32)),
        "done": ((envs,), np.dtype(np.bool_)),
        "info": ((envs, WIDTH), np.dtype(np.float64)),
    }


def _pickled(message: Any) -> bytes:
    return cloudpickle.dumps(message, pickle.HIGHEST_PROTOCOL)  # type: ignore[no-any-return]
