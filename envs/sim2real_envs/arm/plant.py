"""What a physics engine has to offer of an arm: the seam between the control of a robot and what it controls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim2real_envs.simulation import Simulation

if TYPE_CHECKING:
    from sim2real_envs.mujoco_simulation import MujocoSimulation

Array = NDArray[np.float64]
Hand = Literal["bare", "closed", "gripper"]
"""What of the hand takes part: nothing that touches, the shapes of the closed gripper, or two moving fingers."""


class RobotState(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class ArmDynamics:
    """What can be changed in an arm between two episodes."""

    mass: Array
    """Of the moving links, then the fingers, then the end effector, shape (m,) [kg]."""
    inertia: Array
    """About their principal axes, shape (m, 3) [kg m^2]."""
    torque: Array
    """Largest torques of the motors, shape (n,) [N m]."""
    position_gain: float
    """Bandwidth of the position loops, in parts of the nominal one."""
    finger_force: float
    """Largest force of each finger [N]."""
    finger_friction: float
    """Factor that hand and fingers contribute to the friction of their contacts."""


class ArmPlant(ABC):
    """An arm that is fixed to the origin of a simulated world: position-controlled motors, and joint sensors."""

    simulation: Simulation | MujocoSimulation
    """The world it stands in."""
    lower: Array
    """Lower joint limits, shape (n,) [rad]."""
    upper: Array
    """Upper joint limits, shape (n,) [rad]."""
    max_velocity: Array
    """Largest joint speeds, shape (n,) [rad/s]."""
    stroke: float
    """How far each finger opens [m]; zero without moving fingers."""
    damping: Array
    """Viscous friction of the joints as the URDF has it, shape (n,) [N m s/rad]. The engine's motors would make up for
    it, so it is none of theirs: :class:`~sim2real_envs.arm.actuators.JointServo` has it."""
    nominal: ArmDynamics
    """As the URDF has it."""

    @abstractmethod
    def set_dynamics(self, dynamics: ArmDynamics) -> None:
        """Change the arm; its motors notice with the next command."""

    @abstractmethod
    def read_dynamics(self) -> ArmDynamics:
        """Read back from the engine what :meth:`set_dynamics` has set."""

    @abstractmethod
    def reset(self, position: Array) -> None:
        """Put the arm at rest with its fingers open.

        Args:
            position: Of the joints, shape (n,) [rad].
        """

    @abstractmethod
    def measure(self) -> RobotState:
        """Read the state from the engine; :meth:`jacobian` and :meth:`link_points` are those of this state."""

    @abstractmethod
    def jacobian(self) -> Array:
        """Return the Jacobian of the end effector, shape (6, n); its lower half holds the joint axes."""

    @abstractmethod
    def link_points(self) -> tuple[Array, Array]:
        """Return the centres of mass of the links, shape (m, 3), and a point on each axis, shape (n, 3) [m]."""

    @abstractmethod
    def drive(self, position: Array) -> None:
        """Let the motors drive the joints to a position until the next command, shape (n,) [rad]."""

    @abstractmethod
    def drive_fingers(self, opening: float) -> None:
        """Let the gripper drive each finger to an opening [m]; closed on something, it presses with its force."""
