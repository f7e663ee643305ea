"""An arm in MuJoCo."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import mujoco
import numpy as np

from sim2real_envs.arm.plant import ArmDynamics, ArmPlant, Array, Hand, RobotState
from sim2real_envs.arm.robot import RobotModel
from sim2real_envs.mujoco_simulation import MujocoSimulation

_FINGER_GIVE = 0.002
"""How far from its opening a finger presses with all its force [m]."""


def arm_spec(model: RobotModel, hand: Hand) -> mujoco.MjSpec:
    """Return a world with a robot in it: links, inertias, limits and torques of its lean URDF, and its motors.

    Args:
        model: What robot it is.
        hand: What of its hand takes part; its shapes are named ``hand_0`` and so on, and touch nothing by themselves.
    """
    spec = mujoco.MjSpec.from_file(model.urdf(hand))
    spec.compiler.fusestatic = False  # the end effector stays a body, for the payload
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST  # motors damp more than an explicit step bears
    for body in spec.bodies:
        body.gravcomp = 1.0
    for i, geom in enumerate(spec.geoms):
        geom.name = f"hand_{i}"
        geom.contype = geom.conaffinity = 0
    for joint in spec.joints:
        motor = spec.add_actuator(name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.set_to_position(kp=1.0)
        joint.actgravcomp = joint.name in model.joints
        joint.frictionloss = 0.0  # the URDF's; that of the domain is JointServo's
    if hand == "gripper":
        # One drive moves both fingers, as in the real grippers: what is held stays in the middle.
        left, right = model.fingers
        equal = spec.add_equality(name="fingers", type=mujoco.mjtEq.mjEQ_JOINT, name1=left, name2=right)
        equal.objtype = mujoco.mjtObj.mjOBJ_JOINT
        equal.data[:2] = (0.0, 1.0)
    return spec


def multiply_friction(model: mujoco.MjModel) -> None:
    """Give every pair that may touch the product of the two frictions; MuJoCo itself would take the larger one."""
    own = model.geom_friction[:, 0]
    model.pair_friction[:, :2] = (own[model.pair_geom1] * own[model.pair_geom2])[:, None]


def read_friction(model: mujoco.MjModel, geom: str) -> float:
    """Return what ``"table"``, ``"cube"`` or ``"hand_0"`` contributes to the friction of the pairs that may touch."""
    first, second = (other for other in ("table", "cube", "hand_0") if other != geom)

    def friction(*geoms: str) -> float:
        ids = {model.geom(name).id for name in geoms}
        pairs = zip(model.pair_geom1, model.pair_geom2, strict=True)
        return float(model.pair_friction[[set(pair) for pair in pairs].index(ids), 0])

    return float(np.sqrt(friction(geom, first) * friction(geom, second) / friction(first, second)))


class MujocoArm(ArmPlant):
    """An arm whose motors are position servos of finite gains and torques.

    ``torque = kp (command - q) - kv dq``, and what the arm weighs on top, limited as a whole to the motor's largest
    torque. A velocity loop four times as fast as the position loop gives critical damping, the usual choice: with the
    inertia ``m`` at the joint in the home pose and the time constant ``T`` of the robot's position loops,
    ``kv = 4 m / T`` and ``kp = kv / T``. A larger ``position_gain`` makes both loops faster. The gains stay as they
    are when the arm stretches or takes up a payload, and so the motion changes.

    That the motors bear the weight they hold, known or not, stands for the integral part of a real position loop. What
    an unknown load does to the pose, and what friction does, is computed as for every engine, by
    :class:`~sim2real_envs.arm.actuators.JointServo`, so that stiffness and friction mean the same in all of them.
    MuJoCo's own friction loss would not: behind loops as stiff as these it moves no joint by a milliradian.

    Args:
        simulation: The world it stands in, of an :func:`arm_spec`.
        model: What robot it is.
        hand: What of its hand takes part.
    """

    simulation: MujocoSimulation

    def __init__(self, simulation: MujocoSimulation, model: RobotModel, hand: Hand = "bare") -> None:
        self.simulation = simulation
        self._model, self._data = world, data = simulation.model, simulation.data
        n = len(model.joints)
        names = [*model.joints, *(model.fingers if hand == "gripper" else ())]
        self._joints = np.array([world.joint(name).id for name in names])
        self._motors = np.array([world.actuator(name).id for name in names])
        self._positions = world.jnt_qposadr[self._joints]
        self._velocities = world.jnt_dofadr[self._joints]
        self._tip: int = world.body(model.end_effector).id
        self._links = np.append(world.jnt_bodyid[self._joints], self._tip)
        self._hand = [i for i in range(world.ngeom) if world.geom(i).name.startswith("hand_")]
        self._jacobian = np.zeros((6, world.nv))
        self._n = n

        self.lower, self.upper = world.jnt_range[self._joints[:n]].T.copy()
        speeds = _read_speeds(model.urdf(hand))
        self.max_velocity = np.array([speeds[name] for name in model.joints])
        self.stroke = float(world.jnt_range[self._joints[n], 1]) if len(names) > n else 0.0
        self._finger_step = speeds[model.fingers[0]] * simulation.control_dt if len(names) > n else 0.0
        finger_force = float(world.jnt_actfrcrange[self._joints[n], 1]) if len(names) > n else 0.0
        world.actuator_gainprm[self._motors[n:], 0] = finger_force / _FINGER_GIVE
        self.damping = world.dof_damping[self._velocities[:n]].copy()
        world.dof_damping[self._velocities] = 0.0
        self.nominal = ArmDynamics(
            mass=world.body_mass[self._links],
            inertia=world.body_inertia[self._links],
            torque=world.jnt_actfrcrange[self._joints[:n], 1],
            position_gain=1.0,
            finger_force=finger_force,
            finger_friction=1.0,
        )
        self._response_time = model.response_time
        self.reset(np.array(model.home))
        mujoco.mj_forward(world, data)
        inertia = np.zeros((world.nv, world.nv))
        mujoco.mj_fullM(world, data, inertia)
        self._joint_inertia = inertia.diagonal()[self._velocities]
        self.set_dynamics(self.nominal)

    def set_dynamics(self, dynamics: ArmDynamics) -> None:
        """Change the arm."""
        world, n = self._model, self._n
        world.body_mass[self._links] = dynamics.mass
        world.body_inertia[self._links] = dynamics.inertia
        bandwidth = dynamics.position_gain / self._response_time
        damping = 4.0 * self._joint_inertia[:n] * bandwidth
        self._set_gains(self._motors[:n], damping * bandwidth, damping)
        force = np.append(dynamics.torque, [dynamics.finger_force] * (len(self._joints) - n))
        world.jnt_actfrcrange[self._joints] = np.column_stack((-force, force))
        if n < len(self._joints):
            stiffness = self.nominal.finger_force / _FINGER_GIVE
            damping = 2.0 * np.sqrt(stiffness * self._joint_inertia[n:])
            self._set_gains(self._motors[n:], np.full_like(damping, stiffness), damping)
        world.geom_friction[self._hand, 0] = dynamics.finger_friction
        multiply_friction(world)
        self.simulation.derive_constants()

    def _set_gains(self, motors: Array, stiffness: Array, damping: Array) -> None:
        self._model.actuator_gainprm[motors, 0] = stiffness
        self._model.actuator_biasprm[motors, 1] = -stiffness
        self._model.actuator_biasprm[motors, 2] = -damping

    def read_dynamics(self) -> ArmDynamics:
        """Read all of it back from MuJoCo's model."""
        world, n = self._model, self._n
        stiffness, damping = -world.actuator_biasprm[self._motors[0], 1:3]
        fingers = self._joints[n:]
        return ArmDynamics(
            mass=world.body_mass[self._links],
            inertia=world.body_inertia[self._links],
            torque=world.jnt_actfrcrange[self._joints[:n], 1],
            position_gain=float(stiffness / damping * self._response_time),
            finger_force=float(world.jnt_actfrcrange[fingers[0], 1]) if len(fingers) else 0.0,
            finger_friction=read_friction(world, "hand_0") if self._hand else 1.0,
        )

    def reset(self, position: Array) -> None:
        """Put the arm at rest with its fingers open; the world begins anew."""
        self.simulation.reset()
        everything = np.append(position, [self.stroke] * (len(self._joints) - self._n))
        self._data.qpos[self._positions] = everything
        self._data.ctrl[self._motors] = everything

    def measure(self) -> RobotState:
        """Read the state from the engine."""
        world, data = self._model, self._data
        # A step ends with new joint positions, but with the poses of the links at its beginning.
        mujoco.mj_kinematics(world, data)
        mujoco.mj_comPos(world, data)
        mujoco.mj_jacBody(world, data, self._jacobian[:3], self._jacobian[3:], self._tip)
        position = data.qpos[self._positions]
        w, x, y, z = data.xquat[self._tip].tolist()
        return RobotState(
            position[: self._n],
            data.qvel[self._velocities[: self._n]],
            data.xpos[self._tip].copy(),
            self._jacobian[:3] @ data.qvel,
            (x, y, z, w),
            float(position[self._n :].sum()),
        )

    def jacobian(self) -> Array:
        """Return the Jacobian of the end effector, shape (6, n)."""
        return np.asarray(self._jacobian[:, self._velocities[: self._n]])

    def link_points(self) -> tuple[Array, Array]:
        """Return the centres of mass of the links, shape (m, 3), and a point on each axis, shape (n, 3) [m]."""
        return self._data.xipos[self._links], self._data.xanchor[self._joints[: self._n]]

    def drive(self, position: Array) -> None:
        """Let the motors drive the joints to a position."""
        self._data.ctrl[self._motors[: self._n]] = position

    def drive_fingers(self, opening: float) -> None:
        """Let the gripper drive each finger to an opening [m], no faster than it can."""
        measured = self._data.qpos[self._positions[self._n :]]
        step = np.clip(opening - measured, -self._finger_step, self._finger_step)
        self._data.ctrl[self._motors[self._n :]] = measured + step


def _read_speeds(urdf: str) -> dict[str, float]:
    """Return the largest speed of every joint that has one [rad/s, m/s]; MuJoCo does not read them."""
    joints = ET.parse(urdf).getroot().iter("joint")
    limits = {joint.get("name", ""): joint.find("limit") for joint in joints}
    return {name: float(limit.get("velocity", 0.0)) for name, limit in limits.items() if limit is not None}
