"""How long the steps of an env take; needs neither our packages nor the peers', and is used by both sides."""

from __future__ import annotations

import time
from typing import Any

import numpy as np


def step_times(env: Any, count: int, seed: int) -> list[float]:
    """Return how long each of ``count`` steps takes with uniform random actions in [-1, 1] [s].

    What happens depends on nothing but ``seed``. Resets between episodes are not counted.

    Args:
        env: A Gymnasium env.
        count: How many steps.
        seed: Of the actions and of the first episode.
    """
    space = env.action_space
    actions = np.random.default_rng(seed).uniform(-1.0, 1.0, (count, *space.shape)).astype(space.dtype)
    times = []
    env.reset(seed=seed)
    for index, action in enumerate(actions):
        start = time.perf_counter()
        _, _, terminated, truncated, _ = env.step(action)
        times.append(time.perf_counter() - start)
        if terminated or truncated:
            env.reset(seed=seed + index)
    return times
