"""Actuators that do not do what they are told: gain and bias, noise, lag, backlash, saturation."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from sim2real.domains.contract import Env
from sim2real.domains.signals.base import ActionSignal, inside, option


class ActuatorGain(ActionSignal):
    """Scale every action, ``g a``, and with ``bias`` shift it too, ``g a + b h``; it stays inside the action space.

    ``g`` is ``actuator_gain``, ``b`` is ``actuator_bias`` and ``h`` is half the range of the number.

    Args:
        env: Env with a ``Box`` action space.
        low: Smallest gain the env accepts, at most 1.
        high: Largest gain the env accepts, at least 1.
        train: Range that training draws gains from; ``[low, high]`` if ``None``.
        bias: Largest ``actuator_bias`` to either side [halves of the range]; without it there is no such parameter.

    Raises:
        Sim2RealError: The action space is not a ``Box``, has no bounds that a bias could be measured by, or an option
            is out of range.
    """

    signal_name = "actuator_gain"

    def __init__(
        self,
        env: Env,
        *,
        low: float = 0.5,
        high: float = 1.5,
        train: tuple[float, float] | None = None,
        bias: float = 0.0,
    ) -> None:
        RecordConstructorArgs.__init__(self, low=low, high=high, train=train, bias=bias)
        parameters = {"actuator_gain": {"nominal": 1.0, "low": low, "high": high, "unit": "1", "train": train}}
        most = option(self.signal_name, "bias", bias)
        if most:
            parameters["actuator_bias"] = {"nominal": 0.0, "low": -most, "high": most, "unit": "1"}
        super().__init__(env, parameters)
        self._unit = self._half_range() if most else np.zeros(self._box.shape)

    def _changed(self, action: Any) -> NDArray[Any]:
        shift = self._now.get("actuator_bias", 0.0) * self._unit
        return inside(self._box, self._now["actuator_gain"] * np.asarray(action, np.float64) + shift)


class ActionNoise(ActionSignal):
    """Disturb every action, ``a (1 + g n0) + h (b n1 + w n2)``; it stays inside the action space.

    ``w`` is ``action_noise``, and with the options of the same names ``b`` is ``action_noise_bias`` and ``g`` is
    ``action_noise_gain``. ``h`` is half the range of the number. The standard normal draws ``n0`` and ``n1``, one for
    each number, hold for an episode; ``n2`` is drawn anew in every step. This is the form of OpenAI et al., "Solving
    Rubik's Cube with a Robot Hand" (2019).

    Args:
        env: Env with a ``Box`` action space.
        high: Largest standard deviation in a step that the env accepts [halves of the range].
        train: Range that training draws from [halves of the range]; ``[0, high]`` if ``None``.
        bias: Largest ``action_noise_bias`` [halves of the range]; without it there is no such parameter.
        gain: Largest ``action_noise_gain``, a pure number; without it there is no such parameter.

    Raises:
        Sim2RealError: The action space is not a ``Box`` or has no bounds, or an option is out of range.
    """

    signal_name = "action_noise"
    whole_episode = ("action_noise_bias", "action_noise_gain")

    def __init__(
        self,
        env: Env,
        *,
        high: float = 0.3,
        train: tuple[float, float] | None = None,
        bias: float = 0.0,
        gain: float = 0.0,
    ) -> None:
        RecordConstructorArgs.__init__(self, high=high, train=train, bias=bias, gain=gain)
        parameters = {"action_noise": {"nominal": 0.0, "low": 0.0, "high": high, "unit": "1", "train": train}}
        for name, value in (("bias", bias), ("gain", gain)):
            most = option(self.signal_name, name, value)
            if most:
                parameters[f"action_noise_{name}"] = {"nominal": 0.0, "low": 0.0, "high": most, "unit": "1"}
        super().__init__(env, parameters)
        self._unit = self._half_range()

    def _start(self) -> None:
        self._gain = 1.0 + self._draw("action_noise_gain")
        self._bias = self._draw("action_noise_bias")

    def _changed(self, action: Any) -> NDArray[Any]:
        return inside(self._box, action * self._gain + self._unit * (self._bias + self._draw("action_noise")))

    def _draw(self, name: str) -> NDArray[np.float64]:
        std = self._now.get(name, 0.0)
        return std * self._rng.standard_normal(self._box.shape) if std else np.zeros(self._box.shape)


class _Follows(ActionSignal):
    """Base of actuators that go from where they are to where they are told, from the neutral action at first."""

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step with the action that arrives."""
        if self._idle:  # one that wakes in mid-episode goes on from here
            self._reached = np.array(action, np.float64)
        return super().step(action)

    def _begin_episode(self, observation: Any) -> Any:
        self._reached = self._neutral.astype(np.float64)
        return observation

    def _start(self) -> None:
        pass


