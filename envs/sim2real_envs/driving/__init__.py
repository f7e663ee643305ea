"""Driving: a vehicle, a lidar and a course, joined by a thin env."""

from __future__ import annotations

from sim2real_envs.registration import register


def register_envs() -> None:
    """Register the driving worlds."""
    for name, env_class in (
        ("Drive-v0", "RaceCarEnv"),
        ("DriveTraffic-v0", "TrafficEnv"),
        ("SkidDrive-v0", "SkidSteerEnv"),
    ):
        register(
            f"sim2real/{name}",
            f"sim2real_envs.driving.drive:{env_class}",
            max_episode_steps=750,  # 30 s
        )
