"""Some envs of one process, which step and reset when they are told to; light, for workers that need no learner."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np

from sim2real.domains.contract import Env
from sim2real.errors import Sim2RealError
from sim2real.training.sampler.arrays import Arrays
from sim2real.training.sampler.infos import InfoWriter, News

NOTHING = b""
"""The answer to a step of which the arrays say everything; all others are pickled."""


@dataclass(frozen=True)
class Failure:
    """What an env has raised."""

    index: int
    """Which env."""
    what: str
    """Type and message, or the message alone of what a user can mend."""
    trace: str
    """The traceback."""
    when: str
    """Episode, step, seed and domain."""


@dataclass
class StepNews:
    """What a step of one env has to say beside the arrays."""

    info: News | None
    """Of the step."""
    reset: dict[str, Any] | None
    """The info of the reset, if the episode has ended."""


class Lane:
    """One env of a group, which begins a new episode as soon as one ends.

    Args:
        index: Which of all envs it is.
        env: The env.
        arrays: Where it shows what happens.
        row: Which of their rows is its own.
    """

    def __init__(self, index: int, env: Env, arrays: Arrays, row: int) -> None:
        self.index, self.env, self.row = index, env, row
        self._arrays, self._writer = arrays, InfoWriter()
        self._seed: int | None = None
        self._episode = self._step = 0
        self._domain: Any = None

    def reset(self, seed: int | None, options: dict[str, Any]) -> dict[str, Any]:
        """Begin an episode; return the info."""
        if seed is not None:
            self._seed, self._episode = seed, 0
        return self._begin(seed, options)

    def _begin(self, seed: int | None, options: dict[str, Any]) -> dict[str, Any]:
        self._episode, self._step, self._domain = self._episode + 1, 0, None
        observation, info = self.env.reset(seed=seed, **({"options": options} if options else {}))
        self._domain = info.get("domain")
        self._show("observation", observation)
        return info

    def step(self) -> StepNews | None:
        """Take the action that is in the arrays."""
        self._step += 1
        arrays, row = self._arrays, self.row
        observation, reward, terminated, truncated, info = self.env.step(arrays["action"][row].copy())
        done = bool(terminated or truncated)
        arrays["reward"][row], arrays["done"][row] = reward, done
        info["TimeLimit.truncated"] = bool(truncated and not terminated)
        news = self._writer.write(info, arrays["info"][row])
        begun = None
        if done:
            self._show("terminal", observation)
            begun = self._begin(None, {})
        else:
            self._show("observation", observation)
        return StepNews(news, begun) if news is not None or begun is not None else None

    def _show(self, what: str, observation: Any) -> None:
        for key, part in observation.items() if isinstance(observation, dict) else (("", observation),):
            self._arrays[f"{what}/{key}"][self.row] = part

    def situation(self) -> str:
        """Return where in its episodes it is, for a message."""
        seed = "" if self._seed is None else f" since seed {self._seed}"
        domain = (
            "" if not self._domain else f" (domain: {', '.join(f'{k}={_short(v)}' for k, v in self._domain.items())})"
        )
        return f"at step {self._step} of episode {self._episode}{seed}{domain}"


class Group:
    """Envs that step one after another; every answer is bytes, for :func:`read_answer`, whatever they raise.

    Args:
        first: Index of the first env.
        arrays: Where they show what happens.
        row: Of the first env in the arrays.
    """

    def __init__(self, first: int, arrays: Arrays, row: int) -> None:
        self._first, self._arrays, self._row = first, arrays, row
        self._lanes: list[Lane] = []

    def make(self, factories: bytes) -> bytes:
        """Make the envs.

        Args:
            factories: Pickled callables, each of which makes an env.
        """
        try:
            made: Sequence[Callable[[], Env]] = pickle.loads(factories)
            for factory in made:
                offset = len(self._lanes)
                self._lanes.append(Lane(self._first + offset, factory(), self._arrays, self._row + offset))
        except Exception as error:
            return _pickled(_failure(self._first + len(self._lanes), error, "when it was made"))
        return _pickled(None)

    def step(self) -> bytes:
        """Let each env take the action that is in the arrays; answer with their news, by index."""
        news: dict[int, StepNews] = {}
        for lane in self._lanes:
            try:
                found = lane.step()
            except Exception as error:
                return _pickled(_failure(lane.index, error, lane.situation()))
            if found is not None:
                news[lane.index] = found
        return _pickled(news) if news else NOTHING

    def answer(self, index: int, request: str, arguments: bytes) -> bytes:
        """Do something with one env; answer with what comes of it.

        Args:
            index: Which env.
            request: ``"reset"``, ``"get"``, ``"has"``, ``"set"``, ``"wrapped"``, ``"render"`` or ``"call"``.
            arguments: Pickled.
        """
        lane = self._lanes[index - self._first]
        try:
            return _pickled(_do(lane, request, pickle.loads(arguments)))
        except Exception as error:
            return _pickled(_failure(index, error, lane.situation()))

    def close(self) -> None:
        """Close the envs."""
        for lane in self._lanes:
            with suppress(Exception):
                lane.env.close()


def read_answer(message: bytes) -> Any:
    """Return what a group has answered; of a step, news by index."""
    return {} if message == NOTHING else pickle.loads(message)


def _do(lane: Lane, request: str, arguments: Any) -> Any:
    if request == "reset":
        return lane.reset(*arguments)
    if request == "get":
        return lane.env.get_wrapper_attr(arguments)
    if request == "has":
        return lane.env.has_wrapper_attr(arguments)
    if request == "set":
        return lane.env.set_wrapper_attr(*arguments)
    if request == "wrapped":
        return _is_wrapped(lane.env, arguments)
    if request == "render":
        return lane.env.render()
    name, args, kwargs = arguments
    return lane.env.get_wrapper_attr(name)(*args, **kwargs)


def _is_wrapped(env: Any, wrapper: type[Any]) -> bool:
    while hasattr(env, "env"):
        if isinstance(env, wrapper):
            return True
        env = env.env
    return False


def _pickled(answer: Any) -> bytes:
    return cloudpickle.dumps(answer, pickle.HIGHEST_PROTOCOL)  # type: ignore[no-any-return]


def _failure(index: int, error: Exception, when: str) -> Failure:
    notes = getattr(error, "__notes__", [])
    what = str(error) if isinstance(error, Sim2RealError) else f"{type(error).__name__}: {error}"
    return Failure(index, " ".join([what, *notes]), traceback.format_exc(), when)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float, np.number)) else str(value)
