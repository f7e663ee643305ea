"""What every task is: things in the world, a goal, what is observed of them, and a reward of named terms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.channels import Channel
from sim2real.domains.space import DomainSpace
from sim2real.errors import Sim2RealError
from sim2real_envs.arguments import is_number
from sim2real_envs.arm.plant import Hand, RobotState
from sim2real_envs.arm.props import Cube

Array = NDArray[Any]


class Task(ABC):
    """A task for an arm; it knows no robot, and only sees its state.

    The reward terms, each with its weight included:

    * ``distance``: ``-distance_weight * distance``.
    * ``precision``: ``-precision_weight * tanh(distance / success_distance)``: makes the last centimetres count.
    * ``approach``: ``-approach_weight * min(1, distance / success_distance)`` times the distance of the end effector
      from where it should be to move a thing; where there is a thing to be moved. Once that is where it shall be, the
      end effector need not be anywhere.
    * ``smoothness``: ``-smoothness_weight`` times the mean square change of the action: keeps the motion from
      jittering. It does not depend on the goal.

    Args:
        success_distance: The task is solved while what is moved is at most this far from the goal [m].

    Raises:
        Sim2RealError: ``success_distance`` is not positive.
    """

    domain_space: DomainSpace
    """Parameters of robot, world and task."""
    hand: Hand = "bare"
    """What of the robot's hand the task needs."""
    start: tuple[float, float, float] | None = None
    """Where the end effector is at the start of an episode [m]; ``None`` for the home pose."""
    floor: float | None = None
    """Height below which the end effector is not commanded to go, with end-effector control [m]."""
    with_cube = False
    """Whether there is a cube on a table."""
    cube: Cube | None = None
    """That cube, given by the env before the first episode."""
    widest_opening: float = 0.0
    """Distance of the fingers wide open [m], given likewise."""
    channels: tuple[Channel, ...] = ()
    """What :meth:`observe` returns."""
    other_names: tuple[str, ...] = ("smoothness",)
    """Names of the reward terms that do not depend on the goal."""
    max_displacement = 0.05
    """Farthest that the end effector is commanded to go in one control step [m]."""
    distance_weight = 10.0
    precision_weight = 1.0
    approach_weight = 10.0
    smoothness_weight = 0.5

    def __init__(self, *, success_distance: float) -> None:
        check_lengths(success_distance=success_distance)
        self.success_distance = success_distance
        self.goal_radius = success_distance
        """Of the ball that marks the goal in pictures [m]."""

    @abstractmethod
    def reset(self, rng: np.random.Generator) -> Array:
        """Place the things and return a goal, shape (3,) [m]; the robot is at its start already."""

    def measure(self, state: RobotState) -> None:
        """Take note of where the robot is, and read from the engine where the things are."""
        self.state = state
        if self.cube is not None:
            self.cube.measure()

    def achieved(self) -> Array:
        """Return what shall be at the goal, shape (3,) [m]."""
        return self.state.position

    def observe(self) -> list[Array]:
        """Return what is observed of the things, one array a channel."""
        return []

    def achieved_in(self, ee_position: Array, things: Array) -> Array:  # noqa: ARG002
        """Return what shall be at the goal in past observations, shape (..., 3) [m].

        Args:
            ee_position: The end effector, shape (..., 3) [m].
            things: What :meth:`observe` returned, in one row each, shape (..., width).
        """
        return ee_position

    def distance(self, achieved: Array, desired: Array) -> Array:
        """Return the distance of points, shape (..., 3) [m] each, as shape (...) [m]."""
        return length(np.subtract(achieved, desired, dtype=np.float64))

    def goal_terms(self, achieved: Array, desired: Array, ee_position: Array, distance: Array) -> dict[str, Array]:
        """Return the reward terms that depend on the goal, shape (...) each.

        Args:
            achieved: What shall be at the goal, shape (..., 3) [m].
            desired: The goal, shape (..., 3) [m].
            ee_position: The end effector, shape (..., 3) [m].
            distance: From what shall be at the goal to it, shape (...) [m].
        """
        terms = {
            "distance": -self.distance_weight * distance,
            "precision": -self.precision_weight * np.tanh(distance / self.success_distance),
        }
        aim = self.aim(achieved, desired)
        if aim is not None:
            away = np.minimum(1.0, distance / self.success_distance)
            terms["approach"] = -self.approach_weight * away * self.distance(ee_position, aim)
        return terms

    def aim(self, achieved: Array, desired: Array) -> Array | None:  # noqa: ARG002
        """Return where the end effector should be to move what shall be at the goal, shape (..., 3) [m]; or None."""
        return None

    def other_terms(self, action: list[float], last_action: list[float]) -> dict[str, float]:
        """Return the reward terms that do not depend on the goal, by the names in :attr:`other_names`."""
        change = sum([(new - old) ** 2 for new, old in zip(action, last_action, strict=True)])
        return {"smoothness": -self.smoothness_weight * change / len(action)}


def length(vectors: Array) -> Array:
    """Return the length of vectors, shape (..., 3), as shape (...): ``np.linalg.norm`` in a third of its time."""
    result: Array = np.sqrt(np.add.reduce(vectors * vectors, axis=-1))
    return result


def check_lengths(**lengths: float) -> None:
    """Raise a :class:`Sim2RealError` unless every length is a positive number of metres."""
    for name, value in lengths.items():
        if not is_number(value) or not value > 0.0:
            raise Sim2RealError(f"{name} = {value!r} must be a positive length in metres.")
