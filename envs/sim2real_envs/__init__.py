"""Worlds for sim2real, plugged in exactly as a user's own env would be.

Importing the package registers them; ``gym.make("sim2real_envs:sim2real/PandaReach-v0")`` imports it by itself, in
spawned workers too.
"""

from __future__ import annotations

import gymnasium as gym
from gymnasium.envs.registration import WrapperSpec

_PANDA_REACH = "sim2real/PandaReach-v0"


def register_envs() -> None:
    """Register the worlds with Gymnasium; those already registered are left as they are."""
    if _PANDA_REACH not in gym.registry:
        gym.register(
            id=_PANDA_REACH,
            entry_point="sim2real_envs.arm.panda_reach:PandaReachEnv",
            max_episode_steps=50,  # 2 s
            additional_wrappers=(
                _signal("ActionDelay", high=3.0, train=[0.0, 1.0]),
                _signal("ObservationNoise", high=3.0, train=[0.0, 1.0]),
            ),
        )


def _signal(name: str, **kwargs: object) -> WrapperSpec:
    return WrapperSpec(name=name, entry_point=f"sim2real.domains.signals:{name}", kwargs=kwargs)


register_envs()
