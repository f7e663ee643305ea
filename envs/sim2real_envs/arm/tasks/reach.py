"""Reach: bring the end effector to a point in space and keep it there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError

Array = NDArray[Any]


class Reach:
    """Goals uniform in a cube; the reward is what it costs to be away from the goal and to jerk.

    Reward terms, each with its weight included:

    * ``distance``: ``-10 distance`` [1/m].
    * ``precision``: ``-tanh(distance / success_distance)``: makes the last centimetres count.
    * ``smoothness``: ``-0.5`` times the mean square change of the action: keeps the motion from jittering.

    Args:
        centre: Centre of the cube [m].
        size: Edge of the cube [m].
        success_distance: The task is solved while the end effector is at most this far from the goal [m].

    Raises:
        Sim2RealError: A length is not positive.
    """

    distance_weight = 10.0
    precision_weight = 1.0
    smoothness_weight = 0.5

    def __init__(
        self, *, centre: tuple[float, float, float], size: float = 0.3, success_distance: float = 0.025
    ) -> None:
        for name, value in (("size", size), ("success_distance", success_distance)):
            if not (np.isfinite(value) and value > 0.0):
                raise Sim2RealError(f"{name} = {value} must be a positive length in metres.")
        self.low = np.subtract(centre, size / 2)
        self.high = np.add(centre, size / 2)
        self.success_distance = success_distance

    def sample_goal(self, rng: np.random.Generator) -> Array:
        """Draw a goal, shape (3,) [m]."""
        return rng.uniform(self.low, self.high)

    def distance(self, achieved: Array, desired: Array) -> Array:
        """Return the distance of points, shape (..., 3) [m] each, as shape (...) [m]."""
        return np.asarray(np.linalg.norm(np.subtract(achieved, desired, dtype=np.float64), axis=-1))

    def goal_terms(self, distance: Array) -> dict[str, Array]:
        """Return the reward terms that depend on the goal, for distances of any shape [m]."""
        return {
            "distance": -self.distance_weight * distance,
            "precision": -self.precision_weight * np.tanh(distance / self.success_distance),
        }

    def motion_terms(self, action: Array, last_action: Array) -> dict[str, Array]:
        """Return the reward terms that do not depend on the goal."""
        return {"smoothness": -self.smoothness_weight * np.mean(np.square(action - last_action))}
