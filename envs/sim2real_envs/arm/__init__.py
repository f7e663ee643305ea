"""Robot arms: a robot, a task and a simulation, joined by a thin env."""

from __future__ import annotations

from sim2real_envs.registration import register

_SIGNALS = {
    "ActionDelay": {"high": 3.0, "train": [0.0, 1.0]},
    "ObservationNoise": {"high": 3.0, "train": [0.0, 1.0]},
}


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
                signals=_SIGNALS,
                kwargs={"robot": robot},
            )
