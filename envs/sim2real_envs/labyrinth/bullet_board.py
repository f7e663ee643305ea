"""The board and the marble in PyBullet, seen from the board: it stays level and gravity turns.

In a frame that turns with the board there are forces of inertia too. Those of Coriolis and Euler are normal to the
board, since its axes of rotation lie in it; the centrifugal one, ``omega^2 x``, is along it but stays below 0.1 m/s^2
for the tenth of a second that a tilt of 0.1 rad takes, against 0.7 m/s^2 of gravity. They are left out.
"""

from __future__ import annotations

import math

from sim2real.domains.space import Domain
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.labyrinth.board import DRIVE_STIFFNESS, WALL_FRICTION, WALL_HEIGHT, Board
from sim2real_envs.labyrinth.layout import WALL_THICKNESS, Layout
from sim2real_envs.labyrinth.route import Point
from sim2real_envs.simulation import GRAVITY, Simulation, count_substeps

_BLOCKS = 2  # how often gravity is turned in a control step
_SHAPES_A_BODY = 16  # createCollisionShapeArray silently drops what is more
_FAR = (0.0, 0.0, 10.0)
_UPRIGHT = (0.0, 0.0, 0.0, 1.0)


class BulletBoard(Board):
    """A board of a layout in a PyBullet world of its own.

    Warp and bend are both proportional to the distance from the middle, and turn gravity too.

    The marble is the convex hull of one point with its radius as collision margin: a ball whose radius can be set. A
    sphere of Bullet would have to be created anew for every radius, which leaks.

    Args:
        layout: Walls.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``.

    Raises:
        Sim2RealError: The two times do not fit together.
    """

    def __init__(self, layout: Layout, *, control_dt: float, physics_dt: float) -> None:
        whole, rest = divmod(count_substeps(control_dt, physics_dt), _BLOCKS)
        simulation = Simulation(control_dt=control_dt, physics_dt=physics_dt, steps_a_call=1 if rest else whole)
        super().__init__(simulation, blocks=_BLOCKS)
        self._steps_a_call = simulation.steps_a_call
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
                lateralFriction=WALL_FRICTION,
                restitution=1.0,
                rollingFriction=0.0,
                physicsClientId=self._client,
            )

    def _set_marble(self, domain: Domain) -> None:
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
        self._radius = radius
        self._slope_per_metre = domain["board_warp"] + mass * GRAVITY / DRIVE_STIFFNESS

    def _read_marble(self) -> Domain:
        info = p.getDynamicsInfo(self._marble, -1, self._client)
        return {
            "marble_radius": info[11],
            "marble_mass": info[0],
            "rolling_friction": info[6] / info[11],
            "sliding_friction": info[1],
            "restitution": info[5],
        }

    def _place(self, position: Point, velocity: Point) -> None:
        # Contacts of the last episode are forgotten, or it would be felt in the last bits of this one.
        p.resetBasePositionAndOrientation(self._marble, _FAR, _UPRIGHT, physicsClientId=self._client)
        p.performCollisionDetection(physicsClientId=self._client)
        place = (*position, self._radius)
        p.resetBasePositionAndOrientation(self._marble, place, _UPRIGHT, physicsClientId=self._client)
        spin = (-velocity[1] / self._radius, velocity[0] / self._radius, 0.0)
        p.resetBaseVelocity(self._marble, (*velocity, 0.0), spin, physicsClientId=self._client)
        self.position, self.velocity, self.height = position, velocity, self._radius

    def kick(self, x: float, y: float) -> None:
        """Change the velocity of the marble along the board at once [m/s]."""
        (vx, vy, vz), spin = p.getBaseVelocity(self._marble, self._client)
        p.resetBaseVelocity(self._marble, (vx + x, vy + y, vz), spin, physicsClientId=self._client)
        self.velocity = (vx + x, vy + y)

    def step(self, command_x: float, command_y: float) -> None:
        """Simulate one control step; see :meth:`Board.step`."""
        client = self._client
        simulate, sin = p.stepSimulation, math.sin
        servo_x, servo_y = self.servos
        # Where the marble will be in the middle of the step is near enough for the board's own slope.
        x, y = self.position
        warp_x, warp_y = self._slope_per_metre * x, self._slope_per_metre * y
        for slope_x, slope_y, count in zip(servo_x.move(command_x), servo_y.move(command_y), self._blocks, strict=True):
            gx, gy = sin(slope_x + warp_x), sin(slope_y + warp_y)
            p.setGravity(GRAVITY * gx, GRAVITY * gy, -GRAVITY * math.sqrt(1.0 - gx * gx - gy * gy), client)
            for _ in range(count // self._steps_a_call):
                simulate(client)
        (x, y, self.height), _ = p.getBasePositionAndOrientation(self._marble, client)
        (vx, vy, _), _ = p.getBaseVelocity(self._marble, client)
        self.position, self.velocity = (x, y), (vx, vy)
