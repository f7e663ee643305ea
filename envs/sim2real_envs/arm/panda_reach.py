"""``sim2real/PandaReach-v0``: a Franka Panda reaches for points in front of it."""

from __future__ import annotations

from pathlib import Path

from gymnasium.utils import EzPickle

from sim2real_envs.arm.env import ArmEnv
from sim2real_envs.arm.robots.panda import PANDA
from sim2real_envs.arm.tasks.reach import Reach

GOAL_CENTRE = (0.5, 0.0, 0.3)
"""Centre of the goals [m]: where the end effector is at home, in the middle of the reach, above the table at z = 0."""


class PandaReachEnv(ArmEnv, EzPickle):
    """A Panda reaches for points in a 0.3 m cube in front of it; see :class:`~sim2real_envs.arm.env.ArmEnv`.

    Args:
        control: ``"ee"`` or ``"joint"``.
        observation: ``"flat"`` or ``"goal"``.
        success_distance: A goal is reached while the end effector is at most this far from it [m].
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``.

    Raises:
        Sim2RealError: An argument is unknown or out of range.
    """

    targets_file: str | None = str(Path(__file__).parent / "targets" / "reach.yaml")

    def __init__(
        self,
        *,
        control: str = "ee",
        observation: str = "flat",
        success_distance: float = 0.025,
        render_mode: str | None = None,
        control_dt: float = 0.04,
        physics_dt: float = 0.004,
    ) -> None:
        EzPickle.__init__(
            self,
            control=control,
            observation=observation,
            success_distance=success_distance,
            render_mode=render_mode,
            control_dt=control_dt,
            physics_dt=physics_dt,
        )
        super().__init__(
            model=PANDA,
            task=Reach(centre=GOAL_CENTRE, success_distance=success_distance),
            control=control,
            observation=observation,
            render_mode=render_mode,
            control_dt=control_dt,
            physics_dt=physics_dt,
        )
