"""How a world is registered with Gymnasium: once, with the signals between agent and world as outer wrappers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import WrapperSpec

SIGNALS: Mapping[str, Mapping[str, Any]] = {
    "ActionDelay": {"high": 3.0, "train": [0.0, 1.0]},
    "ObservationNoise": {"high": 3.0, "train": [0.0, 1.0]},
}
"""What stands between agent and world everywhere, from the inside out: class of :mod:`sim2real.domains.signals` -> its
keyword arguments."""


def register(
    env_id: str,
    entry_point: str,
    *,
    max_episode_steps: int,
    kwargs: Mapping[str, Any] | None = None,
) -> None:
    """Register a world; one that is registered already is left as it is.

    Args:
        env_id: ``"sim2real/Name-v0"``.
        entry_point: ``"module:Class"``; not imported before the first ``make``.
        max_episode_steps: Control steps after which an episode is truncated.
        kwargs: Arguments of the class that make it this world, JSON-plain.
    """
    if env_id in gym.registry:
        return
    wrappers = tuple(
        WrapperSpec(name=name, entry_point=f"sim2real.domains.signals:{name}", kwargs=dict(arguments))
        for name, arguments in SIGNALS.items()
    )
    gym.register(
        env_id,
        entry_point,
        max_episode_steps=max_episode_steps,
        additional_wrappers=wrappers,
        kwargs=dict(kwargs or {}),
    )
