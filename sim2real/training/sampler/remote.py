"""What the vectorized envs whose envs step elsewhere share: groups of envs, each reached in a way of its own."""

from __future__ import annotations

import pickle
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import cloudpickle
import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices

from sim2real.domains.contract import Env
from sim2real.errors import Sim2RealError, unknown_name
from sim2real.training.sampler.arrays import Arrays, Spec
from sim2real.training.sampler.group import Failure, StepNews
from sim2real.training.sampler.infos import WIDTH, InfoReader

Array = NDArray[Any]

_START_TIMEOUT = 120.0
"""In which a group has to have made its envs [s]."""
_END_TIMEOUT = 5.0
"""In which a group has to have closed them [s]."""


class RemoteGroup(ABC):
    """A group of envs of another process, as it is reached from here: it gets one request at a time, and answers.

    Args:
        indices: Of its envs.
    """

    def __init__(self, indices: range) -> None:
        self.indices = indices
        """Of its envs."""

    @abstractmethod
    def start(self) -> None:
        """Start the process and let it make its envs."""

    @abstractmethod
    def step(self) -> None:
        """Let the envs take the actions that are in the arrays."""

    @abstractmethod
    def ask(self, index: int, request: str, arguments: bytes) -> None:
        """Let one env do something, see :meth:`~sim2real.training.sampler.group.Group.answer`."""

    @abstractmethod
    def receive(self, seconds: float, task: str) -> Any:
        """Return the answer; the arrays then show what has happened.

        Args:
            seconds: How long it may take.
            task: What the process was asked to do, for a message.

        Raises:
            Sim2RealError: There is none.
        """

    @abstractmethod
    def dismiss(self) -> None:
        """Let it close its envs, without waiting for it."""

    @abstractmethod
    def end(self, seconds: float) -> None:
        """End the process, in so many seconds at most if it has not ended by itself."""

    def __str__(self) -> str:
        first, last = self.indices[0], self.indices[-1]
        return f"of env {first}" if first == last else f"of envs {first} to {last}"


