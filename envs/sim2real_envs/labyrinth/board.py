"""The board and the marble in PyBullet, seen from the board: it stays level and gravity turns.

In a frame that turns with the board there are forces of inertia too. Those of Coriolis and Euler are normal to the
board, since its axes of rotation lie in it; the centrifugal one, ``omega^2 x``, is along it but stays below 0.1 m/s^2
for the tenth of a second that a tilt of 0.1 rad takes, against 0.7 m/s^2 of gravity. They are left out.
"""

from __future__ import annotations

import math

from sim2real.domains.space import Domain
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.labyrinth.layout import WALL_THICKNESS, Layout
from sim2real_envs.labyrinth.route import Point
from sim2real_envs.labyrinth.servo import TiltServo
from sim2real_envs.simulation import GRAVITY, Simulation

MAX_TILT = 0.1
"""Largest commanded slope about each axis [rad]."""
DRIVE_STIFFNESS = 1.0
"""Moment with which the drive of the board resists being bent away, by a marble's weight off the middle [N m/rad]."""
WALL_HEIGHT = 0.02
"""[m]; a marble that hits one at full speed climbs 6 mm of it."""

_BLOCKS = 2  # how often gravity is turned in a control step
_WALL_FRICTION = 0.5  # painted wood; multiplies the marble's
_SHAPES_A_BODY = 16  # createCollisionShapeArray silently drops what is more
_FAR = (0.0, 0.0, 10.0)
_UPRIGHT = (0.0, 0.0, 0.0, 1.0)


