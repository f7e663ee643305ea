"""Robot arms: a robot, a task and a simulation, joined by a thin env."""

from __future__ import annotations

from sim2real_envs.registration import register

_ROBOTS = {"Panda": "panda", "Kuka": "kuka", "XArm6": "xarm6"}
_TASKS = ("Reach", "Push", "PickAndPlace")


def register_envs() -> None:
    """Register the arm worlds."""
    for prefix, robot in _ROBOTS.items():
        for task in _TASKS:
            register(
                f"sim2real/{prefix}{task}-v0",
                f"sim2real_envs.arm.worlds:{task}Env",
                max_episode_steps=50,  # 2 s
                kwargs={"robot": robot},
            )
