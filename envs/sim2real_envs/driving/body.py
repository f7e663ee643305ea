"""A body in Bullet that moves in the plane: one box, pushed by forces that are computed outside."""

from __future__ import annotations

import math

from sim2real_envs.bullet import pybullet as p
from sim2real_envs.driving.plant import RIDE_HEIGHT, PlanarState

_FAR_AWAY = -1000.0
_STIFF = 1e6


class PlanarBody:
    """A box on a plane without friction; there is no ground to touch.

    Args:
        client: Physics client of the world; its gravity acts in the plane only.
        half_extents: Of the box [m].
        mass: Nominal mass [kg].
        yaw_inertia: Nominal moment of inertia about the centre of mass [kg m^2].
    """

    def __init__(
        self, client: int, *, half_extents: tuple[float, float, float], mass: float, yaw_inertia: float
    ) -> None:
        self._client = client
        self._nominal_mass, self._nominal_inertia = mass, yaw_inertia
        shape = p.createCollisionShape(p.GEOM_BOX, halfExtents=half_extents, physicsClientId=client)
        self.id: int = p.createMultiBody(mass, shape, basePosition=[_FAR_AWAY, 0.0, 0.0], physicsClientId=client)
        p.changeDynamics(
            self.id,
            -1,
            linearDamping=0.0,
            angularDamping=0.0,
            activationState=p.ACTIVATION_STATE_DISABLE_SLEEPING,
            physicsClientId=client,
        )
        self.state = PlanarState()
        self.centre = 0.0
        """How far the centre of mass lies in front of the middle of the box [m]."""
        self.flat = 1.0
        """Cosine of the slope: what part of its weight presses on the ground."""
        self.set_mass(1.0)

    def set_mass(self, factor: float) -> None:
        """Scale mass and inertia of the nominal body."""
        self.mass = self._nominal_mass * factor
        self._inertia = self._nominal_inertia * factor
        # So much of it about the other axes that the box neither rolls nor pitches.
        p.changeDynamics(
            self.id,
            -1,
            mass=self.mass,
            localInertiaDiagonal=[_STIFF * self._inertia, _STIFF * self._inertia, self._inertia],
            physicsClientId=self._client,
        )

    def read_mass(self) -> float:
        """Read the factor of :meth:`set_mass` back from the engine."""
        mass: float = p.getDynamicsInfo(self.id, -1, self._client)[0]
        return mass / self._nominal_mass

    def place(self, x: float, y: float, yaw: float) -> None:
        """Put the body at rest at a place [m, rad].

        On the way it is far away for a moment, so that no contact of an earlier episode is remembered: same start, same
        motion, bit by bit.
        """
        for place in ([_FAR_AWAY, 0.0, 0.0], [x, y, RIDE_HEIGHT]):
            turn = [0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)]
            p.resetBasePositionAndOrientation(self.id, place, turn, physicsClientId=self._client)
            p.resetBaseVelocity(self.id, [0.0] * 3, [0.0] * 3, physicsClientId=self._client)
            p.performCollisionDetection(physicsClientId=self._client)
        self.measure()

    def measure(self) -> PlanarState:
        """Read the state from the engine; :attr:`state` keeps it."""
        (x, y, _), (_, _, qz, qw) = p.getBasePositionAndOrientation(self.id, self._client)
        (vx, vy, _), (_, _, yaw_rate) = p.getBaseVelocity(self.id, self._client)
        yaw = 2.0 * math.atan2(qz, qw)
        cos, sin = math.cos(yaw), math.sin(yaw)
        state = self.state
        state.x, state.y, state.yaw, state.cos, state.sin = x, y, yaw, cos, sin
        state.forward, state.left, state.yaw_rate = cos * vx + sin * vy, cos * vy - sin * vx, yaw_rate
        return state

    def kick(self, x: float, y: float) -> None:
        """Change the velocity at once by an impulse in world coordinates [N s]."""
        (vx, vy, vz), turning = p.getBaseVelocity(self.id, self._client)
        velocity = (vx + x / self.mass, vy + y / self.mass, vz)
        p.resetBaseVelocity(self.id, velocity, turning, physicsClientId=self._client)
        self.measure()

    def push(self, forward: float, left: float, torque: float) -> None:
        """Apply a force [N] in the body's own axes and a torque [N m] about its middle, for the next physics step.

        Bullet has the mass in the middle of the box. A body whose mass is ``centre`` further to the front moves as if
        the middle one were pushed differently, and that is how it is pushed: with ``a`` the acceleration of the centre
        of mass, that of the middle is ``a + centre (yaw_rate^2, -yaw_acceleration)``.
        """
        state = self.state
        centre = self.centre
        if centre:
            torque -= centre * left
            forward += self.mass * centre * state.yaw_rate**2
            left -= self.mass * centre * torque / self._inertia
        cos, sin = state.cos, state.sin
        force = (cos * forward - sin * left, sin * forward + cos * left, 0.0)
        p.applyExternalForce(self.id, -1, force, (state.x, state.y, RIDE_HEIGHT), p.WORLD_FRAME, self._client)
        p.applyExternalTorque(self.id, -1, (0.0, 0.0, torque), p.WORLD_FRAME, self._client)

    def touches(self) -> bool:
        """Whether the body touched anything in the last physics step."""
        points = p.getContactPoints(self.id, physicsClientId=self._client)
        return bool(points) and any(point[8] <= 0.0 for point in points)