class ActionLag(_Follows):
    """Let every action be approached with a time constant of ``action_lag`` control steps, from the neutral one on.

    ``y[t] = y[t-1] + (1 - exp(-1/T)) (a[t] - y[t-1])``: the first-order lag ``T y' = a - y``, exactly, for actions that
    are held over a step.

    Args:
        env: Env with a ``Box`` action space.
        high: Largest time constant the env accepts [control steps].
        train: Range that training draws from [control steps]; ``[0, high]`` if ``None``.

    Raises:
        Sim2RealError: The action space is not a ``Box``, or an option is out of range.
    """

    signal_name = "action_lag"

    def __init__(self, env: Env, *, high: float = 5.0, train: tuple[float, float] | None = None) -> None:
        RecordConstructorArgs.__init__(self, high=high, train=train)
        super().__init__(
            env, {"action_lag": {"nominal": 0.0, "low": 0.0, "high": high, "unit": "steps", "train": train}}
        )

    def _changed(self, action: Any) -> NDArray[Any]:
        share = -math.expm1(-1.0 / self._now["action_lag"])
        self._reached = self._reached + share * (action - self._reached)
        return inside(self._box, self._reached)


class ActionBacklash(_Follows):
    """Give every actuator a play: it stays until the action leaves a band around it, then it is dragged along.

    The play operator ``y[t] = min(max(y[t-1], a[t] - w h / 2), a[t] + w h / 2)`` from the neutral action on. ``w`` is
    ``action_backlash`` and ``h`` half the range of the number, so that in a space from -1 to 1 ``w`` is the width of
    the play in action units.

    Args:
        env: Env with a ``Box`` action space.
        high: Largest width of the play that the env accepts [halves of the range].
        train: Range that training draws from [halves of the range]; ``[0, high]`` if ``None``.

    Raises:
        Sim2RealError: The action space is not a ``Box`` or has no bounds, or an option is out of range.
    """

    signal_name = "action_backlash"

    def __init__(self, env: Env, *, high: float = 0.2, train: tuple[float, float] | None = None) -> None:
        RecordConstructorArgs.__init__(self, high=high, train=train)
        super().__init__(
            env, {"action_backlash": {"nominal": 0.0, "low": 0.0, "high": high, "unit": "1", "train": train}}
        )
        self._unit = self._half_range()

    def _changed(self, action: Any) -> NDArray[Any]:
        play = self._now["action_backlash"] * self._unit / 2.0
        self._reached = np.clip(self._reached, action - play, action + play)
        return inside(self._box, self._reached)


class ActionSaturation(ActionSignal):
    """Let every action reach no more than the share ``action_saturation`` of its way from the neutral one to a bound.

    In a space from -1 to 1 it is clipped to ``[-s, s]``, in one from 0 to 1 to ``[0, s]``.

    Args:
        env: Env with a ``Box`` action space.
        low: Smallest share the env accepts, between 0 and 1.
        train: Range that training draws from; ``[low, 1]`` if ``None``.

    Raises:
        Sim2RealError: The action space is not a ``Box`` or has no bounds, or an option is out of range.
    """

    signal_name = "action_saturation"

    def __init__(self, env: Env, *, low: float = 0.5, train: tuple[float, float] | None = None) -> None:
        RecordConstructorArgs.__init__(self, low=low, train=train)
        least = option(self.signal_name, "low", low, high=1.0)
        super().__init__(
            env, {"action_saturation": {"nominal": 1.0, "low": least, "high": 1.0, "unit": "1", "train": train}}
        )
        self._half_range()  # refuses a space without bounds, where nothing would be cut off

    def _changed(self, action: Any) -> NDArray[Any]:
        share, neutral = self._now["action_saturation"], self._neutral.astype(np.float64)
        low, high = (neutral + share * (bound - neutral) for bound in (self._box.low, self._box.high))
        return inside(self._box, np.clip(action, low, high))
