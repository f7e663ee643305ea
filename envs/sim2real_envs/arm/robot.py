"""A robot arm of any make in a :class:`Simulation`: it is described by a :class:`RobotModel` and knows no task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.space import Domain
from sim2real.errors import Sim2RealError
from sim2real_envs.arm.actuators import JointServo, joint_load
from sim2real_envs.arm.kinematics import joint_displacement, rotation_vector
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.simulation import Simulation

Array = NDArray[np.float64]

_PAYLOAD_RADIUS = 0.04
"""Radius of the ball that stands for the payload [m]."""
_POSTURE_GAIN = 0.1
"""Part of the way back to the home posture that redundant joints go in one control step."""

_LIMIT_MARGIN = 0.05
"""How far from their limits the joints are commanded to stay [rad]: a moving joint overshoots."""


@dataclass(frozen=True, kw_only=True)
class RobotModel:
    """What there is to say about a robot that its URDF does not say; joint limits and torques stand there."""

    urdf: str
    """Path of the lean model: inertias to be used as written, no shapes."""
    visual_urdf: str
    """Path, in ``pybullet_data``, of the model that is drawn; its joints have the same names."""
    joints: tuple[str, ...]
    """Names of the controlled joints, from base to tip."""
    end_effector: str
    """Massless link behind the last joint: the frame that is controlled, and that holds the payload."""
    home: tuple[float, ...]
    """Joint positions at the start of an episode [rad]."""
    stiffness: tuple[float, ...]
    """Stiffness of the joint servos against unknown load [N m/rad]."""
    response_time: float
    """Time constant of the position loops [s]."""

    def __post_init__(self) -> None:
        for field in ("home", "stiffness"):
            if len(getattr(self, field)) != len(self.joints):
                raise Sim2RealError(f"{field} has {len(getattr(self, field))} values for {len(self.joints)} joints.")
        if not all(value > 0.0 for value in self.stiffness):
            raise Sim2RealError(f"stiffness = {self.stiffness} must be positive.")
        if not self.response_time > 0.0:
            raise Sim2RealError(f"response_time = {self.response_time} must be positive.")


@dataclass(frozen=True, slots=True)
class RobotState:
    """What is measured of a robot after a control step."""

    joint_position: Array
    """Shape (n,) [rad]."""
    joint_velocity: Array
    """Shape (n,) [rad/s]."""
    position: Array
    """Position of the end effector, shape (3,) [m]."""
    velocity: Array
    """Velocity of the end effector, shape (3,) [m/s]."""
    orientation: tuple[float, float, float, float]
    """Orientation of the end effector, quaternion xyzw."""


class Robot:
    """A robot fixed to the origin of a simulation.

    Args:
        simulation: The world it stands in.
        model: What robot it is.
    """

    def __init__(self, simulation: Simulation, model: RobotModel) -> None:
        self.model = model
        self._simulation = simulation
        self._client = client = simulation.client
        self._body: int = p.loadURDF(
            model.urdf, useFixedBase=True, flags=p.URDF_USE_INERTIA_FROM_FILE, physicsClientId=client
        )
        infos = [p.getJointInfo(self._body, i, client) for i in range(p.getNumJoints(self._body, client))]
        by_joint = {info[1].decode(): info for info in infos}
        self._joints: list[int] = [by_joint[name][0] for name in model.joints]
        self._end_effector: int = next(info[0] for info in infos if info[12].decode() == model.end_effector)
        self._links = [*self._joints, self._end_effector]
        limits = np.array([by_joint[name][8:12] for name in model.joints])
        self.lower, self.upper, self.max_torque, self.max_velocity = limits.T
        """Joint limits [rad], largest torques [N m] and speeds [rad/s], shape (n,) each."""
        self.max_step = self.max_velocity * simulation.control_dt
        """Farthest that a joint is commanded to go in one control step, shape (n,) [rad]."""

        self.home = np.array(model.home)
        self._home_list = [[q] for q in model.home]
        self._still = [[0.0] for _ in model.home]
        self._zeros = [0.0] * len(model.home)
        dynamics = [p.getDynamicsInfo(self._body, link, client) for link in self._links]
        self._nominal_mass = np.array([info[0] for info in dynamics])
        self._nominal_inertia = np.array([info[2] for info in dynamics])
        self._nominal_gravity = simulation.gravity
        self._torque_share = self.max_torque / self.max_torque.max()
        self._stiffness = np.array(model.stiffness)
        self._servo = JointServo(self._stiffness, np.zeros_like(self._stiffness))
        self._unknown_force: Array | None = None
        self._motor_torque = self.max_torque
        self._motor_gain = self._position_gain(1.0)
        self.reset()
        self.home_rotation = self._rotation()

    def _position_gain(self, factor: float) -> float:
        # Bullet's gain acts once per physics step: the part of the error that is removed in it.
        return float(-np.expm1(-factor * self._simulation.physics_dt / self.model.response_time))

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set the physical parameters of the robot and of its world; ``domain`` is complete."""
        client = self._client
        mass = self._nominal_mass * domain["link_mass"]
        inertia = self._nominal_inertia * domain["link_mass"]
        mass[-1] = domain["payload"]
        inertia[-1] = 0.4 * domain["payload"] * _PAYLOAD_RADIUS**2  # a solid ball
        damping = domain["joint_damping"] * self._torque_share
        for i, link in enumerate(self._links):
            # The mass alone would make Bullet compute the inertia anew, from shapes that are not there.
            p.changeDynamics(
                self._body, link, mass=mass[i], localInertiaDiagonal=inertia[i].tolist(), physicsClientId=client
            )
        for i, joint in enumerate(self._joints):
            p.changeDynamics(self._body, joint, jointDamping=damping[i], physicsClientId=client)
        self._simulation.set_gravity_tilt(domain["gravity_tilt"])
        self._motor_torque = self.max_torque * domain["motor_strength"]
        self._motor_gain = self._position_gain(domain["position_gain"])
        self._servo = JointServo(
            self._stiffness * domain["servo_stiffness"], domain["joint_friction"] * self._torque_share
        )
        # The controller compensates the weight of the nominal arm standing upright, and nothing else.
        force = np.outer(mass, self._simulation.gravity) - np.outer(self._nominal_mass, self._nominal_gravity)
        self._unknown_force = force if force.any() else None

    def get_domain(self) -> Domain:
        """Read the domain back: masses, damping and gravity from the engine, the rest from what drives the motors.

        Bullet does not tell the gain and the largest torque of a motor; they are derived from the arrays that are sent
        with every command. Servo stiffness and friction live in :class:`JointServo`, outside the engine.
        """
        p.syncBodyInfo(physicsClientId=self._client)  # getJointInfo answers from a copy made when the URDF was loaded
        strongest = int(np.argmax(self.max_torque))
        joint = self._joints[strongest]
        mass = p.getDynamicsInfo(self._body, joint, self._client)[0]
        gain = -np.log1p(-self._motor_gain) * self.model.response_time / self._simulation.physics_dt
        return {
            "link_mass": mass / float(self._nominal_mass[strongest]),
            "joint_damping": p.getJointInfo(self._body, joint, self._client)[6],
            "joint_friction": float(self._servo.friction[strongest]),
            "motor_strength": float(self._motor_torque[strongest] / self.max_torque[strongest]),
            "position_gain": float(gain),
            "servo_stiffness": float(self._servo.stiffness[strongest] / self._stiffness[strongest]),
            "payload": p.getDynamicsInfo(self._body, self._end_effector, self._client)[0],
            "gravity_tilt": self._simulation.read_gravity_tilt(),
        }

    def reset(self) -> None:
        """Put the robot at rest in its home pose."""
        p.resetJointStatesMultiDof(self._body, self._joints, self._home_list, self._still, physicsClientId=self._client)
        self.measure()

    def measure(self) -> RobotState:
        """Read the state of the robot from the engine; :attr:`state` keeps it."""
        joints = p.getJointStates(self._body, self._joints, physicsClientId=self._client)
        # Without computeForwardKinematics the link state lags one physics step behind.
        tip = p.getLinkState(
            self._body,
            self._end_effector,
            computeLinkVelocity=1,
            computeForwardKinematics=1,
            physicsClientId=self._client,
        )
        self._position_list = [joint[0] for joint in joints]
        self.state = RobotState(
            np.array(self._position_list),
            np.array([joint[1] for joint in joints]),
            np.array(tip[4]),
            np.array(tip[6]),
            tip[5],
        )
        return self.state

    def command_displacement(self, displacement: Array) -> None:
        """Command the end effector to move relative to where it is measured, keeping its orientation of the home pose.

        Args:
            displacement: Shape (3,) [m].
        """
        rotation = rotation_vector(self._rotation(), self.home_rotation)
        posture = _POSTURE_GAIN * (self.home - self.state.joint_position)
        jacobian = self._jacobian()
        step = joint_displacement(jacobian, np.concatenate((displacement, rotation)), posture)
        # Shortened as a whole where a joint would be too fast: the direction is kept.
        self._command(step / max(1.0, float(np.max(np.abs(step) / self.max_step))), jacobian)

    def command_joints(self, displacement: Array) -> None:
        """Command the joints to move relative to where they are measured.

        Args:
            displacement: Shape (n,) [rad].
        """
        self._command(displacement, None if self._unknown_force is None else self._jacobian())

    def _command(self, displacement: Array, jacobian: Array | None) -> None:
        position = self.state.joint_position
        load = None
        if self._unknown_force is not None and jacobian is not None:
            load = self._unknown_load(self._unknown_force, jacobian[3:].T)
        target = self._servo.rest_position(position + displacement, position, load)
        p.setJointMotorControlArray(
            self._body,
            self._joints,
            p.POSITION_CONTROL,
            targetPositions=np.clip(target, self.lower + _LIMIT_MARGIN, self.upper - _LIMIT_MARGIN).tolist(),
            positionGains=[self._motor_gain] * len(self._joints),
            forces=self._motor_torque.tolist(),
            physicsClientId=self._client,
        )

    def _rotation(self) -> Array:
        return np.array(p.getMatrixFromQuaternion(self.state.orientation)).reshape(3, 3)

    def _jacobian(self) -> Array:
        """Return the Jacobian of the end effector, shape (6, n); its lower half holds the joint axes."""
        linear, angular = p.calculateJacobian(
            self._body,
            self._end_effector,
            [0.0, 0.0, 0.0],
            self._position_list,
            self._zeros,
            self._zeros,
            physicsClientId=self._client,
        )
        return np.array((*linear, *angular))

    def _unknown_load(self, force: Array, axes: Array) -> Array:
        """Return the joint torques of the weight that the controller does not compensate, shape (n,) [N m]."""
        links = p.getLinkStates(self._body, self._links, computeForwardKinematics=1, physicsClientId=self._client)
        centres = np.array([link[0] for link in links])
        origins = np.array([link[4] for link in links[:-1]])
        return joint_load(axes, origins, centres, force)
