"""Latency: actions and observations that arrive some control steps late, always the same or with jitter."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from sim2real.domains.contract import Env
from sim2real.domains.signals.base import ActionSignal, ObservationSignal, inside, option


class ActionDelay(ActionSignal):
    """Delay every action by ``action_delay`` control steps; until the first one arrives the neutral action is applied.

    A delay that is not whole, ``k + f``, applies ``(1 - f) a[t-k] + f a[t-k-1]``: what a command that arrives within
    the step amounts to on average over it.

    With ``jitter`` every step has a delay of its own, uniform in ``action_delay ± action_delay_jitter`` and never
    below 0; a command can then be overtaken by a later one.

    Args:
        env: Env with a ``Box`` action space.
        high: Largest delay the env accepts [control steps].
        train: Range that training draws from [control steps]; ``[0, high]`` if ``None``.
        jitter: Largest ``action_delay_jitter`` [control steps]; without it there is no such parameter.

    Raises:
        Sim2RealError: The action space is not a ``Box``, or an option is out of range.
    """

    signal_name = "action_delay"
    whole_episode = ("action_delay", "action_delay_jitter")

    def __init__(
        self, env: Env, *, high: float = 3.0, train: tuple[float, float] | None = None, jitter: float = 0.0
    ) -> None:
        RecordConstructorArgs.__init__(self, high=high, train=train, jitter=jitter)
        super().__init__(env, _parameters(self.signal_name, high, train, jitter))

    def _start(self) -> None:
        delay, jitter = self._now["action_delay"], self._now.get("action_delay_jitter", 0.0)
        self._line = _DelayLine(self._neutral, delay, jitter, self._rng)

    def _changed(self, action: Any) -> NDArray[Any]:
        return self._line.late(action).astype(self._neutral.dtype)


class ObservationDelay(ObservationSignal):
    """Delay every observation by ``observation_delay`` control steps; until then the first one is repeated.

    A delay that is not whole, ``k + f``, observes ``(1 - f) o[t-k] + f o[t-k-1]``. Rewards and the end of an episode
    are not delayed: they are the task's, not the sensor's.

    With ``jitter`` every step has a delay of its own, uniform in ``observation_delay ± observation_delay_jitter`` and
    never below 0; an observation can then be older than the one before.

    Args:
        env: Env with a ``Box`` observation space, or a ``Dict`` one with a ``Box`` at ``"observation"``.
        high: Largest delay the env accepts [control steps].
        train: Range that training draws from [control steps]; ``[0, high]`` if ``None``.
        jitter: Largest ``observation_delay_jitter`` [control steps]; without it there is no such parameter.

    Raises:
        Sim2RealError: The observation space has another form, or an option is out of range.
    """

    signal_name = "observation_delay"
    whole_episode = ("observation_delay", "observation_delay_jitter")

    def __init__(
        self, env: Env, *, high: float = 3.0, train: tuple[float, float] | None = None, jitter: float = 0.0
    ) -> None:
        RecordConstructorArgs.__init__(self, high=high, train=train, jitter=jitter)
        super().__init__(env, _parameters(self.signal_name, high, train, jitter))

    def _first(self, values: NDArray[Any]) -> NDArray[Any]:
        delay, jitter = self._now["observation_delay"], self._now.get("observation_delay_jitter", 0.0)
        self._line = _DelayLine(np.array(values), delay, jitter, self._rng)
        return values

    def _measured(self, values: NDArray[Any]) -> NDArray[Any]:
        return inside(self._box, self._line.late(values))


def _parameters(name: str, high: float, train: tuple[float, float] | None, jitter: float) -> dict[str, dict[str, Any]]:
    parameters = {name: {"nominal": 0.0, "low": 0.0, "high": high, "unit": "steps", "train": train}}
    most = option(name, "jitter", jitter)
    if most:
        parameters[f"{name}_jitter"] = {"nominal": 0.0, "low": 0.0, "high": most, "unit": "steps"}
    return parameters


class _DelayLine:
    """The last values of a signal, as far back as a delay can reach; between two of them it is read linearly."""

    def __init__(self, first: NDArray[Any], delay: float, jitter: float, rng: np.random.Generator) -> None:
        reach = int(delay + jitter)
        self._values = deque([first] * (reach + 1), maxlen=reach + 2)  # newest last
        self._delay, self._jitter, self._rng = delay, jitter, rng

    def late(self, value: Any) -> NDArray[Any]:
        """Take in the newest value; return the one of ``delay`` steps ago, as a new array."""
        self._values.append(np.array(value))
        delay = self._delay
        if self._jitter:
            delay = max(0.0, delay + self._rng.uniform(-self._jitter, self._jitter))
        whole, fraction = int(delay), delay % 1.0
        newer, older = self._values[-1 - whole], self._values[-2 - whole]
        late: NDArray[Any] = (1.0 - fraction) * newer + fraction * older
        return late
