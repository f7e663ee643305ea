"""The ground floor: tuned hyperparameters for every algorithm and world, and policies that were trained with them."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml

ALGORITHMS = ("sac", "td3", "tqc", "ppo")
"""Algorithms that hyperparameters are kept for; where several are tuned for an env, the first is its usual one."""


def tuned_hyperparameters(algo: str, env_id: str, variants: Iterable[str] = ()) -> dict[str, Any]:
    """Return the hyperparameters of an algorithm for an env.

    Args:
        algo: One of :data:`ALGORITHMS`.
        env_id: Gymnasium id without its module, e.g. ``"sim2real/PandaReach-v0"``.
        variants: What makes it a variant of that env, e.g. ``["control=joint"]``; each may have settings of its own.

    Returns:
        The algorithm's defaults, overridden by what is tuned for this env and then for its variants; among them
        ``n_timesteps``, the env steps it needs, where that is known.
    """
    content = _read(algo)
    values = dict(content["default"])
    for name in reversed(_names(env_id, variants)):
        values |= content["envs"].get(name, {})
    return deepcopy(values)


def tuned_algorithm(env_id: str, variants: Iterable[str] = ()) -> str:
    """Return the algorithm that is tuned for an env, or else for the env it is a variant of; the first if none is.

    Args:
        env_id: Gymnasium id without its module.
        variants: As :func:`tuned_hyperparameters` takes them.
    """
    entries = {algo: _read(algo)["envs"] for algo in ALGORITHMS}
    tuned = (algo for name in _names(env_id, variants) for algo in ALGORITHMS if name in entries[algo])
    return next(tuned, ALGORITHMS[0])


def tuned_worlds(algo: str) -> list[str]:
    """Return the ids of the envs, without variants, that an algorithm is tuned for."""
    return [name for name in _read(algo)["envs"] if "?" not in name]


def pretrained_policies() -> dict[str, Traversable]:
    """Return the bundles that are shipped, by the name of their world: ``"PandaPush"``, ``"Labyrinth-hard-1"``.

    Each is the first seed of a row of the table of learning in docs/worlds.md, not the best one.
    """
    folder = files(__name__) / "pretrained"
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".zip")), key=lambda file: file.name)
    return {file.name.removesuffix(".zip"): file for file in found}


def _names(env_id: str, variants: Iterable[str]) -> list[str]:
    """Return the entries that an env may have, the most special one first."""
    return [*(f"{env_id}?{variant}" for variant in variants), env_id]


def _read(algo: str) -> dict[str, Any]:
    return _parsed((files(__name__) / "hyperparameters" / f"{algo}.yaml").read_text(encoding="utf-8"))


@cache  # the plan of a study asks for every training of it
def _parsed(text: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(text)
    return content
