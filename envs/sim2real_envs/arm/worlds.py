"""The arm worlds: every task with every robot, ``sim2real/PandaReach-v0`` and so on."""

from __future__ import annotations

from pathlib import Path

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


class RobotWorld(ArmEnv, EzPickle):
    """A task in the workspace of a robot; a subclass names the task.

    Args:
        robot: ``"panda"``, ``"kuka"`` or ``"xarm6"``.
        engine: ``"pybullet"`` or ``"mujoco"``.
        control: ``"ee"`` or ``"joint"``.
        observation: ``"flat"`` or ``"goal"``.
        success_distance: A goal is reached within this distance [m]; ``None`` for that of the world.
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``. ``None``: 4 ms in Bullet, 1 ms in MuJoCo.

    Raises:
        Sim2RealError: An argument is unknown or out of range, or the engine is not installed.
    """

    task_class: type[Reach] | type[CubeTask]
    success_distance: float
    """Within which a goal is reached, unless told otherwise [m]."""

    def __init__(
        self,
        *,
        robot: str = "panda",
        engine: str = "pybullet",
        control: str = "ee",
        observation: str = "flat",
        success_distance: float | None = None,
        render_mode: str | None = None,
        control_dt: float = 0.04,
        physics_dt: float | None = None,
    ) -> None:
        EzPickle.__init__(
            self,
            robot=robot,
            engine=engine,
            control=control,
            observation=observation,
            success_distance=success_distance,
            render_mode=render_mode,
            control_dt=control_dt,
            physics_dt=physics_dt,
        )
        if not isinstance(robot, str) or robot not in ROBOTS:
            raise unknown_name("robot", robot, ROBOTS)
        model = ROBOTS[robot]
        if success_distance is None:
            success_distance = self.success_distance
        super().__init__(
            model=model,
            task=self.task_class.for_robot(model, success_distance=success_distance),
            engine=engine,
            control=control,
            observation=observation,
            render_mode=render_mode,
            control_dt=control_dt,
            physics_dt=physics_dt,
        )


class ReachEnv(RobotWorld):
    """The end effector reaches for points; see :class:`~sim2real_envs.arm.tasks.reach.Reach`."""

    task_class = Reach
    success_distance = 0.025
    targets_file = str(_TARGETS / "reach.yaml")


class PushEnv(RobotWorld):
    """The closed gripper pushes a cube to a place on the table; see :class:`~sim2real_envs.arm.tasks.push.Push`."""

    task_class = Push
    success_distance = 0.05
    targets_file = str(_TARGETS / "push.yaml")


class PickAndPlaceEnv(RobotWorld):
    """The gripper brings a cube to its place; see :class:`~sim2real_envs.arm.tasks.pick_and_place.PickAndPlace`."""

    task_class = PickAndPlace
    success_distance = 0.05
    targets_file = str(_TARGETS / "pick_and_place.yaml")
