"""What a physics engine has to do for a driving world; everything else is the same in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.space import Domain
from sim2real_envs.engines import TimeStep, choose_physics_dt

if TYPE_CHECKING:
    from sim2real_envs.driving.course import Course
    from sim2real_envs.driving.vehicle import Vehicle

RIDE_HEIGHT = 0.1
"""Height at which vehicles, walls and beams meet [m]."""

TIME_STEPS = {"pybullet": TimeStep(usual=0.01, longest=0.02), "mujoco": TimeStep(usual=0.004, longest=0.008)}
"""Of the physics: with computed tyres, and with wheels on springs that touch the ground."""

Size = tuple[float, float, float]
"""Half extents of a box [m]."""


@dataclass(slots=True)
class PlanarState:
    """Where a vehicle is and how it moves; a mutable record, written once per physics step."""

    x: float = 0.0
    """Position of its middle in the world [m]."""
    y: float = 0.0
    """[m]."""
    yaw: float = 0.0
    """Heading [rad], counterclockwise from x."""
    forward: float = 0.0
    """Velocity of its middle along its own axis [m/s]."""
    left: float = 0.0
    """Velocity of its middle to its own left [m/s]."""
    yaw_rate: float = 0.0
    """[rad/s]."""
    cos: float = 1.0
    """Of the heading."""
    sin: float = 0.0
    """Of the heading."""


class Plant(Protocol):
    """One vehicle on the ground between walls, and boxes that are moved and that nothing can push.

    Its parameters are ``mass``, ``centre_of_mass`` and ``slope``; the others are those of signals, and need no engine.
    """

    state: PlanarState
    """Of the vehicle."""
    control_dt: float
    """Time between two actions [s]."""
    physics_dt: float
    """Time step of the physics [s]."""
    substeps: int
    """How many of these make a control step."""

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set its parameters; ``domain`` is complete. The vehicle is to be placed afterwards."""

    def get_domain(self) -> Domain:
        """Read its parameters back from the engine."""

    def place(self, x: float, y: float, yaw: float) -> None:
        """Put the vehicle at rest at a place [m, rad], and forget what has happened: same start, same motion."""

    def push(self, x: float, y: float) -> None:
        """Change the velocity of the vehicle by an impulse in world coordinates [N s], without a turn."""

    def put(self, number: int, x: float, y: float, yaw: float) -> None:
        """Put a box at a place [m, rad]."""

    def advance(self, wheels: tuple[float, float, float], friction: float) -> bool:
        """Simulate one physics step.

        Args:
            wheels: How far the front wheels are turned to the left [rad], and the drive of the left and of the right
                ones, in units of the vehicle.
            friction: Between tyres and ground.

        Returns:
            Whether the vehicle touches a wall or a box; one that tips over touches, too.
        """

    def cast(self, start: tuple[float, float], ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what part of their way beams go before they hit a wall or a box, 1 for none, shape (n,).

        Args:
            start: Where they begin [m].
            ends: Where they end, shape (n, 2) [m].
        """

    def focus(self) -> None:
        """Make sure that other worlds of this process are not felt."""

    def close(self) -> None:
        """Free what it holds; a second call does nothing."""


def make_plant(
    engine: str,
    vehicle: type[Vehicle],
    course: Course,
    *,
    boxes: Sequence[Size] = (),
    control_dt: float,
    physics_dt: float | None,
) -> Plant:
    """Build a world in an engine, which is imported only then.

    Args:
        engine: One of :data:`~sim2real_envs.engines.ENGINES`.
        vehicle: What drives.
        course: The tracks.
        boxes: What else is there.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; ``None`` for the usual one of the engine.

    Raises:
        Sim2RealError: The engine is unknown or not installed, or the times do not fit together.
    """
    physics_dt = choose_physics_dt(engine, physics_dt, TIME_STEPS)
    if engine == "mujoco":
        from sim2real_envs.driving.mujoco_plant import MujocoPlant

        return MujocoPlant(vehicle, course, boxes, control_dt=control_dt, physics_dt=physics_dt)
    from sim2real_envs.driving.bullet_plant import BulletPlant

    return BulletPlant(vehicle, course, boxes, control_dt=control_dt, physics_dt=physics_dt)
