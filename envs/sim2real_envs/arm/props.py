"""What stands before a robot that handles things: a table, and a cube on it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.space import Domain

Array = NDArray[np.float64]

TABLE_CENTRE, TABLE_SIZE = (0.4, 0.0, -0.05), (1.2, 1.6, 0.1)
"""The table top [m]: its upper side is at z = 0, and the robot stands on it."""

FAR_AWAY = (0.0, 0.0, 100.0)
"""Where the cube is before the first episode [m]."""


class Cube(ABC):
    """A cube, and the table on which it lies.

    The friction of a contact is the product of the factors of the two that touch; the restitution of the cube against
    table and hand is ``object_restitution``.
    """

    size: float
    """Edge [m]."""
    position: Array
    """Shape (3,) [m]."""
    velocity: Array
    """Shape (3,) [m/s]."""
    orientation: tuple[float, ...]
    """Quaternion xyzw."""

    @abstractmethod
    def set_domain(self, domain: Domain) -> None:
        """Set mass, size, friction and restitution of the cube, and the friction of the table."""

    @abstractmethod
    def get_domain(self) -> Domain:
        """Read the same back from the engine."""

    def place(self, x: float, y: float, yaw: float) -> None:
        """Put the cube at rest on the table [m, rad]; the robot is already where it starts."""
        self._place((x, y, self.size / 2.0), (0.0, 0.0, math.sin(yaw / 2.0), math.cos(yaw / 2.0)))
        self.measure()

    @abstractmethod
    def _place(self, position: tuple[float, ...], orientation: tuple[float, ...]) -> None:
        """Put the cube at rest somewhere [m], with an orientation, quaternion xyzw; forget all contacts."""

    @abstractmethod
    def push(self, velocity: tuple[float, ...]) -> None:
        """Give the cube a velocity, shape (3,) [m/s]."""

    @abstractmethod
    def measure(self) -> None:
        """Read from the engine where the cube is and how fast it moves."""

    def quarter_yaw(self) -> Array:
        """Return cosine and sine of four times the yaw, shape (2,): a cube looks the same after a quarter turn."""
        x, y, z, w = self.orientation
        yaw = 4.0 * math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
        return np.array((math.cos(yaw), math.sin(yaw)))
