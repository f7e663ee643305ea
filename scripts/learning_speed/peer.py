"""Measures the peers in an environment of their own: one line of JSON in, one line out.

Started by :mod:`learning_speed.peers` with the Python of that environment. In goes what to do, a function of this file,
and its arguments; out comes a number of seconds.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from subjects import make_updated, seconds_a_frame, seconds_a_step, seconds_an_update


@cache
def _sbx(width: int) -> Any:
    from sbx import SAC

    return make_updated(SAC, width)


def sbx(width: int, calls: int, steps: int) -> float:
    """Return how long an update of SBX's SAC takes [s]."""
    return seconds_an_update(_sbx(width), calls, steps)


def _factories(env: str, count: int) -> list[Callable[[], Any]]:
    import gymnasium as gym
    import panda_gym  # noqa: F401 (registers its envs)

    # panda-gym does not pass the checker of today's Gymnasium.
    return [lambda: gym.make(env, disable_env_checker=True)] * count


@cache
def _vec_env(env: str, count: int, kind: str) -> Any:
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

    if kind == "dummy":
        envs: Any = DummyVecEnv(_factories(env, count))
    else:
        envs = SubprocVecEnv(_factories(env, count), start_method="fork")
    envs.reset()
    return envs


def collect(env: str, count: int, kind: str, steps: int, seed: int) -> float:
    """Return how long a step of one of several envs of panda-gym takes [s]."""
    return seconds_a_step(_vec_env(env, count, kind), steps, seed)


@cache
def _ppo(env: str, count: int, rollout: int) -> Any:
    import torch
    from stable_baselines3 import PPO

    torch.set_num_threads(1)
    return PPO("MultiInputPolicy", _vec_env(env, count, "dummy"), n_steps=rollout // count, device="cpu", seed=0)


def ppo(env: str, count: int, rollout: int, steps: int) -> float:
    """Return how long a training with SB3's PPO in panda-gym takes for an env step [s]."""
    return seconds_a_frame(_ppo(env, count, rollout), steps)


def main() -> None:
    # What the engines print from C goes elsewhere: the answers have standard output for themselves.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    tasks: dict[str, Callable[..., float]] = {task.__name__: task for task in (sbx, collect, ppo)}
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(tasks[request.pop("task")](**request)) + "\n")


if __name__ == "__main__":
    main()
