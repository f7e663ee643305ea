"""An arm in PyBullet."""

from __future__ import annotations

from itertools import chain

import numpy as np

from sim2real_envs.arm.plant import ArmDynamics, ArmPlant, Array, Hand, RobotState
from sim2real_envs.arm.robot import RobotModel
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.simulation import Simulation

HAND_RESTITUTION = 0.5
"""Restitution of hand and table against each other is the square of this; see :mod:`sim2real_envs.arm.bullet_props`."""

_AT_THE_LINK = (0.0, 0.0, 0.0)


class BulletArm(ArmPlant):
    """An arm whose motors are Bullet's: velocity constraints that carry any load within their torque.

    Args:
        simulation: The world it stands in.
        model: What robot it is.
        hand: What of its hand takes part.
    """

    simulation: Simulation

    def __init__(self, simulation: Simulation, model: RobotModel, hand: Hand = "bare") -> None:
        self.simulation = simulation
        self._client = client = simulation.client
        self._body: int = p.loadURDF(
            model.urdf(hand), useFixedBase=True, flags=p.URDF_USE_INERTIA_FROM_FILE, physicsClientId=client
        )
        infos = [p.getJointInfo(self._body, i, client) for i in range(p.getNumJoints(self._body, client))]
        by_joint = {info[1].decode(): info for info in infos}
        self._joints: list[int] = [by_joint[name][0] for name in model.joints]
        self._end_effector: int = next(info[0] for info in infos if info[12].decode() == model.end_effector)
        self._fingers: list[int] = [by_joint[name][0] for name in model.fingers] if hand == "gripper" else []
        self._moving = [*self._joints, *self._fingers]
        self._links = [*self._moving, self._end_effector]
        self._touching = [] if hand == "bare" else [self._joints[-1], *self._fingers]
        self._still = [[0.0] for _ in self._moving]
        self._zeros = [0.0] * len(self._moving)
        self._response_time = model.response_time

        limits = np.array([by_joint[name][8:12] for name in model.joints])
        self.lower, self.upper, torque, self.max_velocity = limits.T
        finger: tuple[float, ...] = by_joint[model.fingers[0]][8:12] if self._fingers else (0.0, 0.0, 0.0, 0.0)
        _, self.stroke, finger_force, self._finger_speed = finger
        self.damping = np.array([by_joint[name][6] for name in model.joints])
        for joint in self._moving:
            p.changeDynamics(self._body, joint, jointDamping=0.0, physicsClientId=client)
        dynamics = [p.getDynamicsInfo(self._body, link, client) for link in self._links]
        self.nominal = ArmDynamics(
            mass=np.array([info[0] for info in dynamics]),
            inertia=np.array([info[2] for info in dynamics]),
            torque=torque,
            position_gain=1.0,
            finger_force=finger_force,
            finger_friction=1.0,
        )
        self._set_motors(self.nominal)
        for link in self._touching:
            p.changeDynamics(self._body, link, restitution=HAND_RESTITUTION, physicsClientId=client)
        if self._fingers:
            self._couple_fingers()

    def _couple_fingers(self) -> None:
        # One drive moves both fingers, as in the real grippers: what is held stays in the middle.
        axes = {"jointAxis": [0.0, 1.0, 0.0], "parentFramePosition": [0.0] * 3, "childFramePosition": [0.0] * 3}
        left, right = self._fingers
        gear = p.createConstraint(
            self._body, left, self._body, right, p.JOINT_GEAR, physicsClientId=self._client, **axes
        )
        p.changeConstraint(
            gear, gearRatio=-1.0, erp=0.1, maxForce=1e3 / self.simulation.steps_a_call, physicsClientId=self._client
        )

    def set_dynamics(self, dynamics: ArmDynamics) -> None:
        """Change the arm."""
        client = self._client
        for link, mass, inertia in zip(self._links, dynamics.mass, dynamics.inertia.tolist(), strict=True):
            # The mass alone would make Bullet compute the inertia anew, from shapes that are not there.
            p.changeDynamics(self._body, link, mass=mass, localInertiaDiagonal=inertia, physicsClientId=client)
        for link in self._touching:
            p.changeDynamics(self._body, link, lateralFriction=dynamics.finger_friction, physicsClientId=client)
        self._set_motors(dynamics)

    def _set_motors(self, dynamics: ArmDynamics) -> None:
        # Bullet's gain acts once per physics step: the part of the error that is removed in it.
        gain = float(-np.expm1(-dynamics.position_gain * self.simulation.physics_dt / self._response_time))
        self._gains = [gain] * len(self._joints)
        # What bounds the impulse in a physics step; see Simulation.
        steps = self.simulation.steps_a_call
        self._torques = (dynamics.torque / steps).tolist()
        self._finger_force = dynamics.finger_force / steps

    def read_dynamics(self) -> ArmDynamics:
        """Read masses and friction back from the engine.

        Bullet does not tell the gain and the largest force of a motor: those are what is sent with every command.
        """
        dynamics = [p.getDynamicsInfo(self._body, link, self._client) for link in self._links]
        friction = p.getDynamicsInfo(self._body, self._touching[-1], self._client)[1] if self._touching else 1.0
        return ArmDynamics(
            mass=np.array([info[0] for info in dynamics]),
            inertia=np.array([info[2] for info in dynamics]),
            torque=np.array(self._torques) * self.simulation.steps_a_call,
            position_gain=float(-np.log1p(-self._gains[0]) * self._response_time / self.simulation.physics_dt),
            finger_force=self._finger_force * self.simulation.steps_a_call,
            finger_friction=friction,
        )

    def reset(self, position: Array) -> None:
        """Put the arm at rest with its fingers open."""
        positions = [[q] for q in position.tolist()] + [[self.stroke]] * len(self._fingers)
        p.resetJointStatesMultiDof(self._body, self._moving, positions, self._still, physicsClientId=self._client)

    def measure(self) -> RobotState:
        """Read the state from the engine."""
        joints = p.getJointStates(self._body, self._moving, self._client)
        # Without forward kinematics, the second 1, the link state lags one physics step behind; the first is for the
        # velocity. PyBullet takes a microsecond more for arguments with names.
        tip = p.getLinkState(self._body, self._end_effector, 1, 1, self._client)
        n = len(self._joints)
        self._position, velocity, *_ = zip(*joints, strict=True)
        return RobotState(
            np.array(self._position[:n]),
            np.array(velocity[:n]),
            np.array(tip[4]),
            np.array(tip[6]),
            tip[5],
            sum(self._position[n:]),
        )

    def jacobian(self) -> Array:
        """Return the Jacobian of the end effector, shape (6, n)."""
        linear, angular = p.calculateJacobian(
            self._body, self._end_effector, _AT_THE_LINK, self._position, self._zeros, self._zeros, self._client
        )
        entries = np.fromiter(chain(*linear, *angular), np.float64)
        return entries.reshape(6, len(self._moving))[:, : len(self._joints)]

    def link_points(self) -> tuple[Array, Array]:
        """Return the centres of mass of the links, shape (m, 3), and a point on each axis, shape (n, 3) [m]."""
        links = p.getLinkStates(self._body, self._links, computeForwardKinematics=1, physicsClientId=self._client)
        centres = np.array([link[0] for link in links])
        return centres, np.array([link[4] for link in links[: len(self._joints)]])

    def drive(self, position: Array) -> None:
        """Let the motors drive the joints to a position."""
        p.setJointMotorControlArray(
            self._body,
            self._joints,
            p.POSITION_CONTROL,
            targetPositions=position.tolist(),
            positionGains=self._gains,
            forces=self._torques,
            physicsClientId=self._client,
        )

    def drive_fingers(self, opening: float) -> None:
        """Let the gripper drive each finger to an opening [m]."""
        for finger in self._fingers:
            p.setJointMotorControl2(
                self._body,
                finger,
                p.POSITION_CONTROL,
                targetPosition=opening,
                positionGain=self._gains[0],
                maxVelocity=self._finger_speed,
                force=self._finger_force,
                physicsClientId=self._client,
            )
