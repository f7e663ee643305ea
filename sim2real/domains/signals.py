"""Signals between agent and world as domain parameters: latency and sensor noise, for any env.

Each wrapper adds its parameter to the wrapped env's domain space, so that one randomizer draws physics and signals
together.
"""

from __future__ import annotations

from collections import deque
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from sim2real.domains.contract import DomainWrapper, Env, observation_channels
from sim2real.domains.space import Domain, DomainSpace
from sim2real.errors import Sim2RealError


class ActionDelay(DomainWrapper):
    """Delay every action by ``action_delay`` control steps; until the first one arrives the neutral action is applied.

    A delay that is not whole, ``k + f``, applies ``(1 - f) a[t-k] + f a[t-k-1]``: what a command that arrives within
    the step amounts to on average over it.

    Args:
        env: Env with a ``Box`` action space.
        high: Largest delay the env accepts [control steps].
        train: Range that training draws from [control steps]; ``[0, high]`` if ``None``.

    Raises:
        Sim2RealError: The action space is not a ``Box``.
    """

    def __init__(self, env: Env, *, high: float = 3.0, train: tuple[float, float] | None = None) -> None:
        RecordConstructorArgs.__init__(self, high=high, train=train)
        space = env.action_space
        if not isinstance(space, gym.spaces.Box):
            raise Sim2RealError(f"action_delay needs a Box action space, the env has {space}; leave the signal out.")
        parameter = {"nominal": 0.0, "low": 0.0, "high": high, "unit": "steps", "train": train}
        super().__init__(env, DomainSpace({"action_delay": parameter}))
        self._neutral = np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)
        self._delay = 0.0
        self._pending: deque[Any] = deque()

    def _apply(self, own_domain: Domain) -> None:
        self._delay = own_domain["action_delay"]

    def _read(self) -> Domain:
        return {"action_delay": self._delay}

    def _begin_episode(self, observation: Any) -> Any:
        whole = int(self._delay)
        self._pending = deque([self._neutral] * (whole + 1), maxlen=whole + 2)
        return observation

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step with the action of ``action_delay`` control steps ago."""
        if self._delay == 0.0:
            return self._step_env(action)
        self._pending.append(np.array(action))  # newest last; [0] is one step older than [1]
        fraction = self._delay % 1.0
        older, newer = self._pending[0], self._pending[1]
        return self._step_env(((1.0 - fraction) * newer + fraction * older).astype(self._neutral.dtype))


class ObservationNoise(DomainWrapper):
    """Add white Gaussian noise to the measured numbers of every observation.

    The standard deviation of a number is ``observation_noise`` times the ``noise`` of its channel, or times ``std``
    for an env without channels. Of a dict observation the key ``"observation"`` alone is disturbed: goals are
    commanded, not measured. Values stay inside the observation space.

    Args:
        env: Env with a ``Box`` observation space, or a ``Dict`` one with a ``Box`` at ``"observation"``.
        std: Standard deviation at ``observation_noise = 1``, in observation units, where the env names no channels.
        high: Largest factor the env accepts.
        train: Range that training draws from; ``[0, high]`` if ``None``.

    Raises:
        Sim2RealError: The observation space has another form.
    """

    def __init__(
        self, env: Env, *, std: float = 1.0, high: float = 3.0, train: tuple[float, float] | None = None
    ) -> None:
        RecordConstructorArgs.__init__(self, std=std, high=high, train=train)
        space = env.observation_space
        self._key = "observation" if isinstance(space, gym.spaces.Dict) and "observation" in space.spaces else None
        box = space["observation"] if isinstance(space, gym.spaces.Dict) and self._key else space
        if not isinstance(box, gym.spaces.Box):
            raise Sim2RealError(
                f"observation_noise needs a Box observation space, the env has {space}; leave the signal out."
            )
        if isinstance(std, bool) or not isinstance(std, (int, float)) or not 0.0 < std < np.inf:
            raise Sim2RealError(f"observation_noise: std = {std!r} must be a positive number.")
        parameter = {"nominal": 0.0, "low": 0.0, "high": high, "unit": "1", "train": train}
        super().__init__(env, DomainSpace({"observation_noise": parameter}))
        channels = observation_channels(env)
        if channels is None:
            self._std = np.full(box.shape, std)
        else:
            per_number = np.repeat([c.noise for c in channels], [c.width for c in channels])
            size = int(np.prod(box.shape))
            if per_number.size != size:
                raise Sim2RealError(
                    f"observation_channels are {per_number.size} wide and the observation {size}; "
                    "name every number once."
                )
            self._std = per_number.reshape(box.shape)
        self._box = box
        self._factor = 0.0

    def _apply(self, own_domain: Domain) -> None:
        self._factor = own_domain["observation_noise"]

    def _read(self) -> Domain:
        return {"observation_noise": self._factor}

    def _begin_episode(self, observation: Any) -> Any:
        return self._disturb(observation)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step, and disturb what is observed."""
        observation, reward, terminated, truncated, info = self._step_env(action)
        return self._disturb(observation), reward, terminated, truncated, info

    def _disturb(self, observation: Any) -> Any:
        if self._factor == 0.0:
            return observation
        if self._key is not None:
            return {**observation, self._key: self._disturbed(observation[self._key])}
        return self._disturbed(observation)

    def _disturbed(self, values: Any) -> Any:
        noise = self._rng.standard_normal(self._std.shape) * (self._factor * self._std)
        return np.clip(values + noise, self._box.low, self._box.high).astype(self._box.dtype)
