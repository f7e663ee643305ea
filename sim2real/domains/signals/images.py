"""The look of camera pictures: light, noise, where the camera points, what hides a part of the picture."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from sim2real.domains.contract import Env
from sim2real.domains.signals.base import ObservationSignal, option
from sim2real.errors import Sim2RealError

_WHITE = 255.0


class ImageAugmentation(ObservationSignal):
    """Change the look of camera pictures; each option names the largest effect of one parameter.

    What is done, in this order, to a picture ``p`` in grey levels:

    - ``image_shift`` [pixels]: moved down and to the right by two distances drawn uniformly from ``±image_shift`` and
      rounded to whole pixels, the same all episode long; the edge is repeated.
    - ``image_cutout``: a black patch of this share of height and width, at one place all episode long (DeVries & Taylor
      2017).
    - ``image_contrast`` and ``image_brightness``: ``c (p - 127.5) + 127.5 + 255 b``.
    - ``image_noise``: white Gaussian noise with a standard deviation of ``255 image_noise``, new in every step.

    Pictures are ``H x W``, ``H x W x C``, ``C x H x W`` or a stack of one of these, ``uint8`` before and after. All
    pictures of a stack are shifted and hidden alike.

    Args:
        env: Env whose observations are pictures, or a ``Dict`` with pictures at ``key``.
        key: Where in a ``Dict`` observation the pictures are.
        brightness: Largest ``image_brightness`` to either side [share of full scale], at most 1.
        contrast: Largest distance of ``image_contrast`` from 1, at most 1.
        noise: Largest ``image_noise`` [share of full scale], at most 1.
        shift: Largest ``image_shift`` [pixels], less than a side of the picture.
        cutout: Largest ``image_cutout`` [share of a side], at most 1.

    Raises:
        Sim2RealError: There are no pictures, no effect is asked for, or an option is out of range.
    """

    signal_name = "image_augmentation"
    whole_episode = ("image_brightness", "image_contrast", "image_shift", "image_cutout")

    def __init__(
        self,
        env: Env,
        *,
        key: str | None = None,
        brightness: float = 0.0,
        contrast: float = 0.0,
        noise: float = 0.0,
        shift: float = 0.0,
        cutout: float = 0.0,
    ) -> None:
        RecordConstructorArgs.__init__(
            self, key=key, brightness=brightness, contrast=contrast, noise=noise, shift=shift, cutout=cutout
        )
        effects = {"brightness": brightness, "contrast": contrast, "noise": noise, "shift": shift, "cutout": cutout}
        self._asked_key = key
        parameters = {}
        for name, value in effects.items():
            effect = option(self.signal_name, name, value, high=math.inf if name == "shift" else 1.0)
            if effect:
                nominal = 1.0 if name == "contrast" else 0.0
                low = nominal - effect if name in ("brightness", "contrast") else 0.0
                unit = "pixels" if name == "shift" else "1"
                parameters[f"image_{name}"] = {"nominal": nominal, "low": low, "high": nominal + effect, "unit": unit}
        if not parameters:
            raise Sim2RealError(f"image_augmentation: no effect is asked for; give one of {', '.join(effects)}.")
        super().__init__(env, parameters)
        self._axes = _height_and_width(self._box.shape)
        self._sides = [self._box.shape[axis] for axis in self._axes]
        option(self.signal_name, "shift", shift, high=min(self._sides) - 1.0)

    def _part(self, space: gym.Space[Any]) -> tuple[str | None, gym.spaces.Box]:
        key = self._asked_key
        if isinstance(space, gym.spaces.Dict):
            pictures = [name for name, part in space.items() if _holds_pictures(part)]
            if pictures and key not in pictures:
                raise Sim2RealError(
                    f"image_augmentation: key = {key!r} must name pictures of the env; it has {', '.join(pictures)}."
                )
            part = space[key] if key in pictures else space
        elif key is not None:
            raise Sim2RealError(
                f"image_augmentation: key = {key!r} is for a Dict observation space, the env has {space}; leave it out."
            )
        else:
            part = space
        if not isinstance(part, gym.spaces.Box) or not _holds_pictures(part):
            raise Sim2RealError(
                f"image_augmentation needs uint8 pictures from 0 to 255, the env has {space}; leave the signal out."
            )
        return key, part

    def _first(self, values: NDArray[Any]) -> NDArray[Any]:
        shift, cutout = self._now.get("image_shift", 0.0), self._now.get("image_cutout", 0.0)
        self._sources: list[NDArray[np.int64]] = []
        if shift:
            moves = np.rint(self._rng.uniform(-shift, shift, 2)).astype(np.int64)
            self._sources = [np.clip(np.arange(n) - move, 0, n - 1) for n, move in zip(self._sides, moves, strict=True)]
        self._patch: tuple[slice, ...] | None = None
        if cutout:
            self._patch = self._place_patch(cutout)
        contrast, brightness = self._now.get("image_contrast", 1.0), self._now.get("image_brightness", 0.0)
        self._levels: NDArray[np.uint8] | None = None
        if contrast != 1.0 or brightness != 0.0:
            grey = np.arange(256) - _WHITE / 2
            self._levels = _to_levels(contrast * grey + _WHITE / 2 + _WHITE * brightness)
        return self._measured(values)

    def _place_patch(self, share: float) -> tuple[slice, ...]:
        patch = [slice(None)] * len(self._box.shape)
        for axis, side in zip(self._axes, self._sides, strict=True):
            length = round(share * side)
            start = int(self._rng.integers(side - length + 1))
            patch[axis] = slice(start, start + length)
        return tuple(patch)

    def _measured(self, values: NDArray[Any]) -> NDArray[Any]:
        picture = np.array(values)
        for axis, source in zip(self._axes, self._sources, strict=False):
            picture = np.take(picture, source, axis)
        if self._patch is not None:
            picture[self._patch] = 0
        if self._levels is not None:
            picture = self._levels[picture]
        noise = self._now.get("image_noise", 0.0)
        if noise:
            picture = _to_levels(picture + _WHITE * noise * self._rng.standard_normal(picture.shape, np.float32))
        return picture


def _to_levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.clip(np.rint(values), 0.0, _WHITE).astype(np.uint8)
    return levels


def _holds_pictures(space: gym.Space[Any]) -> bool:
    if not isinstance(space, gym.spaces.Box) or space.dtype != np.uint8 or len(space.shape) < 2:
        return False
    return bool((space.low == 0).all() and (space.high == 255).all())


def _height_and_width(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the two axes of a picture, the third of which, the shortest one, is that of the colours or of a stack."""
    if len(shape) == 2:
        return 0, 1
    return (-2, -1) if int(np.argmin(shape[-3:])) == 0 else (-3, -2)
