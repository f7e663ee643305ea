"""The control of a robot arm of any make; a :class:`RobotModel` describes it, and it knows neither task nor engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sim2real.domains.space import Domain
from sim2real.errors import Sim2RealError
from sim2real_envs.arm.actuators import ConstantLoad, JointServo
from sim2real_envs.arm.kinematics import joint_displacement, rotation_vector
from sim2real_envs.arm.plant import ArmPlant, Array, Hand, RobotState

_PAYLOAD_RADIUS = 0.04
"""Radius of the ball that stands for the payload [m]."""
_POSTURE_GAIN = 0.1
"""Part of the way back to the home posture that redundant joints go in one control step."""
_START_ITERATIONS = 100
"""Steps of the search for the joint positions that put the end effector at its start."""
_DAMPING_TORQUE = 100.0
"""Torque of a joint that has the viscous friction of the domain, and the others in proportion [N m]."""
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


class Robot:
    """The control of a robot: the same whatever the arm, real or simulated, is made of.

    Args:
        arm: What is controlled.
        model: What robot it is.
        start: Where the end effector is at the start of an episode [m]; ``None`` for the home pose.
    """

    def __init__(self, arm: ArmPlant, model: RobotModel, *, start: Sequence[float] | None = None) -> None:
        self.model = model
        self._arm = arm
        self._simulation = arm.simulation
        self.lower, self.upper = arm.lower, arm.upper
        """Joint limits, shape (n,) each [rad]."""
        self.max_velocity = arm.max_velocity if model.max_velocity is None else np.array(model.max_velocity)
        """Largest joint speeds, shape (n,) [rad/s]."""
        self.max_step = self.max_velocity * arm.simulation.control_dt
        """Farthest that a joint is commanded to go in one control step, shape (n,) [rad]."""
        self.stroke = arm.stroke
        """How far each finger opens [m]; zero without moving fingers."""
        self._lowest_command, self._highest_command = self.lower + _LIMIT_MARGIN, self.upper - _LIMIT_MARGIN

        self._nominal = arm.nominal
        self._nominal_gravity = arm.simulation.gravity
        self._torque_share = self._nominal.torque / self._nominal.torque.max()
        self._stiffness = np.array(model.stiffness)
        self._servo = JointServo(self._stiffness, np.zeros_like(self._stiffness))
        self._unknown_load: ConstantLoad | None = None
        self._pushed_with: Array | None = None
        self.home = np.array(model.home)
        """Joint positions at the start of an episode, shape (n,) [rad]."""
        self.reset()
        self.home_orientation = self.state.orientation
        """Orientation that the end effector keeps, quaternion xyzw."""
        if start is not None:
            self._move_home(np.array(start))

    def _move_home(self, position: Array) -> None:
        """Make the pose with the end effector at ``position`` [m] the home pose."""
        still = np.zeros_like(self.home)
        for _ in range(_START_ITERATIONS):
            self.home = self.home + self._joints_towards(position - self.state.position, self._arm.jacobian(), still)
            self.reset()

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set the physical parameters of the robot and of its world; ``domain`` is complete."""
        nominal = self._nominal
        mass = nominal.mass * domain["link_mass"]
        inertia = nominal.inertia * domain["link_mass"]
        mass[-1] = domain["payload"]
        inertia[-1] = 0.4 * domain["payload"] * _PAYLOAD_RADIUS**2  # a solid ball
        self._arm.set_dynamics(
            replace(
                nominal,
                mass=mass,
                inertia=inertia,
                torque=nominal.torque * domain["motor_strength"],
                position_gain=domain["position_gain"],
                finger_force=nominal.finger_force * domain.get("gripper_force", 1.0),
                finger_friction=domain.get("gripper_friction", 1.0),
            )
        )
        self._simulation.set_gravity_tilt(domain["gravity_tilt"])
        self._servo = JointServo(
            self._stiffness * domain["servo_stiffness"],
            friction=domain["joint_friction"] * self._torque_share,
            damping=self._arm.damping + domain["joint_damping"] * self._nominal.torque / _DAMPING_TORQUE,
            control_dt=self._simulation.control_dt,
        )
        # The controller compensates the weight of the nominal arm standing upright, and nothing else.
        force = np.outer(mass, self._simulation.gravity) - np.outer(nominal.mass, self._nominal_gravity)
        self._unknown_load = ConstantLoad(force, len(self.home)) if force.any() else None

    def get_domain(self) -> Domain:
        """Read the domain back: from the engine, and servo stiffness and frictions from :class:`JointServo`."""
        read, nominal = self._arm.read_dynamics(), self._nominal
        strongest = int(np.argmax(nominal.torque))
        return {
            "link_mass": float(read.mass[strongest] / nominal.mass[strongest]),
            "joint_damping": float(self._servo.damping[strongest] - self._arm.damping[strongest])
            * _DAMPING_TORQUE
            / float(nominal.torque[strongest]),
            "joint_friction": float(self._servo.friction[strongest]),
            "motor_strength": float(read.torque[strongest] / nominal.torque[strongest]),
            "position_gain": read.position_gain,
            "servo_stiffness": float(self._servo.stiffness[strongest] / self._stiffness[strongest]),
            "payload": float(read.mass[-1]),
            "gravity_tilt": self._simulation.read_gravity_tilt(),
            "gripper_friction": read.finger_friction,
            "gripper_force": read.finger_force / nominal.finger_force if nominal.finger_force else 1.0,
        }

    def reset(self) -> None:
        """Put the robot at rest in its home pose, its fingers open."""
        self._pushed_with = None
        self._arm.reset(self.home)
        self.measure()

    def measure(self) -> RobotState:
        """Read the state of the robot; :attr:`state` keeps it."""
        self.state = self._arm.measure()
        return self.state

    def push(self, force: Array) -> None:
        """Let a force act on the end effector during the next command, shape (3,) [N].

        The servos give way to it as they do to any load that the controller does not know of.
        """
        self._pushed_with = force

    def command_displacement(self, displacement: tuple[float, float, float]) -> None:
        """Command the end effector to move relative to where it is measured, keeping its orientation of the home pose.

        Args:
            displacement: Shape (3,) [m].
        """
        posture = _POSTURE_GAIN * (self.home - self.state.joint_position)
        jacobian = self._arm.jacobian()
        step = self._joints_towards(displacement, jacobian, posture)
        # Shortened as a whole where a joint would be too fast: the direction is kept.
        self._command(step / max(1.0, float(np.maximum.reduce(np.abs(step) / self.max_step))), jacobian)

    def _joints_towards(self, displacement: Sequence[float] | Array, jacobian: Array, posture: Array) -> Array:
        rotation = rotation_vector(self.state.orientation, self.home_orientation)
        return joint_displacement(jacobian, np.array((*displacement, *rotation)), posture)

    def command_joints(self, displacement: Array) -> None:
        """Command the joints to move relative to where they are measured.

        Args:
            displacement: Shape (n,) [rad].
        """
        known = self._unknown_load is None and self._pushed_with is None
        self._command(displacement, None if known else self._arm.jacobian())

    def command_fingers(self, opening: float) -> None:
        """Command how far each finger is open [m]; closed on something, they press with the force of the gripper."""
        self._arm.drive_fingers(opening)

    def _command(self, displacement: Array, jacobian: Array | None) -> None:
        position = self.state.joint_position
        load = None
        if self._unknown_load is not None and jacobian is not None:
            load = self._unknown_load.torque(jacobian[3:].T, *self._arm.link_points())
        if self._pushed_with is not None and jacobian is not None:
            pushed = jacobian[:3].T @ self._pushed_with
            load, self._pushed_with = pushed if load is None else load + pushed, None
        target = self._servo.next_position(position + displacement, position, load)
        self._arm.drive(np.minimum(np.maximum(target, self._lowest_command), self._highest_command))
