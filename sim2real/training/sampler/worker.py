"""What runs in a worker process: some envs, which step and reset when they are told to."""

from __future__ import annotations

import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from sim2real.domains.contract import Env
from sim2real.errors import Sim2RealError
from sim2real.processes import end_with_parent
from sim2real.training.sampler.arrays import SharedArrays
from sim2real.training.sampler.infos import InfoWriter, News

STEP = b"step"
"""The message that asks for a step; all others are pickled: index of an env, request, arguments."""
NOTHING = b""
"""The answer to it where the shared memory says everything."""


class Pipe(Protocol):
    """Where answers go."""

    def send_bytes(self, message: bytes, /) -> None:
        """Send one."""


class Arrays(Protocol):
    """What the envs show, by name, one row for each env."""

    def __getitem__(self, name: str, /) -> NDArray[Any]:
        """Return an array that can be written to."""


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
    """What a step of one env has to say beside the shared memory."""

    info: News | None
    """Of the step."""
    reset: dict[str, Any] | None
    """The info of the reset, if the episode has ended."""


class Lane:
    """One env of a worker, which begins a new episode as soon as one ends.

    Args:
        index: Which of all envs it is.
        env: The env.
        arrays: Where it shows what happens.
    """

    def __init__(self, index: int, env: Env, arrays: Arrays) -> None:
        self.index, self.env = index, env
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
        """Take the action that is in the shared memory."""
        self._step += 1
        arrays, index = self._arrays, self.index
        observation, reward, terminated, truncated, info = self.env.step(arrays["action"][index].copy())
        done = bool(terminated or truncated)
        arrays["reward"][index], arrays["done"][index] = reward, done
        info["TimeLimit.truncated"] = bool(truncated and not terminated)
        news = self._writer.write(info, arrays["info"][index])
        begun = None
        if done:
            self._show("terminal", observation)
            begun = self._begin(None, {})
        else:
            self._show("observation", observation)
        return StepNews(news, begun) if news is not None or begun is not None else None

    def _show(self, what: str, observation: Any) -> None:
        for key, part in observation.items() if isinstance(observation, dict) else (("", observation),):
            self._arrays[f"{what}/{key}"][self.index] = part

    def situation(self) -> str:
        """Return where in its episodes it is, for a message."""
        seed = "" if self._seed is None else f" since seed {self._seed}"
        domain = (
            "" if not self._domain else f" (domain: {', '.join(f'{k}={_short(v)}' for k, v in self._domain.items())})"
        )
        return f"at step {self._step} of episode {self._episode}{seed}{domain}"


def serve(pipe: Connection, arrays: SharedArrays, first: int, factories: bytes) -> None:
    """Serve until the other end of the pipe is closed.

    Args:
        pipe: To the process that is served.
        arrays: Shared with it.
        first: Index of the first env.
        factories: Pickled callables, each of which makes an env.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the parent ends this one
    threading.Thread(target=end_with_parent, daemon=True).start()
    lanes: list[Lane] = []
    try:
        if not make_lanes(pipe, lanes, arrays, first, factories):
            return
        with suppress(EOFError, OSError):  # the parent is gone, or has closed the pipe
            while True:
                message = pipe.recv_bytes()
                if message == STEP:
                    step_all(pipe, lanes)
                else:
                    answer(pipe, lanes, *pickle.loads(message))
    finally:
        close_all(lanes)


def make_lanes(pipe: Pipe, lanes: list[Lane], arrays: Arrays, first: int, factories: bytes) -> bool:
    """Make the envs of a worker and say so, or which of them could not be made; return whether all could."""
    made: Sequence[Callable[[], Env]] = cloudpickle.loads(factories)
    for offset, factory in enumerate(made):
        try:
            lanes.append(Lane(first + offset, factory(), arrays))
        except Exception as error:
            _send(pipe, _failure(first + offset, error, "when it was made"))
            return False
    _send(pipe, None)
    return True


def close_all(lanes: Sequence[Lane]) -> None:
    """Close the envs, whatever they raise."""
    for lane in lanes:
        with suppress(Exception):
            lane.env.close()


def step_all(pipe: Pipe, lanes: Sequence[Lane]) -> None:
    """Let every env take its action, and say what the arrays do not."""
    news: dict[int, StepNews] = {}
    for lane in lanes:
        try:
            found = lane.step()
        except Exception as error:
            _send(pipe, _failure(lane.index, error, lane.situation()))
            return
        if found is not None:
            news[lane.index] = found
    if news:
        _send(pipe, news)
    else:
        pipe.send_bytes(NOTHING)


def answer(pipe: Pipe, lanes: Sequence[Lane], index: int, request: str, arguments: Any) -> None:
    """Do for one env what it is asked for, and say what comes of it."""
    lane = lanes[index - lanes[0].index]
    try:
        found: Any
        if request == "reset":
            found = lane.reset(*arguments)
        elif request == "get":
            found = lane.env.get_wrapper_attr(arguments)
        elif request == "has":
            found = lane.env.has_wrapper_attr(arguments)
        elif request == "set":
            found = lane.env.set_wrapper_attr(*arguments)
        elif request == "wrapped":
            found = _is_wrapped(lane.env, arguments)
        elif request == "render":
            found = lane.env.render()
        else:  # a method
            name, args, kwargs = arguments
            found = lane.env.get_wrapper_attr(name)(*args, **kwargs)
        _send(pipe, found)
    except Exception as error:
        _send(pipe, _failure(lane.index, error, lane.situation()))


def _is_wrapped(env: Any, wrapper: type[Any]) -> bool:
    while hasattr(env, "env"):
        if isinstance(env, wrapper):
            return True
        env = env.env
    return False


def _send(pipe: Pipe, answer: Any) -> None:
    pipe.send_bytes(cloudpickle.dumps(answer, pickle.HIGHEST_PROTOCOL))


def _failure(index: int, error: Exception, when: str) -> Failure:
    notes = getattr(error, "__notes__", [])
    what = str(error) if isinstance(error, Sim2RealError) else f"{type(error).__name__}: {error}"
    return Failure(index, " ".join([what, *notes]), traceback.format_exc(), when)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float, np.number)) else str(value)
