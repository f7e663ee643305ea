"""Reach: bring the end effector to a point in space and keep it there."""

from __future__ import annotations

import numpy as np

from sim2real_envs.arm.domain import ARM_DOMAIN
from sim2real_envs.arm.robot import RobotModel
from sim2real_envs.arm.tasks.task import Array, Task, check_lengths


class Reach(Task):
    """Goals uniform in a cube; the reward is what it costs to be away from the goal and to jerk.

    Args:
        centre: Centre of the cube [m].
        size: Edge of the cube [m].
        success_distance: The task is solved while the end effector is at most this far from the goal [m].

    Raises:
        Sim2RealError: A length is not positive.
    """

    domain_space = ARM_DOMAIN

    def __init__(
        self, *, centre: tuple[float, float, float], size: float = 0.3, success_distance: float = 0.025
    ) -> None:
        check_lengths(size=size)
        super().__init__(success_distance=success_distance)
        self.low = np.subtract(centre, size / 2)
        self.high = np.add(centre, size / 2)

    @classmethod
    def for_robot(cls, model: RobotModel, *, success_distance: float) -> Reach:
        """Return the task in the workspace of a robot."""
        return cls(centre=model.workspace, size=model.workspace_size, success_distance=success_distance)

    def reset(self, rng: np.random.Generator) -> Array:
        """Draw a goal, shape (3,) [m]."""
        return rng.uniform(self.low, self.high)
