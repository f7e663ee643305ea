"""The cube and its table in PyBullet.

Bullet multiplies the frictions of two bodies that touch, and their restitutions: the friction of a contact is the
product of the two parameters by itself, and the hand and the table have the restitution ``HAND_RESTITUTION``.
"""

from __future__ import annotations

import itertools

import numpy as np

from sim2real.domains.space import Domain
from sim2real_envs.arm.bullet_arm import HAND_RESTITUTION
from sim2real_envs.arm.props import FAR_AWAY, TABLE_CENTRE, TABLE_SIZE, Cube
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.simulation import Simulation

_CORE = 0.034
"""Edge of the cube's core [m]. A layer round it makes up its size, and rounds its edges."""
_UPRIGHT = (0.0, 0.0, 0.0, 1.0)


class BulletCube(Cube):
    """A cube with round edges on a static table.

    Its size can be changed at any time without a new shape, which Bullet would never free: the shape is the hull of a
    small cube, and the collision margin, which Bullet adds to a hull on all sides, is the rest.

    Args:
        simulation: The world it is in.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._client = client = simulation.client
        table = p.createCollisionShape(
            p.GEOM_BOX, halfExtents=[edge / 2 for edge in TABLE_SIZE], physicsClientId=client
        )
        # Maximal coordinates make a static body cheaper; a dynamic one they would make unrepeatable.
        self._table: int = p.createMultiBody(
            0.0, table, basePosition=TABLE_CENTRE, useMaximalCoordinates=1, physicsClientId=client
        )
        p.changeDynamics(self._table, -1, restitution=HAND_RESTITUTION, physicsClientId=client)
        half = _CORE / 2
        corners = [list(corner) for corner in itertools.product((-half, half), repeat=3)]
        shape = p.createCollisionShape(p.GEOM_MESH, vertices=corners, physicsClientId=client)
        self._body: int = p.createMultiBody(0.1, shape, basePosition=FAR_AWAY, physicsClientId=client)
        p.changeDynamics(
            self._body,
            -1,
            linearDamping=0.0,
            angularDamping=0.0,
            activationState=p.ACTIVATION_STATE_DISABLE_SLEEPING,
            physicsClientId=client,
        )
        self.size = _CORE
        self.measure()

    def set_domain(self, domain: Domain) -> None:
        """Set mass, size, friction and restitution of the cube, and the friction of the table."""
        p.changeDynamics(self._table, -1, lateralFriction=domain["table_friction"], physicsClientId=self._client)
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
            "table_friction": p.getDynamicsInfo(self._table, -1, self._client)[1],
        }

    def _place(self, position: tuple[float, ...], orientation: tuple[float, ...]) -> None:
        # Bullet remembers contacts. It forgets those of the last episode when the cube is far away from everything.
        self._move(FAR_AWAY, _UPRIGHT)
        p.performCollisionDetection(physicsClientId=self._client)
        self._move(position, orientation)

    def _move(self, position: tuple[float, ...], orientation: tuple[float, ...]) -> None:
        p.resetBasePositionAndOrientation(self._body, position, orientation, physicsClientId=self._client)
        self.push((0.0, 0.0, 0.0))

    def push(self, velocity: tuple[float, ...]) -> None:
        """Give the cube a velocity, shape (3,) [m/s]."""
        p.resetBaseVelocity(self._body, velocity, [0.0] * 3, physicsClientId=self._client)

    def measure(self) -> None:
        """Read from the engine where the cube is and how fast it moves."""
        position, self.orientation = p.getBasePositionAndOrientation(self._body, self._client)
        self.position = np.array(position)
        self.velocity = np.array(p.getBaseVelocity(self._body, self._client)[0])
