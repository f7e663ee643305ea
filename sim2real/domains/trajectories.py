"""Trajectories as digests: whether two runs of an env are bitwise equal, and from which step on they are not."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from sim2real.domains.contract import Env, set_domain

Trajectory = list[bytes]
"""One digest for every reset and step: of the observation, the reward and the flags."""

Moment = tuple[Any, ...]
"""``(observation,)`` of a reset, or ``(observation, reward, terminated, truncated)`` of a step."""


def action_sequences(space: gym.Space[Any], seed: int, steps: int) -> dict[str, list[Any]]:
    """Return named sequences of actions, first ``"random"``, then constants at the ends of the space.

    Args:
        space: Action space; a copy of it draws, so that its own stream stays as it is.
        seed: Seed of the draws.
        steps: Length of each sequence [control steps].
    """
    space = copy.deepcopy(space)
    space.seed(seed)
    sequences = {"random": [space.sample() for _ in range(steps)]}
    constants: dict[str, Any]
    if isinstance(space, gym.spaces.Box):
        # Where a bound is missing, 1 stands for it.
        low = np.where(np.isfinite(space.low), space.low, -1).astype(space.dtype)
        high = np.where(np.isfinite(space.high), space.high, 1).astype(space.dtype)
        constants = {"lowest": low, "highest": high, "zero": np.clip(np.zeros_like(low), space.low, space.high)}
    elif isinstance(space, gym.spaces.Discrete):
        constants = {"first": space.start, "last": space.start + space.n - 1}
    else:
        constants = {"held": space.sample(), "another held": space.sample()}
    return sequences | {f"constant {name}": [action] * steps for name, action in constants.items()}


def moments(
    env: Env,
    domain: Mapping[str, float],
    actions: list[Any],
    seed: int,
    *,
    meanwhile: Mapping[str, float] | None = None,
) -> Iterator[Moment]:
    """Set a domain, reset with the seed and play the actions, over as many episodes as they last.

    An env may reuse its arrays: what is yielded holds until the next one.

    Args:
        env: Env under the contract, or one without domain parameters.
        domain: Domain of the episodes; missing parameters are nominal.
        actions: One a control step.
        seed: Seed of the first reset; the later ones go on with its stream.
        meanwhile: Domain that is set after the first reset; all then ends with the first episode.
    """
    set_domain(env, domain)
    yield (env.reset(seed=seed)[0],)
    if meanwhile is not None:
        set_domain(env, meanwhile)
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(copy.deepcopy(action))
        yield observation, float(reward), bool(terminated), bool(truncated)
        if terminated or truncated:
            if meanwhile is not None:
                break
            yield (env.reset()[0],)


def play(
    env: Env,
    domain: Mapping[str, float],
    actions: list[Any],
    seed: int,
    *,
    meanwhile: Mapping[str, float] | None = None,
) -> Trajectory:
    """Return the digests of :func:`moments`."""
    return [digest(moment) for moment in moments(env, domain, actions, seed, meanwhile=meanwhile)]


@dataclass(frozen=True)
class Course:
    """A trajectory and the numbers that were observed along it."""

    digests: Trajectory
    resets: list[bool]
    """Whether the moment is a reset."""
    observed: list[npt.NDArray[np.float64]]
    """All numbers of the observation, one after the other."""

    @classmethod
    def of(cls, env: Env, domain: Mapping[str, float], actions: list[Any], seed: int) -> Course:
        """Play and record; the arguments are those of :func:`moments`."""
        course = cls([], [], [])
        for moment in moments(env, domain, actions, seed):
            course.digests.append(digest(moment))
            course.resets.append(len(moment) == 1)
            course.observed.append(_numbers(moment[0]))
        return course

    def distance(self, other: Course) -> tuple[float, float] | None:
        """Return how far another course leads away, while both have had the same number of resets.

        Returns:
            The largest difference of an observed number, as a fraction of the range of that number along this course
            (0 where no number with a range differs), and in the number's own unit; ``None`` for observations whose
            length varies.
        """
        pairs = enumerate(zip(self.resets, other.resets, strict=False))
        common = next((i for i, (a, b) in pairs if a != b), min(len(self.resets), len(other.resets)))
        if len({numbers.size for numbers in (*self.observed, *other.observed)}) != 1:
            return None
        one, two = np.stack(self.observed), np.stack(other.observed[:common])
        apart = np.abs(two - one[:common]).max(axis=0)
        spread = np.ptp(one, axis=0)
        moving = spread > 0.0
        return float(np.max(apart[moving] / spread[moving], initial=0.0)), float(np.max(apart, initial=0.0))


def first_difference(one: Trajectory, other: Trajectory) -> int | None:
    """Return the index of the first digest that differs, or ``None`` if the shorter one is a start of the longer."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)


def _numbers(observation: Any) -> npt.NDArray[np.float64]:
    if isinstance(observation, Mapping):
        observation = [observation[key] for key in sorted(observation, key=str)]
    if isinstance(observation, (tuple, list)):
        return np.concatenate([np.empty(0), *map(_numbers, observation)])
    array = np.asarray(observation)
    return array.astype(np.float64).ravel() if array.dtype.kind in "biuf" else np.empty(0)


def digest(value: Any) -> bytes:
    """Return 16 bytes that stand for numbers in arrays, tuples and dicts, with their types and shapes."""
    state = hashlib.blake2b(digest_size=16)

    def add(part: Any) -> None:
        if isinstance(part, Mapping):
            for key in sorted(part, key=str):
                state.update(str(key).encode())
                add(part[key])
        elif isinstance(part, (tuple, list)):
            for item in part:
                add(item)
        else:
            array = np.asarray(part)
            state.update(f"{array.dtype}{array.shape}".encode())
            state.update(repr(part).encode() if array.dtype == object else array.tobytes())

    add(value)
    return state.digest()
