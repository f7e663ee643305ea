"""Gymnasium's Pendulum-v1 with a choice of torques in place of a number, a target of the study of other shapes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray


class PendulumChoices(gym.ActionWrapper[Any, Any, Any]):
    """A choice is a torque, spread evenly from the strongest to the left to the strongest to the right.

    Args:
        choices: How many.
    """

    def __init__(self, choices: int = 7) -> None:
        super().__init__(gym.make("Pendulum-v1"))
        self.action_space = gym.spaces.Discrete(choices)
        self._torques = np.linspace(-2.0, 2.0, choices, dtype=np.float32)

    def action(self, action: Any) -> NDArray[np.float32]:
        """Return the torque of a choice, shape (1,) [N m]."""
        return self._torques[[int(action)]]


gym.register("study/PendulumChoices-v0", entry_point=PendulumChoices, max_episode_steps=200)
