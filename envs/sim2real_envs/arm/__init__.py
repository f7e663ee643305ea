"""Robot arms: a robot, a task and a simulation, joined by a thin env."""

from __future__ import annotations

from sim2real_envs.registration import register

_SIGNALS = {
    "ActionDelay": {"high": 3.0, "train": [0.0, 1.0]},
    "ObservationNoise": {"high": 3.0, "train": [0.0, 1.0]},
}


def register_envs() -> None:
    """Register the arm worlds."""
    register(
        "sim2real/PandaReach-v0",
        "sim2real_envs.arm.panda_reach:PandaReachEnv",
        max_episode_steps=50,  # 2 s
        signals=_SIGNALS,
    )
