"""The arm worlds: every task with every robot, ``sim2real/PandaReach-v0`` and so on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gymnasium.utils import EzPickle

from sim2real.errors import unknown_name
from sim2real_envs.arm.env import ArmEnv
from sim2real_envs.arm.robots.kuka import KUKA
from sim2real_envs.arm.robots.panda import PANDA
from sim2real_envs.arm.robots.xarm6 import XARM6
from sim2real_envs.arm.tasks.pick_and_place import PickAndPlace
from sim2real_envs.arm.tasks.push import CubeTask, Push
from sim2real_envs.arm.tasks.reach import Reach

ROBOTS = {"panda": PANDA, "kuka": KUKA, "xarm6": XARM6}
"""The robots by the name that the worlds take."""

_TARGETS = Path(__file__).parent / "targets"


class _RobotWorld(ArmEnv, EzPickle):
    """A task in the workspace of a robot.

    Args:
        robot: ``"panda"``, ``"kuka"`` or ``"xarm6"``.
        control: ``"ee"`` or ``"joint"``.
        observation: ``"flat"`` or ``"goal"``.
        success_distance: A goal is reached within this distance [m].
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``.

    Raises:
        Sim2RealError: An argument is unknown or out of range.
    """

    task_class: type[Reach] | type[CubeTask]

    def __init__(
        self,
        *,
        robot: str,
        control: str,
        observation: str,
        success_distance: float,
        render_mode: str | None,
        control_dt: float,
        physics_dt: float,
    ) -> None:
        if robot not in ROBOTS:
            raise unknown_name("robot", robot, ROBOTS)
        arguments: dict[str, Any] = {
            "control": control,
            "observation": observation,
            "render_mode": render_mode,
            "control_dt": control_dt,
            "physics_dt": physics_dt,
        }
        EzPickle.__init__(self, robot=robot, success_distance=success_distance, **arguments)
        model = ROBOTS[robot]
        task = self.task_class.for_robot(model, success_distance=success_distance)
        super().__init__(model=model, task=task, **arguments)


class ReachEnv(_RobotWorld):
    """The end effector reaches for points; see :class:`~sim2real_envs.arm.tasks.reach.Reach`.

    Args:
        robot: ``"panda"``, ``"kuka"`` or ``"xarm6"``.
        control: ``"ee"`` or ``"joint"``.
        observation: ``"flat"`` or ``"goal"``.
        success_distance: A goal is reached within this distance [m].
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``.

    Raises:
        Sim2RealError: An argument is unknown or out of range.
    """

    task_class = Reach
    targets_file: str | None = str(_TARGETS / "reach.yaml")

    def __init__(
        self,
        *,
        robot: str = "panda",
        control: str = "ee",
        observation: str = "flat",
        success_distance: float = 0.025,
        render_mode: str | None = None,
        control_dt: float = 0.04,
        physics_dt: float = 0.004,
    ) -> None:
        super().__init__(
            robot=robot,
            control=control,
            observation=observation,
            success_distance=success_distance,
            render_mode=render_mode,
            control_dt=control_dt,
            physics_dt=physics_dt,
        )


class PushEnv(_RobotWorld):
    """The closed gripper pushes a cube to a place on the table; see :class:`~sim2real_envs.arm.tasks.push.Push`.

    Args:
        robot: ``"panda"``, ``"kuka"`` or ``"xarm6"``.
        control: ``"ee"`` or ``"joint"``.
        observation: ``"flat"`` or ``"goal"``.
        success_distance: A goal is reached within this distance [m].
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``.

    Raises:
        Sim2RealError: An argument is unknown or out of range.
    """

    task_class = Push
    targets_file: str | None = str(_TARGETS / "push.yaml")

    def __init__(
        self,
        *,
        robot: str = "panda",
        control: str = "ee",
        observation: str = "flat",
        success_distance: float = 0.05,
        render_mode: str | None = None,
        control_dt: float = 0.04,
        physics_dt: float = 0.004,
    ) -> None:
        super().__init__(
            robot=robot,
            control=control,
            observation=observation,
            success_distance=success_distance,
            render_mode=render_mode,
            control_dt=control_dt,
            physics_dt=physics_dt,
        )


class PickAndPlaceEnv(_RobotWorld):
    """The gripper brings a cube to its place; see :class:`~sim2real_envs.arm.tasks.pick_and_place.PickAndPlace`.

    Args:
        robot: ``"panda"``, ``"kuka"`` or ``"xarm6"``.
        control: ``"ee"`` or ``"joint"``.
        observation: ``"flat"`` or ``"goal"``.
        success_distance: A goal is reached within this distance [m].
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``.

    Raises:
        Sim2RealError: An argument is unknown or out of range.
    """

    task_class = PickAndPlace
    targets_file: str | None = str(_TARGETS / "pick_and_place.yaml")

    def __init__(
        self,
        *,
        robot: str = "panda",
        control: str = "ee",
        observation: str = "flat",
        success_distance: float = 0.05,
        render_mode: str | None = None,
        control_dt: float = 0.04,
        physics_dt: float = 0.004,
    ) -> None:
        super().__init__(
            robot=robot,
            control=control,
            observation=observation,
            success_distance=success_distance,
            render_mode=render_mode,
            control_dt=control_dt,
            physics_dt=physics_dt,
        )
