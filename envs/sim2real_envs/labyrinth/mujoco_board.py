"""The board and the marble in MuJoCo: a plate on two hinges that really turns, with contacts of its own.

Nothing here was tuned to the PyBullet board. What differs: the plate has inertia and its drive is a spring, so it lags,
overshoots and gives way under the marble; forces of inertia act, and a board that is jerked down leaves the marble in
the air; contacts are soft, friction slides a little before it holds.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np

from sim2real.domains.space import Domain
from sim2real_envs.labyrinth.board import DRIVE_STIFFNESS, WALL_FRICTION, WALL_HEIGHT, Board
from sim2real_envs.labyrinth.layout import WALL_THICKNESS, Layout
from sim2real_envs.labyrinth.route import Point
from sim2real_envs.mujoco_simulation import MujocoSimulation
from sim2real_envs.simulation import GRAVITY

_BLOCKS = 5  # how often the drive hears where to go in a control step
_PLATE_DENSITY = 1.2  # of plywood with its walls [kg/m^2]
_DRIVE_LIMIT = 0.3  # largest moment of the drive [N m]
_FLOOR_TIME = 2.5  # time constant of the contact with the floor [physics steps]; less than two are unstable
_THICK = 0.1  # half of floor and glass, so that nothing comes out on the other side [m]
_WALL_RATE = 300.0  # angular frequency of the contact with a wall [rad/s]: at 1.5 m/s the marble sinks in by 4.5 mm
_LEAST_ROLLING = 1e-5  # MuJoCo takes what is less for this much [m]
_SLIDING, _ROLLING = 3, 6  # dimensions of a contact without and with resistance to rolling
_X, _Y, _Z = 2, 3, 4  # of the marble among the positions and velocities, after the two hinges


class MujocoBoard(Board):
    """A board of a layout in a MuJoCo world of its own.

    The marble is a child of the plate, so its coordinates are those on the board. The plate's hinges are driven
    towards the slope of the servos by springs with ``DRIVE_STIFFNESS`` and critical damping, which follow a steady
    motion without delay; under the marble's weight they bend. The warp is a force on the marble, in proportion to its
    distance from the middle. A pane of glass on the walls keeps a marble in that is thrown up.

    The floor is one piece, and a marble over a hole has fallen by the rules of the game, as in every engine: a floor of
    boxes with gaps between them would have seams too, where soft contacts are as steep as a tilted board.

    Args:
        layout: Walls.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``.

    Raises:
        Sim2RealError: The two times do not fit together.
    """

    def __init__(self, layout: Layout, *, control_dt: float, physics_dt: float) -> None:
        simulation = MujocoSimulation(_describe(layout), control_dt=control_dt, physics_dt=physics_dt)
        super().__init__(simulation, blocks=_BLOCKS)
        self._world = simulation
        self._model, self._data = model, data = simulation.model, simulation.data
        self._marble = model.body("marble").id
        self._ball, self._floor, glass = (model.geom(name).id for name in ("ball", "floor", "glass"))
        self._walls = [model.geom(f"wall{k}").id for k in range(len(layout.frame) + len(layout.walls))]
        # Views: a number in one of them is read and set faster than through the names of the model.
        self._position, self._velocity = data.qpos, data.qvel
        about_x, about_y, _ = model.body_inertia[model.body("plate").id]
        self._damping = [2.0 * math.sqrt(DRIVE_STIFFNESS * inertia) for inertia in (about_y, about_x)]
        model.actuator_biasprm[:, 2] = np.negative(self._damping)
        model.geom_solref[[self._floor, glass]] = (_FLOOR_TIME * simulation.physics_dt, 1.0)

    @property
    def slopes(self) -> Point:
        """How the plate is tilted [rad]."""
        x, y = self._position[:2].tolist()
        return x, y

    def _set_marble(self, domain: Domain) -> None:
        model = self._model
        radius, mass, sliding = domain["marble_radius"], domain["marble_mass"], domain["sliding_friction"]
        rolling = domain["rolling_friction"] * radius
        model.body_mass[self._marble] = mass
        model.body_inertia[self._marble] = 0.4 * mass * radius * radius
        model.geom_size[self._ball, 0] = model.geom_rbound[self._ball] = radius
        model.geom_aabb[self._ball, 3:] = radius
        model.geom_friction[self._floor] = (sliding, _LEAST_ROLLING, rolling)
        model.geom_condim[self._floor] = _ROLLING if rolling >= 0.5 * _LEAST_ROLLING else _SLIDING
        model.geom_friction[self._walls, 0] = WALL_FRICTION * sliding
        damping = _damping_ratio(domain["restitution"])
        model.geom_solref[self._walls] = (1.0 / (_WALL_RATE * damping), damping)
        self._world.derive_constants()
        self._radius = radius
        self._force_per_metre = mass * GRAVITY * domain["board_warp"]

    def _read_marble(self) -> Domain:
        model = self._model
        radius = float(model.geom_size[self._ball, 0])
        sliding, _, rolling = model.geom_friction[self._floor].tolist()
        return {
            "marble_radius": radius,
            "marble_mass": float(model.body_mass[self._marble]),
            "rolling_friction": rolling / radius,
            "sliding_friction": sliding,
            "restitution": _restitution(float(model.geom_solref[self._walls[0], 1])),
        }

    def _place(self, position: Point, velocity: Point) -> None:
        self._world.reset()
        vx, vy = velocity
        slopes = [servo.slope for servo in self.servos]
        self._position[:5] = (*slopes, *position, self._radius)
        self._velocity[_X:] = (vx, vy, 0.0, -vy / self._radius, vx / self._radius, 0.0)
        self._last_slopes = tuple(slopes)
        self.position, self.velocity, self.height = position, velocity, self._radius

    def kick(self, x: float, y: float) -> None:
        """Change the velocity of the marble along the board at once [m/s]."""
        self._velocity[_X : _Y + 1] += x, y
        vx, vy = self._velocity[_X:_Z].tolist()
        self.velocity = (vx, vy)

    def step(self, command_x: float, command_y: float) -> None:
        """Simulate one control step; see :meth:`Board.step`."""
        model, data = self._model, self._data
        servo_x, servo_y = self.servos
        damping_x, damping_y = self._damping
        last_x, last_y = self._last_slopes
        for x, y, count in zip(servo_x.move(command_x), servo_y.move(command_y), self._blocks, strict=True):
            rate = 1.0 / (count * self.simulation.physics_dt)
            data.ctrl[0] = DRIVE_STIFFNESS * x + damping_x * (x - last_x) * rate
            data.ctrl[1] = DRIVE_STIFFNESS * y + damping_y * (y - last_y) * rate
            data.qfrc_applied[_X] = self._force_per_metre * data.qpos[_X]
            data.qfrc_applied[_Y] = self._force_per_metre * data.qpos[_Y]
            mujoco.mj_step(model, data, count)
            last_x, last_y = x, y
        self._last_slopes = last_x, last_y
        px, py, self.height = self._position[_X : _Z + 1].tolist()
        vx, vy = self._velocity[_X:_Z].tolist()
        self.position, self.velocity = (px, py), (vx, vy)


def _describe(layout: Layout) -> mujoco.MjSpec:
    """Return the world: a plate on two hinges, with a floor, walls, a pane of glass, and a marble."""
    spec = mujoco.MjSpec()
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10.0  # friction that gives way less than the contact does
    # The marble touches its parent, the plate; and the shapes are found by spheres that follow a change of its radius.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_FILTERPARENT | mujoco.mjtDisableBit.mjDSBL_MIDPHASE
    x, y = layout.size
    mass = _PLATE_DENSITY * x * y
    about_x, about_y = mass * y * y / 12.0, mass * x * x / 12.0
    plate = spec.worldbody.add_body(
        name="plate", explicitinertial=True, mass=mass, inertia=(about_x, about_y, about_x + about_y)
    )
    # The second turns with the first; with positive angles the plate falls along x and y.
    for name, axis in (("slope_x", (0.0, 1.0, 0.0)), ("slope_y", (-1.0, 0.0, 0.0))):
        plate.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=axis)
        drive = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        drive.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        drive.biasprm[1] = -DRIVE_STIFFNESS
        drive.forcelimited, drive.forcerange = True, (-_DRIVE_LIMIT, _DRIVE_LIMIT)
    solimp = (0.99, 0.99, 0.001, 0.5, 2.0)
    # Contacts take their properties from the plate.
    common = {"type": mujoco.mjtGeom.mjGEOM_BOX, "priority": 1, "solimp": solimp, "condim": _SLIDING}
    half, thick = 0.5 * WALL_HEIGHT, 0.5 * WALL_THICKNESS
    for name, z in (("floor", -_THICK), ("glass", WALL_HEIGHT + _THICK)):
        plate.add_geom(name=name, pos=(0.0, 0.0, z), size=(x, y, _THICK), **common)
    for number, (x0, y0, x1, y1) in enumerate((*layout.frame, *layout.walls)):
        plate.add_geom(
            name=f"wall{number}",
            pos=((x0 + x1) / 2, (y0 + y1) / 2, half),
            size=((x1 - x0) / 2 + thick, (y1 - y0) / 2 + thick, half),
            **common,
        )
    marble = plate.add_body(name="marble", explicitinertial=True, mass=1.0, inertia=(1.0, 1.0, 1.0))
    for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        marble.add_joint(type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis)
    marble.add_joint(type=mujoco.mjtJoint.mjJNT_BALL)
    marble.add_geom(name="ball", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.006, 0.0, 0.0))
    return spec


def _damping_ratio(restitution: float) -> float:
    """Return the damping of a linear spring from which a body comes back with this share of its speed, up to 1.

    A contact lets go when it begins to pull, a little before the spring is back: up to 0.13 more is left in fact.
    """
    if restitution == 0.0:
        return 1.0
    decay = -math.log(restitution)
    return decay / math.hypot(math.pi, decay)


def _restitution(damping_ratio: float) -> float:
    """Return the inverse of :func:`_damping_ratio`."""
    if damping_ratio >= 1.0:
        return 0.0
    return math.exp(-math.pi * damping_ratio / math.sqrt(1.0 - damping_ratio * damping_ratio))
