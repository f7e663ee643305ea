"""A robot arm of any make in a :class:`Simulation`: it is described by a :class:`RobotModel` and knows no task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.space import Domain
from sim2real.errors import Sim2RealError
from sim2real_envs.arm.actuators import JointServo, joint_load
from sim2real_envs.arm.kinematics import joint_displacement, rotation_vector
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.simulation import Simulation

Array = NDArray[np.float64]
Hand = Literal["bare", "closed", "gripper"]
"""What of the hand takes part: nothing that touches, the shapes of the closed gripper, or two moving fingers."""

HAND_RESTITUTION = 0.5
"""Restitution of hand and table against each other is the square of this; see :mod:`sim2real_envs.arm.props`."""

_PAYLOAD_RADIUS = 0.04
"""Radius of the ball that stands for the payload [m]."""
_POSTURE_GAIN = 0.1
"""Part of the way back to the home posture that redundant joints go in one control step."""

_START_ITERATIONS = 100
"""Steps of the search for the joint positions that put the end effector at its start."""

_LIMIT_MARGIN = 0.05
"""How far from their limits the joints are commanded to stay [rad]: a moving joint overshoots."""


@dataclass(frozen=True, kw_only=True)
class RobotModel:
    """What there is to say about a robot that its URDF does not say; joint limits and torques stand there."""

    name: str
    """Of the lean models that ``scripts/make_robot_models.py`` wrote: ``assets/<name>.urdf`` and its variants."""
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
    fingers: tuple[str, str]
    """Names of the two finger joints, which slide from zero, closed, to their upper limit."""
    workspace: tuple[float, float, float]
    """Middle of where the hand can work pointing down [m]: where the end effector is at home."""
    workspace_size: float = 0.3
    """Edge of the cube around it that is well within reach [m]."""
    max_velocity: tuple[float, ...] | None = None
    """Largest joint speeds [rad/s], where those of the URDF are mere placeholders."""
    damping_share: float = 1.0
    """Part of the domain's joint damping that the strongest joint gets: an arm of small inertia bears little."""
    view_distance: float = 1.35
    """From where the camera sees it whole [m]."""

    def __post_init__(self) -> None:
        for field in ("home", "stiffness", "max_velocity"):
            values = getattr(self, field)
            if values is not None and len(values) != len(self.joints):
                raise Sim2RealError(f"{field} has {len(values)} values for {len(self.joints)} joints.")
        if not all(value > 0.0 for value in self.stiffness):
            raise Sim2RealError(f"stiffness = {self.stiffness} must be positive.")
        if not self.response_time > 0.0:
            raise Sim2RealError(f"response_time = {self.response_time} must be positive.")

    def urdf(self, hand: Hand) -> str:
        """Return the path of the lean model: inertias to be used as written, no shapes but those of the hand."""
        suffix = "" if hand == "bare" else f"_{hand}"
        return str(Path(__file__).parent / "assets" / f"{self.name}{suffix}.urdf")


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
    opening: float = 0.0
    """Distance between the fingers [m]."""


