"""The board and the marble on it: what is the same in every engine, and what an engine has to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING

from sim2real.domains.space import Domain
from sim2real_envs.engines import TimeStep, choose_physics_dt
from sim2real_envs.labyrinth.layout import Layout
from sim2real_envs.labyrinth.route import Point
from sim2real_envs.labyrinth.servo import TiltServo

if TYPE_CHECKING:
    from sim2real_envs.mujoco_simulation import MujocoSimulation
    from sim2real_envs.simulation import Simulation

TIME_STEPS = {"pybullet": TimeStep(usual=0.004, longest=0.005), "mujoco": TimeStep(usual=0.002, longest=0.0025)}
"""Of the physics. A marble that is pumped up between two walls gets to 1.6 m/s; with these steps it never goes farther
in one than the smallest's radius and half a wall, and MuJoCo's soft walls give back no more than they got."""
MAX_TILT = 0.1
"""Largest commanded slope about each axis [rad]."""
DRIVE_STIFFNESS = 1.0
"""Moment with which the drive of the board resists being bent away, by a marble's weight off the middle [N m/rad]."""
WALL_HEIGHT = 0.02
"""[m]; a marble that hits one at full speed climbs 6 mm of it."""
WALL_FRICTION = 0.5
"""Painted wood; multiplies the marble's [1]."""


class Board(ABC):
    """A board with its two servos, and a marble on it.

    The slope that the marble feels is that of the servos, and what the board adds where the marble is: its warp, and
    the bend of its drive under the marble's weight.

    Args:
        simulation: Where it is built.
        blocks: Into how many parts of a control step the way of the servos is cut; within one it stands still.
    """

    def __init__(self, simulation: Simulation | MujocoSimulation, *, blocks: int) -> None:
        self.simulation = simulation
        """Clocks, gravity, and how to close it."""
        ends = [simulation.substeps * k // blocks for k in range(blocks + 1)]
        parts = [(begin, end) for begin, end in pairwise(ends) if end > begin]
        self._blocks = [end - begin for begin, end in parts]
        """Physics steps of each part."""
        middles = [0.5 * (begin + end) * simulation.physics_dt for begin, end in parts]
        self.servos = (TiltServo(middles, simulation.control_dt), TiltServo(middles, simulation.control_dt))
        self.position: Point = (0.0, 0.0)
        """Of the marble on the board [m]."""
        self.velocity: Point = (0.0, 0.0)
        """Of the marble on the board [m/s]."""
        self.height = 0.0
        """Of the marble's middle above the board [m]."""

    @property
    def slopes(self) -> Point:
        """How the board is tilted, along x and y [rad]; it falls where they are positive."""
        servo_x, servo_y = self.servos
        return servo_x.slope, servo_y.slope

    def set_domain(self, domain: Domain) -> None:
        """Take the physical parameters of a domain, before the next reset."""
        for servo, axis in zip(self.servos, "xy", strict=True):
            servo.set_domain(
                gain=domain["servo_gain"],
                lag=domain["servo_lag"],
                backlash=domain["servo_backlash"],
                bias=domain[f"servo_bias_{axis}"],
            )
        self._warp = domain["board_warp"]
        self._set_marble(domain)

    def get_domain(self) -> Domain:
        """Read the domain back: the marble's from the engine, the board's from what tilts it."""
        servo_x, servo_y = self.servos
        return {
            **self._read_marble(),
            "servo_gain": servo_x.gain,
            "servo_lag": servo_x.lag,
            "servo_backlash": servo_x.backlash,
            "servo_bias_x": servo_x.bias,
            "servo_bias_y": servo_y.bias,
            "board_warp": self._warp,
        }

    def reset(self, position: Point, velocity: Point = (0.0, 0.0)) -> None:
        """Stand the servos at zero and put the marble somewhere, rolling.

        Args:
            position: [m].
            velocity: [m/s].
        """
        for servo in self.servos:
            servo.reset()
        self._place(position, velocity)

    @abstractmethod
    def step(self, command_x: float, command_y: float) -> None:
        """Simulate one control step.

        Args:
            command_x: Commanded slope towards positive x [rad]; a positive one makes the marble roll there.
            command_y: The same for y [rad].
        """

    @abstractmethod
    def kick(self, x: float, y: float) -> None:
        """Change the velocity of the marble along the board at once [m/s]."""

    @abstractmethod
    def _set_marble(self, domain: Domain) -> None:
        """Give the marble its size, mass, frictions and restitution."""

    @abstractmethod
    def _read_marble(self) -> Domain:
        """Read them back from the engine."""

    @abstractmethod
    def _place(self, position: Point, velocity: Point) -> None:
        """Put the marble on the board, which has been at rest for long, rolling; forget what was before."""


def make_board(engine: str, layout: Layout, *, control_dt: float, physics_dt: float | None = None) -> Board:
    """Build a board in an engine, which is imported only then.

    Args:
        engine: One of :data:`~sim2real_envs.engines.ENGINES`.
        layout: What is on it.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; the usual one if ``None``.

    Raises:
        Sim2RealError: The engine is unknown or not installed, or the times do not fit together.
    """
    physics_dt = choose_physics_dt(engine, physics_dt, TIME_STEPS)
    if engine == "mujoco":
        from sim2real_envs.labyrinth.mujoco_board import MujocoBoard

        return MujocoBoard(layout, control_dt=control_dt, physics_dt=physics_dt)
    from sim2real_envs.labyrinth.bullet_board import BulletBoard

    return BulletBoard(layout, control_dt=control_dt, physics_dt=physics_dt)
