"""Gaussian noise on what is measured: white in every step, and as a bias for an episode."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from sim2real.domains.contract import Env
from sim2real.domains.signals.base import ObservationSignal, option, positive, sensor_scale


class ObservationNoise(ObservationSignal):
    """Add white Gaussian noise to the measured numbers of every observation.

    The standard deviation of a number is ``observation_noise`` times the ``noise`` of its channel, or times ``std``
    for an env without channels. Of a dict observation the key ``"observation"`` alone is disturbed: goals are
    commanded, not measured. Values stay inside the observation space.

    With ``bias`` each number is also off by the same amount all episode long. It is drawn at reset from a Gaussian
    whose standard deviation is ``observation_bias`` times that ``noise`` or ``std``.

    Args:
        env: Env with a ``Box`` observation space, or a ``Dict`` one with a ``Box`` at ``"observation"``.
        std: Standard deviation at ``observation_noise = 1``, in observation units, where the env names no channels.
        high: Largest factor the env accepts.
        train: Range that training draws from; ``[0, high]`` if ``None``.
        bias: Largest ``observation_bias``; without it there is no such parameter.

    Raises:
        Sim2RealError: The observation space has another form, or an option is out of range.
    """

    signal_name = "observation_noise"
    whole_episode = ("observation_bias",)

    def __init__(
        self,
        env: Env,
        *,
        std: float = 1.0,
        high: float = 3.0,
        train: tuple[float, float] | None = None,
        bias: float = 0.0,
    ) -> None:
        RecordConstructorArgs.__init__(self, std=std, high=high, train=train, bias=bias)
        parameters = {"observation_noise": {"nominal": 0.0, "low": 0.0, "high": high, "unit": "1", "train": train}}
        most = option(self.signal_name, "bias", bias)
        if most:
            parameters["observation_bias"] = {"nominal": 0.0, "low": 0.0, "high": most, "unit": "1"}
        super().__init__(env, parameters)
        self._std = sensor_scale(env, self._box, positive(self.signal_name, "std", std))

    def _first(self, values: NDArray[Any]) -> NDArray[Any]:
        factor = self._now.get("observation_bias", 0.0)
        self._bias = self._draw(factor) if factor else None
        return self._measured(values)

    def _measured(self, values: NDArray[Any]) -> NDArray[Any]:
        if self._now["observation_noise"]:
            values = values + self._draw(self._now["observation_noise"])
        if self._bias is not None:
            values = values + self._bias
        clipped: NDArray[Any] = np.clip(values, self._box.low, self._box.high).astype(self._box.dtype)
        return clipped

    def _draw(self, factor: float) -> NDArray[np.float64]:
        return self._rng.standard_normal(self._std.shape) * (factor * self._std)
