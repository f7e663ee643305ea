"""What the vehicles have in common: sizes, channels, and a drive that acts a dead time after it is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from sim2real.domains.channels import Channel
from sim2real.domains.space import Domain, DomainSpace
from sim2real_envs.driving.plant import PlanarState, Plant
from sim2real_envs.driving.tyres import Tyres

SPEED_CHANNEL = Channel(name="speed", width=1, unit="m/s", low=-10.0, high=10.0, noise=0.05)
YAW_RATE_CHANNEL = Channel(name="yaw_rate", width=1, unit="rad/s", low=-15.0, high=15.0, noise=0.05)


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a vehicle is drawn."""

    urdf: str
    """Path in ``pybullet_data``; meshes and all."""
    scale: float = 1.0
    """Size, compared with the model's."""
    forward: float = 0.0
    """Where the model's origin is, in front of the middle of the vehicle [m]."""
    steering: Mapping[str, float] = field(default_factory=dict)
    """Joints that turn with the front wheels -> their sign."""


@dataclass(frozen=True, kw_only=True)
class Axles:
    """Two axles with wheels, for an engine that has them."""

    wheelbase: float
    """Distance of the axles [m]."""
    track_width: float
    """Distance of the middles of left and right wheels [m]."""
    radius: float
    """Of a wheel [m]."""
    wheel_mass: float
    """[kg]."""
    spin_inertia: float
    """Of a wheel about its axle [kg m^2]."""
    turn_inertia: float
    """Of a wheel about the other axes [kg m^2]."""
    upright_mass: float
    """Of what carries a wheel [kg]."""
    centre_height: float
    """Of the whole vehicle's centre of mass above the axles [m]."""
    roll_inertia: float
    """Of the chassis alone [kg m^2]."""
    pitch_inertia: float
    """Of the chassis alone [kg m^2]."""
    steered: bool
    """Whether the front wheels turn."""
    motor_gain: float
    """Torque of a wheel's motor per unit of its drive [N m]."""
    motor_drag: float
    """Torque that it loses per speed of the rim [N m s/m]."""
    motor_limit: float
    """Largest torque of a wheel's motor [N m]."""


class Vehicle(ABC):
    """A vehicle on the ground. A new one is one file: sizes, channels, :meth:`command`, :meth:`actuate` and its tyres.

    Args:
        plant: The world it drives in.
    """

    domain_space: ClassVar[DomainSpace]
    """Its own parameters, and those of the plant that are about it."""
    half_extents: ClassVar[tuple[float, float, float]]
    """Of the box that touches walls [m]."""
    nominal_mass: ClassVar[float]
    """[kg]."""
    yaw_inertia: ClassVar[float]
    """About the centre of mass [kg m^2]."""
    centre: ClassVar[float]
    """How far the centre of mass lies in front of the middle, nominally [m]."""
    axles: ClassVar[Axles]
    make_tyres: ClassVar[Callable[[], Tyres]]
    """What pushes it, in an engine where it has no wheels."""
    lidar_position: ClassVar[float]
    """How far the lidar stands in front of the middle [m]."""
    look: ClassVar[Look]
    observation_channels: ClassVar[tuple[Channel, ...]]
    """What it measures of itself, without the lidar."""
    action_channels: ClassVar[tuple[Channel, ...]]
    idle: ClassVar[tuple[float, ...]]
    """What the drive is told before the first command arrives."""
    wheel_angle: float = 0.0
    """Where the front wheels stand, to the left [rad]."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self.state: PlanarState = plant.state
        """Where it is and how it moves."""
        self._friction = self._strength = 1.0
        self._delay = self._part = 0.0
        self._pending: deque[tuple[float, ...]] = deque()

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set what does not belong to the plant; ``domain`` is complete."""
        self._friction = domain["tyre_friction"]
        self._strength = domain["motor_strength"]
        self._delay = domain["drivetrain_delay"]

    def get_domain(self) -> Domain:
        """Read back what the plant is told with."""
        return {
            "tyre_friction": self._friction,
            "motor_strength": self._strength,
            "drivetrain_delay": self._delay,
        }

    def reset(self, x: float, y: float, yaw: float) -> None:
        """Put the vehicle at rest at a place [m, rad]."""
        self._plant.place(x, y, yaw)
        waiting = self._delay / self._plant.physics_dt  # in physics steps; what is left of a whole one is mixed
        self._part = waiting % 1.0
        heard = int(waiting) + 2
        self._pending = deque([self.idle] * heard, maxlen=heard)  # newest first

    def step(self, action: list[float], grip: float) -> bool:
        """Drive for one control step on a road of this grip, 1 being dry.

        Returns:
            Whether anything was touched; the step ends there.
        """
        drive = self.command(action)
        pending, part = self._pending, self._part
        actuate, advance, friction = self.actuate, self._plant.advance, self._friction * grip
        for _ in range(self._plant.substeps):
            pending.appendleft(drive)
            newer, older = pending[-2], pending[-1]
            if newer != older:
                newer = tuple([n + part * (o - n) for n, o in zip(newer, older, strict=True)])
            if advance(actuate(newer), friction):
                return True
        return False

    @abstractmethod
    def command(self, action: list[float]) -> tuple[float, ...]:
        """Take an action in [-1, 1] for the next control step; return what the drive is told, which it hears late."""

    @abstractmethod
    def actuate(self, drive: tuple[float, ...]) -> tuple[float, float, float]:
        """Let a physics step pass; return what reaches the wheels: see ``Plant.advance``."""

    @abstractmethod
    def measure(self) -> list[float]:
        """Return the numbers of :attr:`observation_channels`."""
