"""The ground floor: tuned hyperparameters for every algorithm and world."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

ALGORITHMS = ("sac", "td3", "ppo")
"""Algorithms that hyperparameters are kept for."""


def tuned_hyperparameters(algo: str, env_id: str, variant: str | None = None) -> dict[str, Any]:
    """Return the hyperparameters of an algorithm for an env.

    Args:
        algo: One of :data:`ALGORITHMS`.
        env_id: Gymnasium id without its module, e.g. ``"sim2real/PandaReach-v0"``.
        variant: A variant of the env with settings of its own, e.g. ``"control=joint"``.

    Returns:
        The algorithm's defaults, overridden by what is tuned for this env and then for the variant.
    """
    text = (files(__name__) / "hyperparameters" / f"{algo}.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    tuned = content["envs"]
    variants = tuned.get(f"{env_id}?{variant}", {}) if variant else {}
    return {**content["default"], **tuned.get(env_id, {}), **variants}
