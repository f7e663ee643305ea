"""Sensors that lose readings, get stuck, or tell no more than they resolve."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from sim2real.domains.contract import Env
from sim2real.domains.signals.base import (
    ObservationSignal,
    inside,
    measured_channels,
    option,
    positive,
    sensor_scale,
)
from sim2real.errors import Sim2RealError


class _HeldReadings(ObservationSignal):
    """Base of sensors whose last reading stands in for a missing one: a subclass writes :meth:`_missing`.

    The numbers of a channel go missing together; where the env names no channels, every number is one.
    """

    def __init__(self, env: Env, high: float, train: tuple[float, float] | None) -> None:
        most = option(self.signal_name, "high", high, high=1.0)
        super().__init__(
            env, {self.signal_name: {"nominal": 0.0, "low": 0.0, "high": most, "unit": "1", "train": train}}
        )
        channels = measured_channels(env, self._box)
        widths = [1] * int(np.prod(self._box.shape)) if channels is None else [c.width for c in channels]
        self._channels = len(widths)
        self._channel_of = np.repeat(np.arange(self._channels), widths).reshape(self._box.shape)

    def _first(self, values: NDArray[Any]) -> NDArray[Any]:
        self._last = np.array(values)
        return values

    def _measured(self, values: NDArray[Any]) -> NDArray[Any]:
        self._last = np.where(self._missing()[self._channel_of], self._last, values)
        return self._last.copy()

    def _missing(self) -> NDArray[np.bool_]:
        """Return for each channel whether this step has no new reading of it."""
        raise NotImplementedError


class SensorDropout(_HeldReadings):
    """Lose the reading of a channel with probability ``sensor_dropout`` in every step; its last one is repeated.

    Channels are lost independently, all numbers of one together; where the env names no channels, every number is
    one. The first reading of an episode always arrives.

    Args:
        env: Env with a ``Box`` observation space, or a ``Dict`` one with a ``Box`` at ``"observation"``.
        high: Largest probability the env accepts, at most 1.
        train: Range that training draws from; ``[0, high]`` if ``None``.

    Raises:
        Sim2RealError: The observation space has another form, or an option is out of range.
    """

    signal_name = "sensor_dropout"

    def __init__(self, env: Env, *, high: float = 0.5, train: tuple[float, float] | None = None) -> None:
        RecordConstructorArgs.__init__(self, high=high, train=train)
        super().__init__(env, high, train)

    def _missing(self) -> NDArray[np.bool_]:
        return self._rng.random(self._channels) < self._now["sensor_dropout"]


class StuckSensor(_HeldReadings):
    """Let a channel get stuck with probability ``stuck_sensor`` in an episode: from some step on its reading stays.

    The step is drawn uniformly from the first ``within`` of the episode, the reset among them. Channels get stuck
    independently, all numbers of one together; where the env names no channels, every number is one.

    Args:
        env: Env with a ``Box`` observation space, or a ``Dict`` one with a ``Box`` at ``"observation"``.
        high: Largest probability the env accepts, at most 1.
        train: Range that training draws from; ``[0, high]`` if ``None``.
        within: Number of readings, from the start of an episode, of which one is the last that is new [control steps].

    Raises:
        Sim2RealError: The observation space has another form, or an option is out of range.
    """

    signal_name = "stuck_sensor"
    whole_episode = ("stuck_sensor",)

    def __init__(
        self, env: Env, *, high: float = 0.5, train: tuple[float, float] | None = None, within: int = 50
    ) -> None:
        RecordConstructorArgs.__init__(self, high=high, train=train, within=within)
        super().__init__(env, high, train)
        if isinstance(within, bool) or not isinstance(within, int) or within < 1:
            raise Sim2RealError(f"stuck_sensor: within = {within!r} must be a whole number of at least 1.")
        self._within = within

    def _first(self, values: NDArray[Any]) -> NDArray[Any]:
        sticks = self._rng.random(self._channels) < self._now["stuck_sensor"]
        self._last_new = np.where(sticks, self._rng.integers(self._within, size=self._channels), np.inf)
        self._step = 0
        return super()._first(values)

    def _missing(self) -> NDArray[np.bool_]:
        self._step += 1
        missing: NDArray[np.bool_] = self._step > self._last_new
        return missing


class ObservationQuantisation(ObservationSignal):
    """Round every measured number to a multiple of its resolution, ``q round(o / q)``.

    The resolution ``q`` of a number is ``observation_quantisation`` times the ``noise`` of its channel, or times
    ``resolution`` for an env without channels. A channel with ``noise = 0`` is computed, not measured, and stays as it
    is. Values stay inside the observation space.

    Args:
        env: Env with a ``Box`` observation space, or a ``Dict`` one with a ``Box`` at ``"observation"``.
        resolution: Resolution at ``observation_quantisation = 1``, in observation units, where the env names no
            channels.
        high: Largest factor the env accepts.
        train: Range that training draws from; ``[0, high]`` if ``None``.

    Raises:
        Sim2RealError: The observation space has another form, no channel is measured, or an option is out of range.
    """

    signal_name = "observation_quantisation"

    def __init__(
        self, env: Env, *, resolution: float = 1.0, high: float = 10.0, train: tuple[float, float] | None = None
    ) -> None:
        RecordConstructorArgs.__init__(self, resolution=resolution, high=high, train=train)
        super().__init__(
            env, {"observation_quantisation": {"nominal": 0.0, "low": 0.0, "high": high, "unit": "1", "train": train}}
        )
        self._unit = sensor_scale(env, self._box, positive(self.signal_name, "resolution", resolution))
        if not self._unit.any():
            raise Sim2RealError(
                "observation_quantisation: no channel of the env has a noise, by which resolutions are measured; give "
                "its observation_channels some, or leave the signal out."
            )

    def _measured(self, values: NDArray[Any]) -> NDArray[Any]:
        resolution = self._now["observation_quantisation"] * self._unit
        multiples = np.rint(np.divide(values, resolution, out=np.zeros(values.shape), where=resolution > 0.0))
        return inside(self._box, np.where(resolution > 0.0, resolution * multiples, values))