class Board:
    """A board of a layout with its two servos, and a marble on it.

    The slope that the marble feels is that of the servos, and what the board adds where the marble is: its warp, and
    the bend of its drive under the marble's weight, both proportional to the distance from the middle.

    The marble is the convex hull of one point with its radius as collision margin: a ball whose radius can be set. A
    sphere of Bullet would have to be created anew for every radius, which leaks.

    Args:
        simulation: Where it is built.
        layout: Walls.
    """

    def __init__(self, simulation: Simulation, layout: Layout) -> None:
        self._client = client = simulation.client
        p.setPhysicsEngineParameter(
            # Impulses on a marble are small: 1e-3, which suits an arm, would end every step after one iteration.
            solverResidualThreshold=1e-12,
            restitutionVelocityThreshold=0.01,  # the default, 0.2 m/s, is made for larger things
            physicsClientId=client,
        )
        # Old contact points that are kept beside the new one make a flat spot under a ball, and it then gathers speed
        # at up to 1.5 times the right rate.
        simulation.set_contact_threshold(1e-10)
        ground = p.createCollisionShape(p.GEOM_PLANE, physicsClientId=client)
        # Static bodies in maximal coordinates are faster.
        floor = p.createMultiBody(0, ground, useMaximalCoordinates=1, physicsClientId=client)
        p.changeDynamics(floor, -1, lateralFriction=1.0, restitution=0.0, rollingFriction=0.0, physicsClientId=client)
        self._build_walls(layout)
        hull = p.createCollisionShape(p.GEOM_MESH, vertices=[[0.0, 0.0, 0.0]], physicsClientId=client)
        self._marble: int = p.createMultiBody(1.0, hull, basePosition=_FAR, physicsClientId=client)
        p.changeDynamics(
            self._marble, -1, linearDamping=0.0, angularDamping=0.0, spinningFriction=0.0, physicsClientId=client
        )
        # A plane has no end, so its contact with the marble is never forgotten, and with it a threshold that depends on
        # the radius at this moment: the same one in every board.
        p.performCollisionDetection(physicsClientId=client)
        first = simulation.substeps // _BLOCKS
        self._blocks = [n for n in (first, simulation.substeps - first) if n]
        dt, middles, done = simulation.physics_dt, [], 0
        for count in self._blocks:
            middles.append((done + 0.5 * count) * dt)
            done += count
        self.servos = (TiltServo(middles, simulation.control_dt), TiltServo(middles, simulation.control_dt))
        self.position: Point = (0.0, 0.0)
        """Of the marble on the board [m]."""
        self.velocity: Point = (0.0, 0.0)
        """Of the marble on the board [m/s]."""
        self.height = 0.0
        """Of the marble's middle above the board [m]."""

    def _build_walls(self, layout: Layout) -> None:
        walls = (*layout.frame, *layout.walls)
        half, thick = 0.5 * WALL_HEIGHT, 0.5 * WALL_THICKNESS
        for k in range(0, len(walls), _SHAPES_A_BODY):
            part = walls[k : k + _SHAPES_A_BODY]
            shape = p.createCollisionShapeArray(
                shapeTypes=[p.GEOM_BOX] * len(part),
                # Each reaches half its thickness beyond its ends: corners are closed.
                halfExtents=[[(x1 - x0) / 2 + thick, (y1 - y0) / 2 + thick, half] for x0, y0, x1, y1 in part],
                collisionFramePositions=[[(x0 + x1) / 2, (y0 + y1) / 2, half] for x0, y0, x1, y1 in part],
                physicsClientId=self._client,
            )
            body = p.createMultiBody(0, shape, useMaximalCoordinates=1, physicsClientId=self._client)
            p.changeDynamics(
                body,
                -1,
                lateralFriction=_WALL_FRICTION,
                restitution=1.0,
                rollingFriction=0.0,
                physicsClientId=self._client,
            )

    def set_domain(self, domain: Domain) -> None:
        """Take the physical parameters of a domain."""
        radius, mass = domain["marble_radius"], domain["marble_mass"]
        p.changeDynamics(
            self._marble,
            -1,
            mass=mass,
            collisionMargin=radius,
            # Bullet resists rolling with a moment of rollingFriction [m] times the normal force.
            rollingFriction=domain["rolling_friction"] * radius,
            lateralFriction=domain["sliding_friction"],
            restitution=domain["restitution"],
            physicsClientId=self._client,
        )
        # In a call of its own: setting the mass recomputes the inertia from the shape.
        p.changeDynamics(
            self._marble, -1, localInertiaDiagonal=[0.4 * mass * radius * radius] * 3, physicsClientId=self._client
        )
        for servo, axis in zip(self.servos, "xy", strict=True):
            servo.set_domain(
                gain=domain["servo_gain"],
                lag=domain["servo_lag"],
                backlash=domain["servo_backlash"],
                bias=domain[f"servo_bias_{axis}"],
            )
        self._radius, self._warp = radius, domain["board_warp"]
        self._slope_per_metre = self._warp + mass * GRAVITY / DRIVE_STIFFNESS

    def get_domain(self) -> Domain:
        """Read the domain back: the marble's from the engine, the board's from what turns gravity."""
        info = p.getDynamicsInfo(self._marble, -1, self._client)
        servo_x, servo_y = self.servos
        return {
            "marble_radius": info[11],
            "marble_mass": info[0],
            "rolling_friction": info[6] / info[11],
            "sliding_friction": info[1],
            "restitution": info[5],
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
        # Contacts of the last episode are forgotten, or it would be felt in the last bits of this one.
        p.resetBasePositionAndOrientation(self._marble, _FAR, _UPRIGHT, physicsClientId=self._client)
        p.performCollisionDetection(physicsClientId=self._client)
        place = (*position, self._radius)
        p.resetBasePositionAndOrientation(self._marble, place, _UPRIGHT, physicsClientId=self._client)
        spin = (-velocity[1] / self._radius, velocity[0] / self._radius, 0.0)
        p.resetBaseVelocity(self._marble, (*velocity, 0.0), spin, physicsClientId=self._client)
        self.position, self.velocity, self.height = position, velocity, self._radius

    def step(self, command_x: float, command_y: float) -> None:
        """Simulate one control step.

        Args:
            command_x: Commanded slope towards positive x [rad]; a positive one makes the marble roll there.
            command_y: The same for y [rad].
        """
        client = self._client
        servo_x, servo_y = self.servos
        # Where the marble will be in the middle of the step is near enough for the board's own slope.
        x, y = self.position
        warp_x, warp_y = self._slope_per_metre * x, self._slope_per_metre * y
        for slope_x, slope_y, count in zip(servo_x.move(command_x), servo_y.move(command_y), self._blocks, strict=True):
            gx, gy = math.sin(slope_x + warp_x), math.sin(slope_y + warp_y)
            p.setGravity(
                GRAVITY * gx, GRAVITY * gy, -GRAVITY * math.sqrt(1.0 - gx * gx - gy * gy), physicsClientId=client
            )
            for _ in range(count):
                p.stepSimulation(physicsClientId=client)
        (x, y, self.height), _ = p.getBasePositionAndOrientation(self._marble, client)
        (vx, vy, _), _ = p.getBaseVelocity(self._marble, client)
        self.position, self.velocity = (x, y), (vx, vy)
