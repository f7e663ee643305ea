"""Hyperparameters: tuned ones from YAML, the user's own on top, every name checked."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from sim2real.domains.world import World
from sim2real.errors import Sim2RealError, unknown_name
from sim2real_policies import ALGORITHMS, tuned_hyperparameters

OWN = ("net_arch", "activation", "n_envs", "normalize_observation", "normalize_reward")
"""Names that are ours; all others are arguments of the Stable-Baselines3 algorithm."""

ACTIVATIONS = ("relu", "tanh", "elu", "silu", "gelu", "leaky_relu")

_STRUCTURAL = {
    "policy",
    "env",
    "seed",
    "device",
    "verbose",
    "tensorboard_log",
    "policy_kwargs",
    "replay_buffer_class",
    "replay_buffer_kwargs",
    "rollout_buffer_class",
    "rollout_buffer_kwargs",
    "optimize_memory_usage",
    "_init_setup_model",
}


@cache
def algorithm_class(algo: str) -> Any:
    """Return the Stable-Baselines3 class of an algorithm.

    Raises:
        Sim2RealError: The name is unknown.
    """
    if algo not in ALGORITHMS:
        raise unknown_name("algorithm", algo, ALGORITHMS)
    import stable_baselines3

    return getattr(stable_baselines3, algo.upper())


def known_hyperparameters(algo: str) -> tuple[str, ...]:
    """Return every hyperparameter name of an algorithm."""
    arguments = inspect.signature(algorithm_class(algo).__init__).parameters
    return (*OWN, *(name for name in arguments if name != "self" and name not in _STRUCTURAL))


def resolve_hyperparameters(algo: str, world: World, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the full, JSON-plain hyperparameters for training ``algo`` in ``world``.

    Args:
        algo: ``"sac"``, ``"td3"`` or ``"ppo"``.
        world: Where it trains; its env and keyword arguments choose the tuned values.
        overrides: The user's values, which win.

    Raises:
        Sim2RealError: The algorithm, or the name of an override, is unknown, or a value cannot be.
    """
    known = known_hyperparameters(algo)
    for name in overrides or {}:
        if name not in known:
            raise unknown_name(f"{algo} hyperparameter", name, known)
    env_id = world.env.rpartition(":")[2]
    control = world.kwargs.get("control")
    tuned = tuned_hyperparameters(algo, env_id, f"control={control}" if control else None)
    values = {**tuned, **(overrides or {})}
    if values["activation"] not in ACTIVATIONS:
        raise unknown_name("activation", values["activation"], ACTIVATIONS)
    for name in ("n_envs", "batch_size", "n_steps", "buffer_size", "n_epochs"):
        if name in values and (isinstance(values[name], bool) or not isinstance(values[name], int) or values[name] < 1):
            raise Sim2RealError(f"hyperparameter {name} = {values[name]!r} must be a positive whole number.")
    rate = values["learning_rate"]
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0.0 < rate < float("inf"):
        raise Sim2RealError(f"hyperparameter learning_rate = {rate!r} must be a positive number.")
    widths = values["net_arch"]
    if not isinstance(widths, list) or not all(isinstance(w, int) and w > 0 for w in widths):
        raise Sim2RealError(f"hyperparameter net_arch = {widths!r} must be a list of layer widths, like [64, 64].")
    return values
