"""What stands around a robot that handles things: a table, and a cube on it.

Bullet multiplies the frictions of two bodies that touch, and their restitutions. The friction of a contact is so the
product of the two parameters; the restitution of the cube against table and hand is ``object_restitution``.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.space import Domain
from sim2real_envs.arm.robot import HAND_RESTITUTION
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.simulation import Simulation

Array = NDArray[np.float64]

TABLE_CENTRE, TABLE_SIZE = (0.4, 0.0, -0.05), (1.2, 1.6, 0.1)
"""The table top [m]: its upper side is at z = 0, and the robot stands on it."""

_CORE = 0.034
"""Edge of the cube's core [m]. A layer round it makes up its size, and rounds its edges."""
_FAR_AWAY = (0.0, 0.0, 100.0)
_UPRIGHT = (0.0, 0.0, 0.0, 1.0)


class Table:
    """A table that does not move.

    Args:
        simulation: The world it stands in.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._client = client = simulation.client
        shape = p.createCollisionShape(
            p.GEOM_BOX, halfExtents=[edge / 2 for edge in TABLE_SIZE], physicsClientId=client
        )
        # Maximal coordinates make a static body cheaper; a dynamic one they would make unrepeatable.
        self._body: int = p.createMultiBody(
            0.0, shape, basePosition=TABLE_CENTRE, useMaximalCoordinates=1, physicsClientId=client
        )
        p.changeDynamics(self._body, -1, restitution=HAND_RESTITUTION, physicsClientId=client)

    def set_friction(self, friction: float) -> None:
        """Set the factor that the table contributes to the friction of its contacts."""
        p.changeDynamics(self._body, -1, lateralFriction=friction, physicsClientId=self._client)

    def read_friction(self) -> float:
        """Read it back from the engine."""
        return float(p.getDynamicsInfo(self._body, -1, self._client)[1])


class Cube:
    """A cube with round edges.

    Its size can be changed at any time without a new shape, which Bullet would never free: the shape is the hull of a
    small cube, and the collision margin, which Bullet adds to a hull on all sides, is the rest.

    Args:
        simulation: The world it is in.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._client = client = simulation.client
        half = _CORE / 2
        corners = [list(corner) for corner in itertools.product((-half, half), repeat=3)]
        shape = p.createCollisionShape(p.GEOM_MESH, vertices=corners, physicsClientId=client)
        self._body: int = p.createMultiBody(0.1, shape, basePosition=_FAR_AWAY, physicsClientId=client)
        p.changeDynamics(
            self._body,
            -1,
            linearDamping=0.0,
            angularDamping=0.0,
            activationState=p.ACTIVATION_STATE_DISABLE_SLEEPING,
            physicsClientId=client,
        )
        self.size = _CORE
        """Edge [m]."""
        self.position = np.array(_FAR_AWAY)
        """Shape (3,) [m]."""
        self.velocity = np.zeros(3)
        """Shape (3,) [m/s]."""
        self.orientation: tuple[float, ...] = _UPRIGHT
        """Quaternion xyzw."""

    def set_domain(self, domain: Domain) -> None:
        """Set mass, size, friction and restitution."""
        mass, self.size = domain["object_mass"], domain["object_size"]
        p.changeDynamics(
            self._body,
            -1,
            mass=mass,
            localInertiaDiagonal=[mass * self.size**2 / 6.0] * 3,
            lateralFriction=domain["object_friction"],
            restitution=domain["object_restitution"] / HAND_RESTITUTION,
            collisionMargin=(self.size - _CORE) / 2.0,
            physicsClientId=self._client,
        )

    def get_domain(self) -> Domain:
        """Read the same back from the engine."""
        info = p.getDynamicsInfo(self._body, -1, self._client)
        return {
            "object_mass": info[0],
            "object_size": _CORE + 2.0 * info[11],
            "object_friction": info[1],
            "object_restitution": info[5] * HAND_RESTITUTION,
        }

    def place(self, x: float, y: float, yaw: float) -> None:
        """Put the cube at rest on the table; the robot is already where it starts.

        Bullet remembers contacts. It forgets those of the last episode when the cube is far away from everything.
        """
        self._move(_FAR_AWAY, _UPRIGHT)
        p.performCollisionDetection(physicsClientId=self._client)
        self._move((x, y, self.size / 2.0), (0.0, 0.0, math.sin(yaw / 2.0), math.cos(yaw / 2.0)))
        self.measure()

    def _move(self, position: tuple[float, ...], orientation: tuple[float, ...]) -> None:
        p.resetBasePositionAndOrientation(self._body, position, orientation, physicsClientId=self._client)
        p.resetBaseVelocity(self._body, [0.0] * 3, [0.0] * 3, physicsClientId=self._client)

    def measure(self) -> None:
        """Read from the engine where the cube is and how fast it moves."""
        position, self.orientation = p.getBasePositionAndOrientation(self._body, self._client)
        self.position = np.array(position)
        self.velocity = np.array(p.getBaseVelocity(self._body, self._client)[0])

    def quarter_yaw(self) -> Array:
        """Return cosine and sine of four times the yaw, shape (2,): a cube looks the same after a quarter turn."""
        x, y, z, w = self.orientation
        yaw = 4.0 * np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
        return np.array([np.cos(yaw), np.sin(yaw)])
