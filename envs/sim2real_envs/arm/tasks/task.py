"""What every task is: things in the world, a goal, what is observed of them, and a reward of named terms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.channels import Channel
from sim2real.domains.space import Domain, DomainSpace
from sim2real.errors import Sim2RealError
from sim2real_envs.arm.props import Cube
from sim2real_envs.arm.robot import Hand, RobotState
from sim2real_envs.simulation import Simulation

Array = NDArray[Any]


class Task(ABC):
    """A task for an arm; it knows no robot, and only sees its state.

    The reward terms, each with its weight included:

    * ``distance``: ``-distance_weight * distance``.
    * ``precision``: ``-precision_weight * tanh(distance / success_distance)``: makes the last centimetres count.
    * ``approach``: ``-approach_weight`` times the distance of the end effector from where it should be to move a thing;
      where there is a thing to be moved.
    * ``smoothness``: ``-smoothness_weight`` times the mean square change of the action: keeps the motion from
      jittering. It is the one that does not depend on the goal.

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
    cube: Cube | None = None
    """The thing that is moved, where there is one."""
    channels: tuple[Channel, ...] = ()
    """What :meth:`observe` returns."""
    distance_weight = 10.0
    precision_weight = 1.0
    approach_weight = 10.0
    smoothness_weight = 0.5

    def __init__(self, *, success_distance: float) -> None:
        check_lengths(success_distance=success_distance)
        self.success_distance = success_distance
        self.goal_radius = success_distance
        """Of the ball that marks the goal in pictures [m]."""

    def build(self, simulation: Simulation) -> None:  # noqa: B027 (an empty world is the default)
        """Put the things of the task into the world, once."""

    def set_domain(self, domain: Domain) -> None:  # noqa: B027
        """Set the parameters that are those of the things; ``domain`` is complete."""

    def get_domain(self) -> Domain:
        """Read them back from the engine."""
        return {}

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

    def distance(self, achieved: Array, desired: Array) -> Array:
        """Return the distance of points, shape (..., 3) [m] each, as shape (...) [m]."""
        return np.asarray(np.linalg.norm(np.subtract(achieved, desired, dtype=np.float64), axis=-1))

    def goal_terms(self, achieved: Array, desired: Array, ee_position: Array) -> dict[str, Array]:
        """Return the reward terms that depend on the goal, shape (...) each.

        Args:
            achieved: What shall be at the goal, shape (..., 3) [m].
            desired: The goal, shape (..., 3) [m].
            ee_position: The end effector, shape (..., 3) [m].
        """
        distance = self.distance(achieved, desired)
        terms = {
            "distance": -self.distance_weight * distance,
            "precision": -self.precision_weight * np.tanh(distance / self.success_distance),
        }
        aim = self.aim(achieved, desired)
        if aim is not None:
            terms["approach"] = -self.approach_weight * self.distance(ee_position, aim)
        return terms

    def aim(self, achieved: Array, desired: Array) -> Array | None:  # noqa: ARG002
        """Return where the end effector should be to move what shall be at the goal, shape (..., 3) [m]; or None."""
        return None

    def smoothness(self, action: Array, last_action: Array) -> float:
        """Return the reward term that does not depend on the goal."""
        return float(-self.smoothness_weight * np.mean(np.square(action - last_action)))


def check_lengths(**lengths: float) -> None:
    """Raise a :class:`Sim2RealError` unless every length is a positive number of metres."""
    for name, value in lengths.items():
        if not (np.isfinite(value) and value > 0.0):
            raise Sim2RealError(f"{name} = {value} must be a positive length in metres.")