class Robot:
    """A robot fixed to the origin of a simulation.

    Args:
        simulation: The world it stands in.
        model: What robot it is.
        hand: What of its hand takes part.
        start: Where the end effector is at the start of an episode [m]; ``None`` for the home pose.
    """

    def __init__(
        self,
        simulation: Simulation,
        model: RobotModel,
        *,
        hand: Hand = "bare",
        start: Sequence[float] | None = None,
    ) -> None:
        self.model = model
        self._simulation = simulation
        self._client = client = simulation.client
        self._body: int = p.loadURDF(
            model.urdf(hand), useFixedBase=True, flags=p.URDF_USE_INERTIA_FROM_FILE, physicsClientId=client
        )
        infos = [p.getJointInfo(self._body, i, client) for i in range(p.getNumJoints(self._body, client))]
        by_joint = {info[1].decode(): info for info in infos}
        self._joints: list[int] = [by_joint[name][0] for name in model.joints]
        self._end_effector: int = next(info[0] for info in infos if info[12].decode() == model.end_effector)
        self._fingers: list[int] = [by_joint[name][0] for name in model.fingers] if hand == "gripper" else []
        self._links = [*self._joints, *self._fingers, self._end_effector]
        self._touching = [] if hand == "bare" else [self._joints[-1], *self._fingers]
        limits = np.array([by_joint[name][8:12] for name in model.joints])
        self.lower, self.upper, self.max_torque, self.max_velocity = limits.T
        """Joint limits [rad], largest torques [N m] and speeds [rad/s], shape (n,) each."""
        if model.max_velocity is not None:
            self.max_velocity = np.array(model.max_velocity)
        self.max_step = self.max_velocity * simulation.control_dt
        """Farthest that a joint is commanded to go in one control step, shape (n,) [rad]."""

        self.stroke = float(by_joint[model.fingers[0]][9]) if self._fingers else 0.0
        """How far each finger opens [m]."""
        self._finger_force = float(by_joint[model.fingers[0]][10]) if self._fingers else 0.0
        self._nominal_finger_force = self._finger_force
        self._finger_speed = float(by_joint[model.fingers[0]][11]) if self._fingers else 0.0

        self.home = np.array(model.home)
        self._moving = [*self._joints, *self._fingers]
        self._still = [[0.0] for _ in self._moving]
        self._zeros = [0.0] * len(self._moving)
        dynamics = [p.getDynamicsInfo(self._body, link, client) for link in self._links]
        self._nominal_mass = np.array([info[0] for info in dynamics])
        self._nominal_inertia = np.array([info[2] for info in dynamics])
        self._nominal_gravity = simulation.gravity
        self._nominal_damping = np.array([info[6] for info in (by_joint[name] for name in model.joints)])
        self._torque_share = self.max_torque / self.max_torque.max()
        self._stiffness = np.array(model.stiffness)
        self._servo = JointServo(self._stiffness, np.zeros_like(self._stiffness))
        self._unknown_force: Array | None = None
        self._motor_torque = self.max_torque
        self._motor_gain = self._position_gain(1.0)
        for link in self._touching:
            p.changeDynamics(self._body, link, restitution=HAND_RESTITUTION, physicsClientId=client)
        if self._fingers:
            self._couple_fingers()
        self.reset()
        self.home_rotation = self._rotation()
        if start is not None:
            self._move_home(np.array(start))

    def _couple_fingers(self) -> None:
        # One drive moves both fingers, as in the real grippers: what is held stays in the middle.
        axes = {"jointAxis": [0.0, 1.0, 0.0], "parentFramePosition": [0.0] * 3, "childFramePosition": [0.0] * 3}
        left, right = self._fingers
        gear = p.createConstraint(
            self._body, left, self._body, right, p.JOINT_GEAR, physicsClientId=self._client, **axes
        )
        p.changeConstraint(gear, gearRatio=-1.0, erp=0.1, maxForce=1e3, physicsClientId=self._client)

    def _move_home(self, position: Array) -> None:
        """Make the pose with the end effector at ``position`` [m] the home pose."""
        for _ in range(_START_ITERATIONS):
            twist = np.concatenate(
                (position - self.state.position, rotation_vector(self._rotation(), self.home_rotation))
            )
            self.home = self.home + joint_displacement(self._jacobian(), twist, np.zeros_like(self.home))
            self.reset()

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
        damping = self._nominal_damping + self.model.damping_share * domain["joint_damping"] * self._torque_share
        for i, link in enumerate(self._links):
            # The mass alone would make Bullet compute the inertia anew, from shapes that are not there.
            p.changeDynamics(
                self._body, link, mass=mass[i], localInertiaDiagonal=inertia[i].tolist(), physicsClientId=client
            )
        for i, joint in enumerate(self._joints):
            p.changeDynamics(self._body, joint, jointDamping=damping[i], physicsClientId=client)
        for link in self._touching:
            p.changeDynamics(self._body, link, lateralFriction=domain["gripper_friction"], physicsClientId=self._client)
        self._finger_force = self._nominal_finger_force * domain.get("gripper_force", 1.0)
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
        damping = p.getJointInfo(self._body, joint, self._client)[6] - self._nominal_damping[strongest]
        domain = {
            "link_mass": mass / float(self._nominal_mass[strongest]),
            "joint_damping": float(damping) / self.model.damping_share,
            "joint_friction": float(self._servo.friction[strongest]),
            "motor_strength": float(self._motor_torque[strongest] / self.max_torque[strongest]),
            "position_gain": float(gain),
            "servo_stiffness": float(self._servo.stiffness[strongest] / self._stiffness[strongest]),
            "payload": p.getDynamicsInfo(self._body, self._end_effector, self._client)[0],
            "gravity_tilt": self._simulation.read_gravity_tilt(),
        }
        if self._touching:
            domain["gripper_friction"] = p.getDynamicsInfo(self._body, self._touching[-1], self._client)[1]
        if self._fingers:
            domain["gripper_force"] = self._finger_force / self._nominal_finger_force
        return domain

    def reset(self) -> None:
        """Put the robot at rest in its home pose, its fingers open."""
        positions = [[q] for q in self.home.tolist()] + [[self.stroke]] * len(self._fingers)
        p.resetJointStatesMultiDof(self._body, self._moving, positions, self._still, physicsClientId=self._client)
        self.measure()

    def measure(self) -> RobotState:
        """Read the state of the robot from the engine; :attr:`state` keeps it."""
        joints = p.getJointStates(self._body, self._moving, physicsClientId=self._client)
        # Without computeForwardKinematics the link state lags one physics step behind.
        tip = p.getLinkState(
            self._body,
            self._end_effector,
            computeLinkVelocity=1,
            computeForwardKinematics=1,
            physicsClientId=self._client,
        )
        self._position_list = [joint[0] for joint in joints]
        n = len(self._joints)
        self.state = RobotState(
            np.array(self._position_list[:n]),
            np.array([joint[1] for joint in joints[:n]]),
            np.array(tip[4]),
            np.array(tip[6]),
            tip[5],
            sum(self._position_list[n:]),
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

    def command_fingers(self, opening: float) -> None:
        """Command how far each finger is open [m]; closed on something, they press with the force of the gripper."""
        for finger in self._fingers:
            p.setJointMotorControl2(
                self._body,
                finger,
                p.POSITION_CONTROL,
                targetPosition=opening,
                positionGain=self._motor_gain,
                maxVelocity=self._finger_speed,
                force=self._finger_force,
                physicsClientId=self._client,
            )

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
        return np.array((*linear, *angular))[:, : len(self._joints)]

    def _unknown_load(self, force: Array, axes: Array) -> Array:
        """Return the joint torques of the weight that the controller does not compensate, shape (n,) [N m]."""
        links = p.getLinkStates(self._body, self._links, computeForwardKinematics=1, physicsClientId=self._client)
        centres = np.array([link[0] for link in links])
        origins = np.array([link[4] for link in links[: len(self._joints)]])
        return joint_load(axes, origins, centres, force)
