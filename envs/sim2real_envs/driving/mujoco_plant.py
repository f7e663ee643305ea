"""The driving worlds in MuJoCo: sprung wheels that turn on hinges and touch the ground, with MuJoCo's own friction.

Nothing here is fitted to the other engine. What they share is the car: its masses, sizes and motors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.domains.space import Domain
from sim2real_envs.driving.course import Course
from sim2real_envs.driving.plant import RIDE_HEIGHT, PlanarState, Size
from sim2real_envs.driving.vehicle import Axles, Vehicle
from sim2real_envs.mujoco_simulation import MujocoSimulation
from sim2real_envs.simulation import GRAVITY

_SPRING_FREQUENCY = 6.0  # of the body on its springs [Hz]; with none the wheels hop when they slide
_SPRING_DAMPING = 0.5  # of critical
_STEERING_STIFFNESS, _STEERING_DAMPING = 30.0, 0.3  # of a servo's linkage [N m/rad, N m s/rad]
_STEERING_TORQUE = 10.0  # [N m]; the limit in the URDF of the racecar
_IMPRATIO = 10.0  # how much harder friction is than contact, so that a parked car does not creep
_LOOK_EVERY = 0.008  # time between two looks at what the hull touches [s]; at full speed it goes 4 cm
_LYING = 0.7  # cosine of the lean from which on a vehicle counts as tipped over: it will not stand up again
_WALLS = 2  # geometry group of all that beams see
_HIDDEN = {"contype": 0, "conaffinity": 0}
_CORNERS = ((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0))  # front left, front right, rear left, rear right


class MujocoPlant:
    """See :class:`~sim2real_envs.driving.plant.Plant`.

    As far as contact goes a wheel is a ball: on a plane both touch at one point below their middle. Walls and boxes
    touch nothing, because a touch ends the episode; whether one reaches into the vehicle is seen by rays along its
    edges, which no thin sheet can avoid.

    Args:
        vehicle, course, boxes, control_dt, physics_dt: As :func:`~sim2real_envs.driving.plant.make_plant` takes them.
    """

    def __init__(
        self, vehicle: type[Vehicle], course: Course, boxes: Sequence[Size], *, control_dt: float, physics_dt: float
    ) -> None:
        spec = mujoco.MjSpec()
        spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
        spec.option.impratio = _IMPRATIO
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0.0, 0.0, 1.0])
        _add_walls(spec, course)
        for number, half_extents in enumerate(boxes):
            body = spec.worldbody.add_body(name=f"box_{number}", mocap=True)
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=list(half_extents), group=_WALLS, **_HIDDEN)
        _add_vehicle(spec, vehicle)
        simulation = MujocoSimulation(spec, control_dt=control_dt, physics_dt=physics_dt)
        self.control_dt, self.physics_dt, self.substeps = control_dt, physics_dt, simulation.substeps
        self._simulation, self._model, self._data = simulation, simulation.model, simulation.data
        self.focus, self.close = simulation.focus, simulation.close
        self.state = PlanarState()

        model = self._model
        self._axles, self._usual_centre, self._usual_mass = vehicle.axles, vehicle.centre, vehicle.nominal_mass
        self._chassis = model.body("chassis").id
        self._vehicle = [body for body in range(model.nbody) if model.body_rootid[body] == self._chassis]
        self._usual_masses = model.body_mass[self._vehicle].copy()
        self._usual_inertias = model.body_inertia[self._vehicle].copy()
        self._wheels = [model.geom(f"wheel_{corner}").id for corner in range(4)]
        self._friction = math.nan

        self._corner = vehicle.half_extents[:2]
        self._look_every = max(1, round(_LOOK_EVERY / physics_dt))
        self._unseen, self._upright = 0, 1.0
        self._edges = np.zeros((2, 3))
        self._met = np.zeros(2), np.zeros(2, np.int32)
        self._group = np.zeros(6, np.uint8)
        self._group[_WALLS] = 1

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set mass, its centre and the slope; ``domain`` is complete."""
        model = self._model
        model.body_mass[self._vehicle] = domain["mass"] * self._usual_masses
        model.body_inertia[self._vehicle] = domain["mass"] * self._usual_inertias
        share = model.body_mass[self._chassis] / model.body_mass[self._vehicle].sum()
        model.body_ipos[self._chassis, 0] = (domain["centre_of_mass"] + self._usual_centre) / share
        self._simulation.set_gravity_tilt(domain["slope"])
        self._simulation.derive_constants()

    def get_domain(self) -> Domain:
        """Read all back from the model."""
        model = self._model
        mass = float(model.body_mass[self._vehicle].sum())
        share = float(model.body_mass[self._chassis]) / mass
        return {
            "mass": mass / self._usual_mass,
            "centre_of_mass": float(model.body_ipos[self._chassis, 0]) * share - self._usual_centre,
            "slope": self._simulation.read_gravity_tilt(),
        }

    def place(self, x: float, y: float, yaw: float) -> None:
        """Put the vehicle at rest at a place [m, rad]."""
        data = self._data
        boxes = data.mocap_pos.copy(), data.mocap_quat.copy()
        self._simulation.reset()
        data.mocap_pos[:], data.mocap_quat[:] = boxes
        data.qpos[:2] = x, y
        data.qpos[3:7] = math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)
        self._unseen = 0
        mujoco.mj_kinematics(self._model, data)  # beams see what this has moved
        self._measure()

    def push(self, x: float, y: float) -> None:
        """Change the velocity of the vehicle by an impulse in world coordinates [N s]."""
        mass = float(self._model.body_mass[self._vehicle].sum())
        self._data.qvel[:2] += x / mass, y / mass
        self._measure()

    def put(self, number: int, x: float, y: float, yaw: float) -> None:
        """Put a box at a place [m, rad]."""
        self._data.mocap_pos[number] = x, y, RIDE_HEIGHT
        self._data.mocap_quat[number] = math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)

    def advance(self, wheels: tuple[float, float, float], friction: float) -> bool:
        """Simulate one physics step; return whether the hull has met a wall or a box, or tips over."""
        if friction != self._friction:
            self._model.geom_friction[self._wheels, 0] = self._friction = friction
        angle, left, right = wheels
        drives = left, right, left, right
        self._data.ctrl[:] = (*_ackermann(angle, self._axles), *drives) if self._axles.steered else drives
        mujoco.mj_step(self._model, self._data)
        self._measure()
        self._unseen += 1
        return self._upright < _LYING or (self._unseen % self._look_every == 0 and self._touches())

    def cast(self, start: tuple[float, float], ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what part of their way beams go, shape (n,)."""
        ways = np.zeros((len(ends), 3))
        ways[:, :2] = ends - start
        parts, hit = np.empty(len(ends)), np.empty(len(ends), np.int32)
        self._trace(start, ways, parts, hit)
        return np.where((parts < 0.0) | (parts > 1.0), 1.0, parts)

    def _trace(
        self,
        start: tuple[float, float],
        ways: NDArray[np.float64],
        parts: NDArray[np.float64],
        hit: NDArray[np.int32],
    ) -> None:
        # Lengths are in units of the ways, which are not normalized; what is not hit has -1.
        mujoco.mj_multiRay(
            self._model,
            self._data,
            (*start, RIDE_HEIGHT),
            ways.reshape(-1),
            self._group,
            True,
            -1,
            hit,
            parts,
            None,
            len(ways),
            mujoco.mjMAXVAL,
        )

    def _measure(self) -> None:
        x, y, _, qw, qx, qy, qz = self._data.qpos[:7].tolist()
        vx, vy, _, _, _, yaw_rate = self._data.qvel[:6].tolist()
        self._upright = 1.0 - 2.0 * (qx * qx + qy * qy)
        yaw = math.atan2(2.0 * (qw * qz + qx * qy), 1.0 - 2.0 * (qy * qy + qz * qz))
        cos, sin = math.cos(yaw), math.sin(yaw)
        state = self.state
        state.x, state.y, state.yaw, state.cos, state.sin = x, y, yaw, cos, sin
        state.forward, state.left, state.yaw_rate = cos * vx + sin * vy, cos * vy - sin * vx, yaw_rate

    def _touches(self) -> bool:
        state = self.state
        half_length, half_width = self._corner
        ahead, aside = half_length * state.cos, half_length * state.sin
        to_left, up_left = -half_width * state.sin, half_width * state.cos
        edges, (parts, hit) = self._edges, self._met
        # From front left along two edges, and then from rear right.
        edges[:, :2] = (-2 * ahead, -2 * aside), (-2 * to_left, -2 * up_left)
        for sign in (1.0, -1.0):
            corner = state.x + sign * (ahead + to_left), state.y + sign * (aside + up_left)
            self._trace(corner, sign * edges, parts, hit)
            if 0.0 <= parts[0] <= 1.0 or 0.0 <= parts[1] <= 1.0:
                return True
        return False


def _add_walls(spec: mujoco.MjSpec, course: Course) -> None:
    for number, (track, origin) in enumerate(zip(course.tracks, course.origins, strict=True)):
        vertices, triangles = track.walls()
        spec.add_mesh(
            name=f"walls_{number}",
            uservert=vertices.reshape(-1).tolist(),
            userface=triangles.tolist(),
            inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,  # there is no volume
        )
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=f"walls_{number}",
            pos=[origin, 0.0, 0.0],
            group=_WALLS,
            **_HIDDEN,
        )


def _add_vehicle(spec: mujoco.MjSpec, vehicle: type[Vehicle]) -> None:
    axles = vehicle.axles
    corner_mass = axles.wheel_mass + axles.upright_mass
    mass = vehicle.nominal_mass - 4 * corner_mass
    centre = vehicle.centre * vehicle.nominal_mass / mass
    # What the corners, each a wheel and an upright, leave of the inertia about the common centre of mass.
    corners = (axles.wheelbase**2 + axles.track_width**2) / 4 + vehicle.centre**2
    yaw_inertia = vehicle.yaw_inertia - mass * (centre - vehicle.centre) ** 2
    yaw_inertia -= 4 * (corner_mass * corners + 2 * axles.turn_inertia)
    chassis = spec.worldbody.add_body(name="chassis", pos=[0.0, 0.0, axles.radius])
    chassis.add_freejoint()
    height = axles.centre_height * vehicle.nominal_mass / mass
    _set_inertia(chassis, mass, (axles.roll_inertia, axles.pitch_inertia, yaw_inertia), (centre, 0.0, height))
    corner_bodies = [_add_corner(chassis, axles, mass, number) for number in range(4)]
    for number in range(2) if axles.steered else ():
        servo = spec.add_actuator(target=f"steering_{number}", trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.set_to_position(kp=_STEERING_STIFFNESS, kv=_STEERING_DAMPING)
        servo.forcelimited, servo.forcerange = True, [-_STEERING_TORQUE, _STEERING_TORQUE]
    for number, body in enumerate(corner_bodies):
        _add_wheel(body, axles, number)
        motor = spec.add_actuator(target=f"spin_{number}", trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.forcelimited, motor.forcerange = True, [-axles.motor_limit, axles.motor_limit]
        motor.gainprm[0] = axles.motor_gain
        motor.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        motor.biasprm[2] = -axles.motor_drag * axles.radius  # per speed of the joint


def _add_corner(chassis: mujoco.MjsBody, axles: Axles, sprung_mass: float, number: int) -> mujoco.MjsBody:
    front, left = _CORNERS[number]
    corner = chassis.add_body(pos=[front * axles.wheelbase / 2, left * axles.track_width / 2, 0.0])
    _set_inertia(corner, axles.upright_mass, (axles.turn_inertia,) * 3)
    stiffness = sprung_mass / 4 * (2 * math.pi * _SPRING_FREQUENCY) ** 2
    corner.add_joint(
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=[0.0, 0.0, 1.0],
        stiffness=[stiffness, 0.0, 0.0],
        damping=[2 * _SPRING_DAMPING * math.sqrt(stiffness * sprung_mass / 4), 0.0, 0.0],
        springref=-sprung_mass / 4 * GRAVITY / stiffness,  # so much is it pressed together at rest
    )
    if axles.steered and front > 0.0:
        corner.add_joint(name=f"steering_{number}", type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0.0, 0.0, 1.0])
    return corner


def _add_wheel(corner: mujoco.MjsBody, axles: Axles, number: int) -> None:
    wheel = corner.add_body()
    _set_inertia(wheel, axles.wheel_mass, (axles.turn_inertia, axles.spin_inertia, axles.turn_inertia))
    wheel.add_joint(name=f"spin_{number}", type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0.0, 1.0, 0.0])
    wheel.add_geom(
        name=f"wheel_{number}",
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=[axles.radius, 0.0, 0.0],
        contype=1,
        conaffinity=0,  # wheels touch the ground, and not each other
        priority=1,  # the friction is theirs
        condim=3,
    )


def _set_inertia(
    body: mujoco.MjsBody,
    mass: float,
    inertia: tuple[float, float, float],
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> None:
    body.explicitinertial = True
    body.mass, body.inertia, body.ipos = mass, list(inertia), list(centre)


def _ackermann(angle: float, axles: Axles) -> tuple[float, float]:
    """Return the angles of the left and the right front wheel [rad] that roll about one point with the rear ones."""
    tangent = math.tan(angle)
    narrower = axles.track_width / 2 / axles.wheelbase * tangent
    return math.atan2(tangent, 1.0 - narrower), math.atan2(tangent, 1.0 + narrower)
