"""Targets: named worlds that a policy is carried into, each an env spec plus a domain, in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sim2real.domains.adapter import TARGET_KEYS
from sim2real.domains.contract import domain_space, targets_file
from sim2real.domains.space import DomainSpace
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError, check_keys, unknown_name
from sim2real.files import read_yaml

NOMINAL = "nominal"
"""The target that every world has: all parameters at their nominal values."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One entry of a targets file."""

    name: str
    """How users call it."""
    description: str = ""
    """What is different there, in words."""
    env: str | None = None
    """Another env than the one the file belongs to."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the env that differ."""
    domain: Mapping[str, float] = field(default_factory=dict)
    """Parameters that differ from their nominal values."""


def read_targets(path: str | Path) -> dict[str, Target]:
    """Read a targets file: ``name: {description, env, kwargs, domain}``.

    Raises:
        Sim2RealError: The file cannot be read, or a key in it is unknown.
    """
    return _parse(read_yaml(path), str(path))


def _parse(content: Mapping[str, Any], where: str) -> dict[str, Target]:
    targets = {}
    for name, entry in content.items():
        fields = check_keys(entry, TARGET_KEYS, f"{where}: target {name!r}")
        for key in ("kwargs", "domain"):
            if not isinstance(fields.get(key) or {}, Mapping):
                raise Sim2RealError(f"{where}: target {name!r}: {key} must be a mapping, got {fields[key]!r}.")
        for key, kind in (("env", "an id"), ("description", "text")):
            if not isinstance(fields.get(key) or "", str):
                raise Sim2RealError(f"{where}: target {name!r}: {key} must be {kind}, got {fields[key]!r}.")
        targets[name] = Target(name=name, **{key: value for key, value in fields.items() if value is not None})
    return targets


def list_targets(world: World, file: str | Path | None = None) -> dict[str, Target]:
    """Return the targets of a world: shipped with its env, in its domain file, and in ``file``; later ones win."""
    targets = {NOMINAL: Target(name=NOMINAL, description="all parameters at their nominal values")}
    with closing(world.make()) as env:
        shipped = targets_file(env)
    if shipped is not None:
        targets |= read_targets(shipped)
    if world.domain_file is not None:
        targets |= _parse(world.domain_file.targets, "domain file")
    if file is not None:
        targets |= read_targets(file)
    return targets


def find_target(world: World, target: str | Mapping[str, float] | World, file: str | Path | None = None) -> World:
    """Return the world of a target.

    Args:
        world: The world the target is a variation of.
        target: Its name; or a domain, whose missing parameters are nominal; or a world, returned as it is.
        file: A YAML file with more targets.

    Returns:
        A world whose ``domain`` is complete.

    Raises:
        Sim2RealError: The target, or a parameter in it, is unknown or out of bounds.
    """
    if isinstance(target, World):
        return target if target.domain is not None else _fix(target, {}, target.target or NOMINAL)
    if not isinstance(target, str):
        return _fix(world, target, "custom")
    targets = list_targets(world, file)
    if target not in targets:
        raise unknown_name("target", target, targets)
    found = targets[target]
    try:
        return _fix(_vary(world, found), found.domain, target)
    except Sim2RealError as error:
        raise Sim2RealError(f"target {target!r}: {error}") from None


def check_targets(world: World, file: str | Path | None = None) -> tuple[str, ...]:
    """Check that every target of a world can be made, before a run is spent on reaching one.

    Args:
        world: The world the targets are variations of.
        file: A YAML file with more targets.

    Returns:
        The names of the targets.

    Raises:
        Sim2RealError: The env of a target, or a parameter in it, is unknown or out of bounds; the message names the
            target.
    """
    targets = list_targets(world, file)
    spaces: dict[str, DomainSpace] = {}  # to make each env once
    for name, target in targets.items():
        there = _vary(world, target)
        recipe = f"{there.env} {dict(there.kwargs)}"
        try:
            if recipe not in spaces:
                with closing(there.make()) as env:
                    spaces[recipe] = domain_space(env)
            spaces[recipe].complete(target.domain)
        except Sim2RealError as error:
            raise Sim2RealError(f"target {name!r}: {error}") from None
    return tuple(targets)


def _vary(world: World, target: Target) -> World:
    changed = replace(world, kwargs={**world.kwargs, **target.kwargs}, domain=None, target=None)
    if target.env is not None and target.env != world.env:
        changed = replace(changed, env=target.env, domain_file=None)
    return changed


def _fix(world: World, domain: Mapping[str, float], name: str) -> World:
    with closing(world.make()) as env:
        return world.with_domain(domain_space(env).complete(domain), name)
