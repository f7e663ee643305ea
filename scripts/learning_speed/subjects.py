"""What is measured on both sides; needs neither our packages nor the peers', only Stable-Baselines3."""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import numpy as np

BATCH = 256
"""Transitions of an update."""
OBSERVATION, ACTION = 17, 3
"""Widths of PandaPush's spaces."""
_BUFFER = 20_000


class Still(gym.Env[Any, Any]):
    """Spaces like PandaPush's, and nothing happens: for learners that are only updated."""

    observation_space = gym.spaces.Box(-4.0, 4.0, (OBSERVATION,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (ACTION,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Return zeros."""
        super().reset(seed=seed, options=options)
        return np.zeros(OBSERVATION, np.float32), {}

    def step(self, _: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Return zeros."""
        return np.zeros(OBSERVATION, np.float32), 0.0, False, False, {}


def make_updated(algorithm: Any, width: int, **arguments: Any) -> Any:
    """Return a learner with two hidden layers in each network and a full replay buffer.

    Args:
        algorithm: An off-policy algorithm of Stable-Baselines3, or one like them.
        width: Of the hidden layers.
        arguments: More of the algorithm's.
    """
    from stable_baselines3.common.logger import Logger

    settings = {"batch_size": BATCH, "buffer_size": _BUFFER, "policy_kwargs": {"net_arch": [width, width]}, "seed": 0}
    learner = algorithm("MlpPolicy", Still(), **settings, **arguments)
    learner.set_logger(Logger(None, []))
    rng, buffer = np.random.default_rng(0), learner.replay_buffer
    for part in (buffer.observations, buffer.next_observations, buffer.actions, buffer.rewards):
        part[:] = rng.uniform(-1.0, 1.0, part.shape)
    buffer.full = True
    return learner


def seconds_an_update(learner: Any, calls: int, steps: int) -> float:
    """Return how long a gradient step takes [s], in so many calls of so many steps each."""
    start = time.perf_counter()
    for _ in range(calls):
        learner.train(gradient_steps=steps, batch_size=BATCH)
    return (time.perf_counter() - start) / (calls * steps)


def seconds_a_step(vec_env: Any, count: int, seed: int) -> float:
    """Return how long a step of one env takes [s], in ``count`` steps of all of them under random actions."""
    rng, space = np.random.default_rng(seed), vec_env.action_space
    actions = rng.uniform(-1.0, 1.0, (count, vec_env.num_envs, *space.shape)).astype(space.dtype)
    start = time.perf_counter()
    for action in actions:
        vec_env.step(action)
    return (time.perf_counter() - start) / (count * vec_env.num_envs)


def seconds_a_frame(learner: Any, steps: int) -> float:
    """Return how long a training takes for one of its env steps [s]."""
    before = learner.num_timesteps
    start = time.perf_counter()
    learner.learn(steps, reset_num_timesteps=before == 0)
    return (time.perf_counter() - start) / (learner.num_timesteps - before)
