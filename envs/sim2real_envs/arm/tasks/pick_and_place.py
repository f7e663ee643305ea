"""Pick and place: bring a cube to a place on the table or above it, with the fingers."""

from __future__ import annotations

import math

from sim2real_envs.arm.domain import PICK_AND_PLACE_DOMAIN
from sim2real_envs.arm.tasks.push import CubeTask
from sim2real_envs.arm.tasks.task import Array

_NEAR = 0.03
"""Distance of cube and fingers from which closing them is rewarded [m]."""


class PickAndPlace(CubeTask):
    """Grasp a cube and bring it to a place on the table or above it; half of the goals are in the air.

    Its reward has one more term, ``grasp``: ``-grasp_weight * (1 - near * shut)``, where ``near`` falls from 1, the
    cube between the fingers, to 0 at 3 cm, and ``shut`` rises from 0, the fingers wide open, to 1, closed
    on the cube. It does not depend on the goal.
    """

    domain_space = PICK_AND_PLACE_DOMAIN
    hand = "gripper"
    highest_goal = 0.2
    grasp_weight = 1.0
    other_names = ("smoothness", "grasp")

    def aim(self, achieved: Array, desired: Array) -> Array:  # noqa: ARG002
        """Return where the cube is, shape (..., 3) [m]: that is where the fingers have to be."""
        return achieved

    def other_terms(self, action: list[float], last_action: list[float]) -> dict[str, float]:
        """Return the reward terms that do not depend on the goal."""
        near = 1.0 - math.dist(self.cube.position, self.state.position) / _NEAR
        shut = (self.widest_opening - self.state.opening) / (self.widest_opening - self.cube.size)
        grasp = max(0.0, near) * min(1.0, max(0.0, shut))
        return super().other_terms(action, last_action) | {"grasp": -self.grasp_weight * (1.0 - grasp)}
