"""Named channels: what each number of an observation or an action is, in which unit and within which bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces

from sim2real.errors import Sim2RealError


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A named run of consecutive numbers in an observation or action vector.

    A discrete action is one number, whose choices are spread evenly from ``low`` to ``high``.
    """

    name: str
    """What it is, e.g. ``"joint_position"``."""
    width: int
    """How many consecutive numbers it takes."""
    unit: str
    """SI unit; ``"1"`` for a pure number."""
    low: float
    """Lower bound, the same for all its numbers."""
    high: float
    """Upper bound, the same for all its numbers."""
    noise: float = 0.0
    """Typical standard deviation of its sensor, in ``unit``; zero for what is computed and not measured."""
    sampled: bool = False
    """Whether its numbers sample one quantity at equal distances from end to end, as the rays of a lidar do: where two
    such channels differ in width, one is interpolated from the other."""
    of_body: bool = False
    """Whether it is told in terms of how the body is built, as joints are: in another body the number of the same name
    may be another joint, or turn the other way round."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise Sim2RealError(f"channel {self.name!r}: width = {self.width} must be at least 1.")
        if not self.low < self.high:
            raise Sim2RealError(f"channel {self.name!r}: low = {self.low:g} must be below high = {self.high:g}.")
        if not self.noise >= 0.0:
            raise Sim2RealError(f"channel {self.name!r}: noise = {self.noise:g} must not be negative.")

    def __str__(self) -> str:
        return f"{self.name}[{self.width}] {self.unit}"


def element_name(channels: Sequence[Channel] | None, index: int) -> str:
    """Name one number of a vector, e.g. ``"joint_position[2] (channel 5)"``; just its index without channels."""
    start = 0
    for channel in channels or ():
        if index < start + channel.width:
            return f"{channel.name}[{index - start}] (channel {index})"
        start += channel.width
    return f"channel {index}"


def channel_box(channels: Sequence[Channel]) -> spaces.Box:
    """Return the space of a vector of channels, ``Box`` of float32."""
    widths = [channel.width for channel in channels]
    low, high = (np.repeat([getattr(c, side) for c in channels], widths).astype(np.float32) for side in ("low", "high"))
    return spaces.Box(low, high, dtype=np.float32)
