"""Crossing into a world of other spaces: when a policy is translated, and into what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sim2real.deployment.bundle import load_policy
from sim2real.deployment.fit import check_fits, differences
from sim2real.deployment.policy import Policy
from sim2real.domains.contract import Interface
from sim2real.domains.targets import NOMINAL, find_target
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.evaluate import source_world
from sim2real.transfer.base import METHODS, TransferMethod, find_method
from sim2real.transfer.space_map import Overrides, map_spaces, read_map
from sim2real.transfer.translate import Translation, translate


def translate_for(
    policy: Policy | str | Path,
    env: str | World | None = None,
    *,
    target: str = NOMINAL,
    kwargs: Mapping[str, Any] | None = None,
    domain_file: str | Path | None = None,
    targets_file: str | Path | None = None,
    space_map: str | Path | Mapping[str, Any] | None = None,
) -> Translation:
    """Translate a policy for a world of other spaces, as a transfer with ``graft`` does before its first step.

    Args:
        policy: The policy, or the path of its bundle or run folder.
        env: The env; the policy's own if ``None``.
        target: Name of a target.
        kwargs: Keyword arguments of the env.
        domain_file: Domain parameters for an env that has none of its own.
        targets_file: YAML file with more targets.
        space_map: Which number of the one is which of the other, where their names do not say so; a YAML file or its
            content, see :mod:`~sim2real.transfer.space_map`.

    Raises:
        Sim2RealError: Something given is unknown, or the spaces cannot be joined.
    """
    source = policy if isinstance(policy, Policy) else load_policy(policy)
    world = find_target(source_world(source, env, kwargs=kwargs, domain_file=domain_file), target, targets_file)
    return translated(source, world.interface(), given_map(space_map) or {}, 0)


def given_map(space_map: str | Path | Mapping[str, Any] | None) -> Overrides | None:
    """Return what a user says about channels, read where it is a file.

    Raises:
        Sim2RealError: It is no such file.
    """
    return read_map(space_map) if isinstance(space_map, (str, Path)) else space_map


def crossing(
    method: type[TransferMethod], policy: Interface, there: Interface, space_map: Overrides | None
) -> Overrides | None:
    """Return the map along which a policy is translated; ``None`` where it is carried as it is.

    Args:
        method: Of the transfer.
        policy: What the policy sees and does.
        there: What is seen and done in the target.
        space_map: What the user says about channels.

    Raises:
        Sim2RealError: The spaces differ and the method is for equal ones, or cannot be joined, or the map contradicts
            itself.
    """
    if not method.crosses_spaces:
        check_fits(policy, there)
        if space_map:
            able = [name for name in METHODS if find_method(name).crosses_spaces]
            raise Sim2RealError(f"{method.name} carries a policy as it is, without a map; use {', '.join(able)}.")
        _check_critics(method, policy, there)
        return None
    if not (space_map or method.aligns or differences(policy, there)):
        _check_critics(method, policy, there)
        return None
    map_spaces(policy, reached(method, there), space_map)
    return space_map or {}


def _check_critics(method: type[TransferMethod], policy: Interface, there: Interface) -> None:
    """Check that a target tells critics that are carried into it what they read in the source."""
    read, told = policy.privileged_channels, there.privileged_channels
    if not method.carries_critics or read is None:
        return
    meant = [(channel.name, channel.width, channel.unit) for channel in read]
    if told is None or meant != [(channel.name, channel.width, channel.unit) for channel in told]:
        names = "nothing" if told is None else ", ".join(map(str, told))
        raise Sim2RealError(
            f"{method.name} goes on with the source's asymmetric critics, which read {', '.join(map(str, read))} in "
            f"this order, and the target tells {names}; use kickstart."
        )


def reached(method: TransferMethod | type[TransferMethod], there: Interface) -> Interface:
    """Return what a method's translated policy sees and does in a target."""
    return there.as_teacher() if method.teaches else there


def acts(policy: Interface, there: Interface, space_map: Overrides | None) -> bool:
    """Return whether a policy can act in a target with what is shown there, translated where there is a map."""
    if space_map is None:
        return True
    try:
        map_spaces(policy, there, space_map)
    except Sim2RealError:  # only a teacher, which sees more, gets so far
        return False
    return True


def check_crossing(method: TransferMethod) -> None:
    """Check that a learner, with these settings, is given no source transitions, which are of other spaces.

    Args:
        method: The method.

    Raises:
        Sim2RealError: It is.
    """
    if method.mixes_source:
        raise Sim2RealError(
            f"{method.name} with these settings learns from transitions of the source, whose spaces differ; leave them "
            f"out."
        )


def translated(source: Policy, there: Interface, space_map: Overrides, seed: int) -> Translation:
    """Return a policy translated for other spaces.

    Args:
        source: The policy.
        there: What the translated one sees and does, see :func:`reached`.
        space_map: What the user says about channels.
        seed: Of weights that are fresh.

    Raises:
        Sim2RealError: The spaces cannot be joined, or the map contradicts itself.
    """
    return translate(source, there, map_spaces(source.interface, there, space_map), seed)
