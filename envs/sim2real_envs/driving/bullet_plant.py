"""The driving worlds in PyBullet: a vehicle is one box that moves in the plane, pushed by forces of its tyres.

A single body without wheels costs Bullet 3 us a step, a four-wheeled car twenty times that; the tyres, which are what
makes a car differ from another, are computed outside by a law that is known (:mod:`sim2real_envs.driving.tyres`).
What touches what stays Bullet's business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.space import Domain
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.driving.body import PlanarBody
from sim2real_envs.driving.course import Course
from sim2real_envs.driving.plant import RIDE_HEIGHT, Size
from sim2real_envs.driving.vehicle import Vehicle
from sim2real_envs.simulation import GRAVITY, Simulation

_FRACTION = itemgetter(2)  # of a hit: what part of its way a beam has gone
_STATIC_GROUP = 2  # Bullet's collision group of what does not move, which is all that beams see


class BulletPlant:
    """See :class:`~sim2real_envs.driving.plant.Plant`.

    Every track is one static body, made once, so that a reset neither loads nor leaks anything.

    Args:
        vehicle, course, boxes, control_dt, physics_dt: As :func:`~sim2real_envs.driving.plant.make_plant` takes them.
    """

    def __init__(
        self, vehicle: type[Vehicle], course: Course, boxes: Sequence[Size], *, control_dt: float, physics_dt: float
    ) -> None:
        simulation = Simulation(control_dt=control_dt, physics_dt=physics_dt, steps_a_call=1)
        self.control_dt, self.physics_dt, self.substeps = control_dt, physics_dt, simulation.substeps
        self._simulation, self._client = simulation, simulation.client
        self.focus, self.close = simulation.focus, simulation.close
        for number, origin in enumerate(course.origins):
            self._build_walls(course, number, origin)
        self.body = PlanarBody(
            self._client, half_extents=vehicle.half_extents, mass=vehicle.nominal_mass, yaw_inertia=vehicle.yaw_inertia
        )
        self.state = self.body.state
        self._tyres = vehicle.make_tyres()
        self._usual_centre = vehicle.centre
        self._boxes = [self._make_box(half_extents) for half_extents in boxes]

    def _build_walls(self, course: Course, number: int, origin: float) -> None:
        vertices, triangles = course.tracks[number].walls()
        shape = p.createCollisionShape(
            p.GEOM_MESH,
            vertices=vertices.tolist(),
            indices=triangles.tolist(),
            flags=p.GEOM_FORCE_CONCAVE_TRIMESH,
            physicsClientId=self._client,
        )
        p.createMultiBody(
            0.0, shape, basePosition=[origin, 0.0, 0.0], useMaximalCoordinates=1, physicsClientId=self._client
        )

    def _make_box(self, half_extents: Size) -> int:
        shape = p.createCollisionShape(p.GEOM_BOX, halfExtents=half_extents, physicsClientId=self._client)
        body: int = p.createMultiBody(0.0, shape, physicsClientId=self._client)
        return body

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set mass, its centre and the slope; ``domain`` is complete."""
        self.body.set_mass(domain["mass"])
        self.body.centre = domain["centre_of_mass"] + self._usual_centre
        self.body.flat = math.cos(domain["slope"])
        # Nothing moves up or down here: the only part of gravity that acts is the one along the slope.
        p.setGravity(GRAVITY * math.sin(domain["slope"]), 0.0, 0.0, physicsClientId=self._client)

    def get_domain(self) -> Domain:
        """Read mass and slope back from the engine; the centre of mass is what forces are computed with."""
        gravity = p.getPhysicsEngineParameters(physicsClientId=self._client)["gravityAccelerationX"]
        return {
            "mass": self.body.read_mass(),
            "centre_of_mass": self.body.centre - self._usual_centre,
            "slope": math.asin(gravity / GRAVITY),
        }

    def place(self, x: float, y: float, yaw: float) -> None:
        """Put the vehicle at rest at a place [m, rad]."""
        self.body.place(x, y, yaw)
        self._tyres.reset()

    def push(self, x: float, y: float) -> None:
        """Change the velocity of the vehicle by an impulse in world coordinates [N s]."""
        self.body.kick(x, y)

    def put(self, number: int, x: float, y: float, yaw: float) -> None:
        """Put a box at a place [m, rad]."""
        turn = p.getQuaternionFromEuler([0.0, 0.0, yaw])
        p.resetBasePositionAndOrientation(self._boxes[number], [x, y, RIDE_HEIGHT], turn, physicsClientId=self._client)

    def advance(self, wheels: tuple[float, float, float], friction: float) -> bool:
        """Push the vehicle as its tyres do, for one physics step; return whether it touches anything."""
        body = self.body
        self._tyres.push(body, wheels, friction)
        p.stepSimulation(self._client)
        body.measure()
        return body.touches()

    def cast(self, start: tuple[float, float], ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what part of their way beams go, shape (n,)."""
        tips = np.empty((len(ends), 3))
        tips[:, :2], tips[:, 2] = ends, RIDE_HEIGHT
        hits = p.rayTestBatch(
            [(*start, RIDE_HEIGHT)] * len(ends),
            tips.tolist(),
            numThreads=1,
            collisionFilterMask=_STATIC_GROUP,
            physicsClientId=self._client,
        )
        return np.fromiter(map(_FRACTION, hits), np.float64, len(hits))
