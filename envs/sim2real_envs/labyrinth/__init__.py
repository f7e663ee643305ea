"""The labyrinth: a marble on a board that two servos tilt, walls, holes, and a route to follow."""

from __future__ import annotations

from sim2real_envs.registration import register

_SIGNALS = {
    "ActionDelay": {"high": 3.0, "train": [0.0, 1.0]},
    "ObservationNoise": {"high": 3.0, "train": [0.0, 1.0]},
}


def register_envs() -> None:
    """Register the labyrinth."""
    register(
        "sim2real/Labyrinth-v0",
        "sim2real_envs.labyrinth.env:LabyrinthEnv",
        max_episode_steps=500,  # 20 s
        signals=_SIGNALS,
    )