class RemoteVecEnv(VecEnv, ABC):
    """Envs that step in groups elsewhere, and give what they give in Stable-Baselines3's ``DummyVecEnv``.

    Args:
        factories: One for each env, picklable.
        workers: How many groups; as many as there is room for if ``None``, and never more than envs.
        timeout: How long a group may take for a step, a reset or an answer [s].
        on_failure: ``"raise"`` or ``"restart"``.

    Raises:
        Sim2RealError: An argument is out of range, a factory cannot be pickled or raises, or there is no room.
    """

    def __init__(
        self,
        factories: Sequence[Callable[[], Env]],
        *,
        workers: int | None,
        timeout: float,
        on_failure: Literal["raise", "restart"],
    ) -> None:
        if not factories:
            raise Sim2RealError("factories is empty; give one for each env.")
        if on_failure not in ("raise", "restart"):
            raise unknown_name("on_failure", on_failure, ("raise", "restart"))
        if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
            raise Sim2RealError(f"workers = {workers!r} must be a whole number of at least 1.")
        self._factories, self._timeout, self._on_failure = list(factories), timeout, on_failure
        self.meanwhile: Callable[[], None] | None = None
        """Called while the envs make a step; it must not ask them anything."""
        self.restarts = 0
        """How often a group has been restarted."""
        self._groups: list[RemoteGroup] = []
        self._waiting = False
        self._exit = ExitStack()
        # Also runs when the object is forgotten, or the interpreter ends; a second call does nothing.
        self._end = weakref.finalize(self, self._exit.close)
        try:
            prototype = self.prototype
            for space in (prototype.observation_space, prototype.action_space):
                _check_space(space)
            self._enter()
            self._arrays = self._make_arrays(
                _specs(len(factories), prototype.observation_space, prototype.action_space)
            )
            count = min(self._count_groups(workers), len(factories))
            bounds = [len(factories) * number // count for number in range(count + 1)]
            self._exit.callback(_end_all, self._groups)
            for first, end in pairwise(bounds):
                group = self._make_group(range(first, end), _pickled_factories(self._factories[first:end]))
                self._groups.append(group)
                group.start()
            for group in self._groups:
                _expect(group.receive(_START_TIMEOUT, "make its envs"))
            self._given: list[int | None] = [None] * len(factories)
            self._readers = [InfoReader() for _ in factories]
            super().__init__(len(factories), prototype.observation_space, prototype.action_space)
        except BaseException:
            self.close()
            raise

    def _enter(self) -> None:
        """Go where the groups will be; what undoes it is left with ``self._exit``."""

    def _make_arrays(self, specs: Mapping[str, Spec]) -> Arrays:
        """Make the arrays in which the envs show what happens, a row for each."""
        return Arrays(specs)

    @abstractmethod
    def _count_groups(self, workers: int | None) -> int:
        """Return how many groups there is room for, if the number that was asked for is ``None``, or that number.

        Raises:
            Sim2RealError: There is no room for so many.
        """

    @abstractmethod
    def _make_group(self, indices: range, factories: bytes) -> RemoteGroup:
        """Make a group, without starting it.

        Args:
            indices: Of its envs.
            factories: Of its envs, pickled.
        """

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
        for group in self._groups:
            group.step()
        self._waiting = True

    def step_wait(self) -> tuple[Any, Array, Array, list[dict[str, Any]]]:
        """Wait until all have made the step."""
        if self.meanwhile is not None:
            self.meanwhile()
        self._waiting = False
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        restarted: dict[int, str] = {}
        for group in self._groups:
            try:
                answer = group.receive(self._timeout, "make a step")
                news: dict[int, StepNews] = _expect(answer)
            except Sim2RealError as error:
                if self._on_failure == "raise":
                    self.close()
                    raise
                restarted |= dict.fromkeys(group.indices, str(error))
                self._restart(group)
                continue
            self._read_infos(group.indices, news, infos)
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
        """End the groups; a second call does nothing."""
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
        group = next(group for group in self._groups if index in group.indices)
        self._not_while_waiting(request)
        group.ask(index, request, _pickled(arguments))
        return _expect(group.receive(self._timeout, f"answer ({request})"))

    def _ask_all(self, request: str, arguments: Sequence[Any]) -> list[Any]:
        # One env of every group at a time: they work side by side, and no pipe fills up.
        self._not_while_waiting(request)
        answers: list[Any] = [None] * self.num_envs
        for offset in range(max(len(group.indices) for group in self._groups)):
            busy = [group for group in self._groups if offset < len(group.indices)]
            for group in busy:
                index = group.indices[offset]
                group.ask(index, request, _pickled(arguments[index]))
            # All of them before one is looked at: what is left unread would answer the next request.
            told = [group.receive(self._timeout, f"answer ({request})") for group in busy]
            for group, answer in zip(busy, told, strict=True):
                answers[group.indices[offset]] = _expect(answer)
        return answers

    def _not_while_waiting(self, request: str) -> None:
        if self._waiting:
            raise RuntimeError(f"{request}: a step is under way; call step_wait() first")

    def _restart(self, group: RemoteGroup) -> None:
        self.restarts += 1
        group.end(0.0)
        group.start()
        _expect(group.receive(_START_TIMEOUT, "make its envs"))
        for index in group.indices:
            self._readers[index] = InfoReader()
            self.reset_infos[index] = self._ask(index, "reset", (self._given[index], {}))


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


def _end_all(groups: Sequence[RemoteGroup]) -> None:
    deadline = time.monotonic() + _END_TIMEOUT
    for group in groups:
        group.dismiss()
    for group in groups:
        group.end(max(0.0, deadline - time.monotonic()))


def _pickled_factories(factories: Sequence[Callable[[], Env]]) -> bytes:
    try:
        return cloudpickle.dumps(list(factories))  # type: ignore[no-any-return]
    except Exception as error:  # objects may raise anything when they are pickled
        raise Sim2RealError(
            f"an env factory cannot be pickled for a worker process: {error}; give a function with plain arguments."
        ) from error


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
