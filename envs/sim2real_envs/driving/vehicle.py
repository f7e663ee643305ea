"""What the vehicles have in common: a body, channels, and a drive that acts a dead time after it is told."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from sim2real.domains.channels import Channel
from sim2real.domains.space import Domain, DomainSpace
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.driving.body import PlanarBody
from sim2real_envs.simulation import Simulation

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


class Vehicle(ABC):
    """A vehicle on the plane. A new one is one file: sizes, channels, :meth:`command` and :meth:`push`.

    Args:
        simulation: The world it drives in.
    """

    domain_space: ClassVar[DomainSpace]
    """Its own parameters."""
    half_extents: ClassVar[tuple[float, float, float]]
    """Of the box that touches walls [m]."""
    nominal_mass: ClassVar[float]
    """[kg]."""
    yaw_inertia: ClassVar[float]
    """About the centre of mass [kg m^2]."""
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

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.body = PlanarBody(
            simulation, half_extents=self.half_extents, mass=self.nominal_mass, yaw_inertia=self.yaw_inertia
        )
        self._friction = self._strength = 1.0
        self._delay = 0.0
        self._flat = 1.0
        self._pending: deque[tuple[float, ...]] = deque()

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set the parameters of the vehicle; ``domain`` is complete."""
        self._friction = domain["tyre_friction"]
        self.body.set_mass(domain["mass"])
        self.body.centre = domain["centre_of_mass"]
        self._strength = domain["motor_strength"]
        self._delay = domain["drivetrain_delay"]
        self._flat = math.cos(domain["slope"])

    def get_domain(self) -> Domain:
        """Read the parameters back: the mass from the engine, the rest from what the forces are computed with."""
        return {
            "tyre_friction": self._friction,
            "mass": self.body.read_mass(),
            "centre_of_mass": self.body.centre,
            "motor_strength": self._strength,
            "drivetrain_delay": self._delay,
        }

    def reset(self, x: float, y: float, yaw: float) -> None:
        """Put the vehicle at rest at a place [m, rad]."""
        self.body.place(x, y, yaw)
        self._pending.clear()

    def step(self, action: list[float], grip: float) -> bool:
        """Drive for one control step on a road of this grip, 1 being dry.

        Returns:
            Whether anything was touched; the step ends there.
        """
        drive = self.command(action)
        simulation, body = self._simulation, self.body
        waiting = self._delay / simulation.physics_dt  # in physics steps; what is left of a whole one is mixed
        whole, part = int(waiting), waiting % 1.0
        pending = self._pending
        for _ in range(simulation.substeps):
            pending.appendleft(drive)
            while len(pending) > whole + 2:
                pending.pop()
            newer = pending[whole] if len(pending) > whole else self.idle
            older = pending[whole + 1] if len(pending) > whole + 1 else self.idle
            if newer != older:
                newer = tuple(n + part * (o - n) for n, o in zip(newer, older, strict=True))
            self.push(newer, self._friction * grip)
            p.stepSimulation(physicsClientId=simulation.client)
            body.measure()
            if body.touches():
                return True
        return False

    @abstractmethod
    def command(self, action: list[float]) -> tuple[float, ...]:
        """Take an action in [-1, 1] for the next control step; return what the drive is told, which it hears late."""

    @abstractmethod
    def push(self, drive: tuple[float, ...], friction: float) -> None:
        """Apply the tyres' forces for one physics step."""

    @abstractmethod
    def measure(self) -> list[float]:
        """Return the numbers of :attr:`observation_channels`."""
