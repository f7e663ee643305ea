"""Hyperparameters: tuned ones from YAML, the user's own on top, every name checked; and the tuned budget."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from sim2real.deployment.networks import algorithm_class
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError, unknown_name
from sim2real.rules import Rule, check_rules, number, whole
from sim2real_policies import tuned_algorithm, tuned_hyperparameters

OWN = (
    "net_arch",
    "activation",
    "features_dim",
    "n_envs",
    "normalize_observation",
    "normalize_reward",
    "hindsight",
    "asymmetric_critic",
)
"""Names that are ours; all others are arguments of the Stable-Baselines3 algorithm."""

_OFF_POLICY = ("hindsight", "asymmetric_critic")
"""Those of ours that only algorithms with a replay buffer have."""

ACTIVATIONS = ("relu", "tanh", "elu", "silu", "gelu", "leaky_relu")

_BUDGET = "n_timesteps"
"""Stands among the tuned values, and is the env steps that they need: no hyperparameter, but how long to train."""

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


def known_hyperparameters(algo: str) -> tuple[str, ...]:
    """Return every hyperparameter name of an algorithm.

    Raises:
        Sim2RealError: The algorithm is unknown.
    """
    arguments = inspect.signature(algorithm_class(algo)).parameters
    own = (name for name in OWN if name not in _OFF_POLICY or "buffer_size" in arguments)
    return (*own, *(name for name in arguments if name not in _STRUCTURAL))


def resolve_hyperparameters(algo: str, world: World, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the full, JSON-plain hyperparameters for training ``algo`` in ``world``.

    Args:
        algo: ``"sac"``, ``"td3"``, ``"tqc"`` or ``"ppo"``.
        world: Where it trains; its env and keyword arguments choose the tuned values.
        overrides: The user's values, which win.

    Raises:
        Sim2RealError: The algorithm, or the name of an override, is unknown, or a value cannot be.
    """
    known = known_hyperparameters(algo)
    for name in overrides or {}:
        if name not in known:
            raise unknown_name(f"{algo} hyperparameter", name, known)
    tuned = tuned_hyperparameters(algo, *_names(world))
    values = {name: value for name, value in {**tuned, **(overrides or {})}.items() if name != _BUDGET}
    check_rules(values, _RULES, "hyperparameter ")
    net_arch, critic = values["net_arch"], "vf" if algo == "ppo" else "qf"
    if isinstance(net_arch, dict) and set(net_arch) != {"pi", critic}:
        raise Sim2RealError(
            f"hyperparameter net_arch = {net_arch!r} must have the keys pi and {critic}, for actor and critic."
        )
    if values["activation"] not in ACTIVATIONS:
        raise unknown_name("activation", values["activation"], ACTIVATIONS)
    if values.get("buffer_size", values["batch_size"]) < values["batch_size"]:
        raise Sim2RealError(
            f"hyperparameter buffer_size = {values['buffer_size']} is less than batch_size = {values['batch_size']}; "
            f"raise it."
        )
    return values


def is_whole(name: str) -> bool:
    """Return whether a hyperparameter can only be a whole number."""
    return name in _RULES and _RULES[name].allows(2) and not _RULES[name].allows(1.5)


def default_algorithm(world: World) -> str:
    """Return the algorithm that learns a world where the user names none: the tuned one, SAC where none is."""
    return tuned_algorithm(*_names(world))


def tuned_steps(algo: str, world: World) -> int | None:
    """Return the env steps that the tuned configuration of ``algo`` needs in ``world``, where that is known."""
    steps: int | None = tuned_hyperparameters(algo, *_names(world)).get(_BUDGET)
    return steps


def _names(world: World) -> tuple[str, list[str]]:
    """Return the id under which a world is tuned, and what makes it a variant of its env."""
    return world.env.rpartition(":")[2], [f"{name}={value}" for name, value in world.kwargs.items()]


def _entropy(value: Any) -> bool:
    if isinstance(value, str):
        word, _, start = value.partition("_")
        return word == "auto" and (not start or number(0.0, above=True).allows(_as_float(start)))
    return number(0.0).allows(value)


def _as_float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _switch(value: Any) -> bool:
    return isinstance(value, bool)


def _widths(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(part, list) and _widths(part) for part in value.values())
    return isinstance(value, list) and all(whole(1).allows(width) for width in value)


_ON_OFF = Rule(_switch, "true or false")

_RULES: Mapping[str, Rule] = {
    "net_arch": Rule(_widths, "a list of layer widths, like [64, 64], or one each for actor and critic, by name"),
    "features_dim": whole(1),
    "n_envs": whole(1),
    "normalize_observation": _ON_OFF,
    "normalize_reward": _ON_OFF,
    "learning_rate": number(0.0, 1.0, above=True),
    "gamma": number(0.0, 1.0),
    "batch_size": whole(1),
    "stats_window_size": whole(1),
    "use_sde": _ON_OFF,
    "sde_sample_freq": whole(-1),
    # off-policy
    "hindsight": number(0.0, 1.0),
    "asymmetric_critic": _ON_OFF,
    "buffer_size": whole(1),
    "learning_starts": whole(0),
    "tau": number(0.0, 1.0, above=True),
    "train_freq": whole(1),
    "gradient_steps": whole(-1),
    "action_noise": number(0.0, none=True),
    "ent_coef": Rule(_entropy, "a number of at least 0, auto, or auto_START with a number above 0"),
    "target_update_interval": whole(1),
    "top_quantiles_to_drop_per_net": whole(0, 24),  # of the 25 that each critic of TQC has
    "use_sde_at_warmup": _ON_OFF,
    "policy_delay": whole(1),
    "target_policy_noise": number(0.0),
    "target_noise_clip": number(0.0),
    # n-step returns off-policy, length of a rollout on-policy
    "n_steps": whole(1),
    "n_epochs": whole(1),
    "gae_lambda": number(0.0, 1.0),
    "clip_range": number(0.0, above=True),
    "clip_range_vf": number(0.0, above=True, none=True),
    "normalize_advantage": _ON_OFF,
    "vf_coef": number(0.0),
    "max_grad_norm": number(0.0, above=True),
    "target_kl": number(0.0, above=True, none=True),
}
"""What each hyperparameter may be; the few not named are checked by Stable-Baselines3."""
