"""Does a policy fit an env? Channel by channel where both name them, by shape otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from sim2real.deployment.pictures import channels_first, is_picture
from sim2real.domains.channels import Channel
from sim2real.domains.contract import Interface
from sim2real.errors import Sim2RealError

_ROUTE = (
    "A policy is carried into other spaces by sim2real transfer --method graft (or another that can, see "
    "docs/transfer.md); sim2real map shows which number becomes which."
)


def check_fits(policy: Interface, env: Interface) -> None:
    """Check that a policy can act in an env.

    Raises:
        Sim2RealError: It cannot; the message names each channel that differs, or the shapes where a side names none.
    """
    found = differences(policy, env)
    if found:
        raise Sim2RealError(f"the policy does not fit the env: {'; '.join(found)}. {_ROUTE}")


def differences(policy: Interface, env: Interface) -> list[str]:
    """Return in words why a policy cannot act in an env; nothing where it can.

    Bounds of observations do not enter a policy, so they may differ, and so may the order of the axes of pictures;
    bounds of actions scale its output, so they may not.
    """
    observed = (policy.observation, policy.observation_channels, env.observation, env.observation_channels)
    done = (policy.action, policy.action_channels, env.action, env.action_channels)
    return [*_compare("observation", *observed), *_compare("action", *done)]


def _compare(
    kind: str,
    own: spaces.Space[Any],
    own_channels: Sequence[Channel] | None,
    other: spaces.Space[Any],
    other_channels: Sequence[Channel] | None,
) -> list[str]:
    if own_channels and other_channels:
        named = _compare_channels(kind, own_channels, other_channels)
        if named:
            return named
    if isinstance(own, spaces.Dict) and isinstance(other, spaces.Dict):
        found = [f"the env lacks {kind}[{key!r}]" for key in own if key not in other.spaces]
        found += [f"the env adds {kind}[{key!r}]" for key in other if key not in own.spaces]
        for key in own:
            if key in other.spaces:
                found += _compare_plain(f"{kind}[{key!r}]", own[key], other[key], bounds=kind == "action")
        return found
    return _compare_plain(kind, own, other, bounds=kind == "action")


def _compare_channels(kind: str, own: Sequence[Channel], other: Sequence[Channel]) -> list[str]:
    mine, theirs = {channel.name: channel for channel in own}, {channel.name: channel for channel in other}
    found = []
    for name, channel in mine.items():
        if name not in theirs:
            found.append(f"the env lacks {kind} channel {channel}")
            continue
        partner = theirs[name]
        if (channel.width, channel.unit) != (partner.width, partner.unit):
            found.append(f"{kind} channel {channel} is {partner} in the env")
        elif kind == "action" and (channel.low, channel.high) != (partner.low, partner.high):
            found.append(
                f"{kind} channel {channel} is bounded by [{channel.low:g}, {channel.high:g}], "
                f"in the env by [{partner.low:g}, {partner.high:g}]"
            )
    found += [f"the env adds {kind} channel {channel}" for name, channel in theirs.items() if name not in mine]
    if not found and list(mine) != list(theirs):
        found.append(f"{kind} channels are in the order {', '.join(mine)}, in the env {', '.join(theirs)}")
    return found


def _compare_plain(kind: str, own: spaces.Space[Any], other: spaces.Space[Any], *, bounds: bool) -> list[str]:
    if isinstance(own, spaces.Box) and isinstance(other, spaces.Box):
        if is_picture(own) != is_picture(other):
            return [f"{kind} space is {own} in the policy, {other} in the env"]
        if channels_first(own).shape != channels_first(other).shape:
            return [f"{kind} shape is {own.shape} in the policy, {other.shape} in the env"]
        if bounds and not (np.array_equal(own.low, other.low) and np.array_equal(own.high, other.high)):
            return [
                f"{kind} bounds are {own.low.tolist()} to {own.high.tolist()} in the policy, "
                f"{other.low.tolist()} to {other.high.tolist()} in the env"
            ]
        return []
    return [] if own == other else [f"{kind} space is {own} in the policy, {other} in the env"]
