"""Our own worlds: their steps and the engine's part in them, their resets, and their memory."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import wraps
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import sim2real_envs  # noqa: F401 (registers the worlds)
from env_speed.timing import step_times
from sim2real.domains.contract import domain_space
from sim2real.domains.randomizers import Uniform
from sim2real.evaluation.rollouts import Predict
from sim2real_envs.bullet import pybullet

ALL = tuple(env_id for env_id in gym.registry if env_id.startswith("sim2real/"))
"""Ids of all our worlds."""

_STEPS_A_RESET = 5
_WARM_RESETS = 1000


def engine_times(env: gym.Env[Any, Any], count: int, seed: int, *functions: str) -> list[float]:
    """Return how long every step of :func:`step_times` spends in some functions of PyBullet [s].

    Args:
        env: The env; the same seed has to give the same motion.
        count: How many steps.
        seed: Of actions and episodes.
        functions: ``"stepSimulation"`` alone for the floor of a step.
    """
    with _clocked(functions) as durations:
        clocked = _PerStep(env, durations)
        step_times(clocked, count, seed)
    return clocked.times


def episode_times(env: gym.Env[Any, Any], predict: Predict, episodes: int, seed: int) -> list[float]:
    """Return how long a step of each of several episodes takes, with its share of the reset that begins it [s].

    Args:
        env: The env.
        predict: What acts; its time is not counted.
        episodes: How many.
        seed: Of the first one; the others follow from it.
    """
    times = []
    for episode in range(episodes):
        start = time.perf_counter()
        observation, _ = env.reset(seed=seed if episode == 0 else None)
        taken, steps, over = time.perf_counter() - start, 0, False
        while not over:
            (action,) = predict(observation[None])
            start = time.perf_counter()
            observation, _, terminated, truncated, _ = env.step(action)
            taken += time.perf_counter() - start
            steps, over = steps + 1, terminated or truncated
        times.append(taken / steps)
    return times


class _PerStep:
    """An env that adds up what was recorded during each step."""

    def __init__(self, env: gym.Env[Any, Any], durations: list[float]) -> None:
        self.action_space, self.reset = env.action_space, env.reset
        self._env, self._durations = env, durations
        self.times: list[float] = []

    def step(self, action: Any) -> Any:
        self._durations.clear()
        result = self._env.step(action)
        self.times.append(sum(self._durations))
        return result


@contextmanager
def _clocked(functions: tuple[str, ...]) -> Iterator[list[float]]:
    """Record how long every call of some functions of PyBullet takes [s], less what the clock itself takes."""
    durations: list[float] = []

    def timed(function: Callable[..., Any], cost: float) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **kwargs)
            durations.append(time.perf_counter() - start - cost)
            return result

        return call

    # Of a call that does next to nothing: as it is, and with the clock around it.
    idle = timed(pybullet.isConnected, 0.0)
    for _ in range(1000):
        idle(physicsClientId=0)
    with_clock, bare = statistics.median(durations), []
    for _ in range(100):
        start = time.perf_counter()
        for _ in range(10):
            pybullet.isConnected(physicsClientId=0)
        bare.append((time.perf_counter() - start) / 10.0)
    durations.clear()
    originals = {name: getattr(pybullet, name) for name in functions}
    try:
        for name, function in originals.items():
            setattr(pybullet, name, timed(function, with_clock - statistics.median(bare)))
        yield durations
    finally:
        for name, function in originals.items():
            setattr(pybullet, name, function)


def reset_times(env: gym.Env[Any, Any], count: int, seed: int) -> tuple[list[float], list[float], list[float]]:
    """Return how long resets into the same domain and into another one take, and the steps between them [s].

    Args:
        env: A world of ours.
        count: How many resets of each kind.
        seed: Of domains and actions.
    """
    rng, randomizer = np.random.default_rng(seed), Uniform(domain_space(env))
    same: list[float] = []
    other: list[float] = []
    steps = []
    domain: dict[str, float] = {}
    for index in range(2 * count):
        if index % 2:
            domain = randomizer.sample(rng)
        start = time.perf_counter()
        env.reset(options={"domain": domain})
        (other if index % 2 else same).append(time.perf_counter() - start)
        for _ in range(_STEPS_A_RESET):
            action = rng.uniform(-1.0, 1.0, env.action_space.shape).astype(np.float32)
            start = time.perf_counter()
            env.step(action)
            steps.append(time.perf_counter() - start)
    return same, other, steps


def memory_growth(env_id: str, kwargs: Mapping[str, Any], resets: int) -> float:
    """Return by how much a process of its own grows over resets, each into another domain [MB]."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # what others have freed would hide a leak
        return pool.submit(_growth, env_id, dict(kwargs), resets).result()


def _growth(env_id: str, kwargs: dict[str, Any], resets: int) -> float:
    env = gym.make(env_id, **kwargs)
    rng, randomizer = np.random.default_rng(0), Uniform(domain_space(env))
    before = 0.0
    for index in range(_WARM_RESETS + resets):
        if index == _WARM_RESETS:
            before = _resident()
        env.reset(options={"domain": randomizer.sample(rng)})
    return _resident() - before


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
