"""Pictures among observations: which spaces are pictures, and the order of their axes.

Envs give them with the channels last, (height, width, channels); convolutions read them with the channels first. As in
Stable-Baselines3, a picture is a Box of uint8 from 0 to 255 with three axes, and its channels are the fewest of them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError

SMALLEST = 36
"""Pixels along an edge that the convolutions of SB3's NatureCNN need."""

_CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
"""Of NatureCNN (Mnih et al., 2015): channels, edge of the kernel and stride [pixels]."""


def is_picture(space: spaces.Space[Any]) -> bool:
    """Return whether a space is one of pictures."""
    from stable_baselines3.common.preprocessing import is_image_space

    return is_image_space(space)


def has_pictures(space: spaces.Space[Any]) -> bool:
    """Return whether a space is one of pictures, or has a part that is."""
    return any(map(is_picture, space.values() if isinstance(space, spaces.Dict) else [space]))


def channels_first(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """Return a space whose pictures have their channels first; the space itself where that is so already."""
    if isinstance(space, spaces.Dict):
        # Ordered: networks join the parts in this order, and gymnasium sorts a plain dict.
        parts = OrderedDict((key, channels_first(part)) for key, part in space.items())
        return space if all(parts[key] is part for key, part in space.items()) else spaces.Dict(parts)
    if not is_picture(space) or _has_channels_first(space):
        return space
    assert space.shape is not None
    height, width, channels = space.shape
    return spaces.Box(0, 255, (channels, height, width), np.uint8)


def channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape, channels last, of a picture whose channels are first."""
    channels, height, width = shape
    return height, width, channels


def turn(pictures: NDArray[Any]) -> NDArray[Any]:
    """Return a view of pictures (n, height, width, channels) as (n, channels, height, width)."""
    return pictures.transpose(0, 3, 1, 2)


def check_pictures(space: spaces.Space[Any]) -> None:
    """Check that convolutions can read the pictures of an observation space.

    Raises:
        Sim2RealError: They are too small, or their channels are not all in one place.
    """
    parts = [part for part in (space.values() if isinstance(space, spaces.Dict) else [space]) if is_picture(part)]
    for part in parts:
        convolved(channels_first(part))
    if len({_has_channels_first(part) for part in parts}) > 1:
        raise Sim2RealError(f"of the pictures of {space}, some have their channels first; give all of them last.")


def convolved(space: spaces.Space[Any]) -> tuple[int, int]:
    """Return how many weights the convolutions of NatureCNN have at least, and how many numbers come out of them.

    Args:
        space: Of pictures, (channels, height, width).

    Raises:
        Sim2RealError: The pictures are too small.
    """
    assert space.shape is not None
    before, *sides = space.shape
    weights = 0
    for channels, kernel, stride in _CONVOLUTIONS:
        sides = [(side - kernel) // stride + 1 for side in sides]
        weights += before * channels * kernel * kernel
        before = channels
    if min(sides) < 1:
        raise Sim2RealError(
            f"pictures of {space.shape[1]} x {space.shape[2]} are too small for the convolutions, which need "
            f"{SMALLEST} x {SMALLEST}; scale them up, as gymnasium.wrappers.ResizeObservation does."
        )
    return weights, before * sides[0] * sides[1]


def _has_channels_first(space: spaces.Space[Any]) -> bool:
    assert space.shape is not None
    return int(np.argmin(space.shape)) == 0
