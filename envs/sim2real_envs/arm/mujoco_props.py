"""The cube and its table in MuJoCo."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from sim2real.domains.space import Domain
from sim2real_envs.arm.mujoco_arm import multiply_friction, read_friction
from sim2real_envs.arm.props import FAR_AWAY, TABLE_CENTRE, TABLE_SIZE, Cube
from sim2real_envs.mujoco_simulation import MujocoSimulation

_CONTACT_FREQUENCY = 100.0
"""Natural frequency of a contact [rad/s]: that of a bounce which takes 30 ms."""
_LEAST_BOUNCE = math.exp(-2.0)
"""Restitution of a critically damped contact."""


def add_cube(spec: mujoco.MjSpec) -> None:
    """Add a cube on a table to a world with a hand; only those three touch each other."""
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10.0  # what is held by friction creeps the less
    table = {"type": mujoco.mjtGeom.mjGEOM_BOX, "pos": TABLE_CENTRE, "size": [edge / 2 for edge in TABLE_SIZE]}
    spec.worldbody.add_geom(name="table", contype=0, conaffinity=0, **table)
    cube = spec.worldbody.add_body(name="cube", pos=FAR_AWAY)
    cube.add_freejoint(name="cube")
    cube.add_geom(name="cube", type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.02] * 3, mass=0.1, contype=0, conaffinity=0)
    hand = [geom.name for geom in spec.geoms if geom.name.startswith("hand_")]
    for one, other in [("table", "cube"), *((thing, part) for thing in ("table", "cube") for part in hand)]:
        spec.add_pair(name=f"{one}-{other}", geomname1=one, geomname2=other, condim=3)


class MujocoCube(Cube):
    """A cube on a table, with sharp edges.

    A contact is a spring and a damper that push and never pull; their damping ratio makes the restitution. Friction
    keeps the damping that MuJoCo gives it by default: with that of a contact which bounces well, a thing would creep.

    Args:
        simulation: The world it is in, with what :func:`add_cube` adds.
    """

    def __init__(self, simulation: MujocoSimulation) -> None:
        self._simulation = simulation
        self._model, self._data = world, _ = simulation.model, simulation.data
        self._body: int = world.body("cube").id
        self._geom: int = world.geom("cube").id
        self._table: int = world.geom("table").id
        self._pairs = np.flatnonzero((world.pair_geom1 == self._geom) | (world.pair_geom2 == self._geom))
        first = int(world.jnt_qposadr[world.joint("cube").id])
        self._pose = slice(first, first + 7)
        first = int(world.jnt_dofadr[world.joint("cube").id])
        self._motion = slice(first, first + 6)
        world.pair_solreffriction[self._pairs] = world.pair_solref[self._pairs]
        # Without restitution: all the speed is taken in one physics step. More would throw the things back.
        self._largest_ratio = max(1.2, 0.5 / (_CONTACT_FREQUENCY * simulation.physics_dt))
        self.size = 2.0 * float(world.geom_size[self._geom, 0])
        self.measure()

    def set_domain(self, domain: Domain) -> None:
        """Set mass, size, friction and restitution of the cube, and the friction of the table."""
        world, mass = self._model, domain["object_mass"]
        self.size = domain["object_size"]
        half = self.size / 2.0
        world.geom_size[self._geom] = half
        world.geom_aabb[self._geom, 3:] = half
        world.geom_rbound[self._geom] = math.sqrt(3.0) * half
        world.body_mass[self._body] = mass
        world.body_inertia[self._body] = mass * self.size**2 / 6.0
        world.geom_friction[self._geom, 0] = domain["object_friction"]
        world.geom_friction[self._table, 0] = domain["table_friction"]
        multiply_friction(world)
        ratio = _damping_ratio(domain["object_restitution"], self._largest_ratio)
        # Negative numbers are stiffness and damping themselves, per unit of mass.
        world.pair_solref[self._pairs] = (-(_CONTACT_FREQUENCY**2), -2.0 * ratio * _CONTACT_FREQUENCY)
        self._simulation.derive_constants()

    def get_domain(self) -> Domain:
        """Read the same back from MuJoCo's model."""
        world = self._model
        stiffness, damping = -world.pair_solref[self._pairs[0]]
        return {
            "object_mass": float(world.body_mass[self._body]),
            "object_size": 2.0 * float(world.geom_size[self._geom, 0]),
            "object_friction": read_friction(world, "cube"),
            "object_restitution": _restitution(damping / (2.0 * math.sqrt(stiffness)), self._largest_ratio),
            "table_friction": read_friction(world, "table"),
        }

    def _place(self, position: tuple[float, ...], orientation: tuple[float, ...]) -> None:
        x, y, z, w = orientation
        self._data.qpos[self._pose] = (*position, w, x, y, z)
        self.push((0.0, 0.0, 0.0))

    def push(self, velocity: tuple[float, ...]) -> None:
        """Give the cube a velocity, shape (3,) [m/s]."""
        self._data.qvel[self._motion] = (*velocity, 0.0, 0.0, 0.0)

    def measure(self) -> None:
        """Read from the engine where the cube is and how fast it moves."""
        pose = self._data.qpos[self._pose]
        self.position = pose[:3].copy()
        w, x, y, z = pose[3:].tolist()
        self.orientation = (x, y, z, w)
        self.velocity = self._data.qvel[self._motion][:3].copy()


def _damping_ratio(restitution: float, largest: float) -> float:
    """Return the damping ratio of a contact, the inverse of :func:`_restitution`."""
    if restitution <= _LEAST_BOUNCE:
        return 1.0 / (1.0 + (1.0 / largest - 1.0) * (1.0 - restitution / _LEAST_BOUNCE))
    low, high, wanted = 0.0, math.pi / 2.0, -math.log(restitution) / 2.0
    for _ in range(60):
        angle = (low + high) / 2.0
        low, high = (angle, high) if angle / math.tan(angle) > wanted else (low, angle)
    return math.cos(angle)


def _restitution(ratio: float, largest: float) -> float:
    """Return the restitution of a spring and a damper of a damping ratio that push and never pull.

    The bounce ends when the force is zero, before the spring is relaxed: ``exp(-2 phi / tan phi)``, ``cos phi`` being
    the ratio (Schwager and Poeschel, Granular Matter 9, 2007). Beyond critical damping it falls about linearly with
    the inverse of the ratio, and counts as zero at the largest one.
    """
    if ratio >= 1.0:
        return _LEAST_BOUNCE * (1.0 - (1.0 / ratio - 1.0) / (1.0 / largest - 1.0))
    angle = math.acos(ratio)
    return math.exp(-2.0 * angle / math.tan(angle))
