"""Pick and place: bring a cube to a place on the table or above it, with the fingers."""

from __future__ import annotations

from sim2real_envs.arm.domain import PICK_AND_PLACE_DOMAIN
from sim2real_envs.arm.tasks.push import CubeTask
from sim2real_envs.arm.tasks.task import Array


class PickAndPlace(CubeTask):
    """Grasp a cube and bring it to a place on the table or above it; half of the goals are in the air."""

    domain_space = PICK_AND_PLACE_DOMAIN
    hand = "gripper"
    highest_goal = 0.2

    def aim(self, achieved: Array, desired: Array) -> Array:  # noqa: ARG002
        """Return where the cube is, shape (..., 3) [m]: that is where the fingers have to be."""
        return achieved
