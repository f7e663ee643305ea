"""The labyrinth: a marble on a board that two servos tilt, walls, holes, and a route to follow."""

from __future__ import annotations

from sim2real_envs.registration import register


def register_envs() -> None:
    """Register the labyrinth."""
    register(
        "sim2real/Labyrinth-v0",
        "sim2real_envs.labyrinth.env:LabyrinthEnv",
        max_episode_steps=500,  # 20 s
    )
