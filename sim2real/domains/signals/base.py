"""What all signals share: when they are idle, where their values come from, and which part of a space they act on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, SupportsFloat

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sim2real.domains.channels import Channel
from sim2real.domains.contract import DomainWrapper, Env, observation_channels
from sim2real.domains.space import Domain, DomainSpace, finite_number
from sim2real.errors import Sim2RealError


class Signal(DomainWrapper):
    """Base of the signals; while all its own parameters are nominal, a signal hands through what it gets.

    A subclass names itself in ``signal_name`` and reads the values of its parameters from ``self._now``.

    Args:
        env: The env to wrap.
        parameters: Its own parameters by name, as for :class:`~sim2real.domains.space.DomainSpace`.
    """

    live = True
    signal_name: ClassVar[str]
    """What a domain file and messages call it."""

    def __init__(self, env: Env, parameters: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(env, DomainSpace(parameters))
        self._now = self._own_space.nominal()
        self._idle = True

    def change_domain(self, changes: Mapping[str, float]) -> None:
        """Change parameters of the present episode, at once; one that was idle begins to act as after a reset."""
        was_idle = self._idle
        super().change_domain(changes)
        if was_idle and not self._idle:
            self._wake()

    def _wake(self) -> None:
        """Get ready to act in an episode that is under way."""
        raise NotImplementedError

    def _apply(self, own_domain: Domain) -> None:
        self._now = own_domain
        self._idle = own_domain == self._own_space.nominal()

    def _read(self) -> Domain:
        return dict(self._now)


class ActionSignal(Signal):
    """Base of the signals on the way from the agent to the env: a subclass writes :meth:`_changed`.

    Args:
        env: Env with a ``Box`` action space.
        parameters: The signal's own parameters.

    Raises:
        Sim2RealError: The action space is not a ``Box``.
    """

    def __init__(self, env: Env, parameters: Mapping[str, Mapping[str, Any]]) -> None:
        space = env.action_space
        if not isinstance(space, gym.spaces.Box):
            raise Sim2RealError(
                f"{self.signal_name} needs a Box action space, the env has {space}; leave the signal out."
            )
        super().__init__(env, parameters)
        self._box = space
        self._neutral = np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step with the action that arrives."""
        return self._step_env(action if self._idle else self._changed(action))

    def _begin_episode(self, observation: Any) -> Any:
        if not self._idle:
            self._start()
        return observation

    def _wake(self) -> None:
        self._start()

    def _start(self) -> None:
        """Clear the state of the last episode, and draw what holds for this one."""

    def _changed(self, action: Any) -> NDArray[Any]:
        """Return the action that arrives at the env."""
        raise NotImplementedError

    def _half_range(self) -> NDArray[np.float64]:
        """Return half of what lies between the bounds of each number.

        Raises:
            Sim2RealError: A bound is missing.
        """
        if not self._box.is_bounded():
            raise Sim2RealError(
                f"{self.signal_name} needs bounded actions, the env has {self._box}; leave the signal out."
            )
        half: NDArray[np.float64] = (self._box.high.astype(np.float64) - self._box.low) / 2.0
        return half


class ObservationSignal(Signal):
    """Base of the signals on the way from the sensors to the agent: a subclass writes :meth:`_measured`.

    Of a dict observation the key ``"observation"`` alone is touched: goals are commanded, not measured.

    Args:
        env: Env with a ``Box`` observation space, or a ``Dict`` one with a ``Box`` at ``"observation"``.
        parameters: The signal's own parameters.

    Raises:
        Sim2RealError: The observation space has another form.
    """

    def __init__(self, env: Env, parameters: Mapping[str, Mapping[str, Any]]) -> None:
        self._key, self._box = self._part(env.observation_space)
        super().__init__(env, parameters)
        self._begins = False

    def _part(self, space: gym.Space[Any]) -> tuple[str | None, gym.spaces.Box]:
        """Return the key of the part that is measured, ``None`` for all of it, and its space."""
        key = "observation" if isinstance(space, gym.spaces.Dict) and "observation" in space.spaces else None
        box = space["observation"] if isinstance(space, gym.spaces.Dict) and key else space
        if not isinstance(box, gym.spaces.Box):
            raise Sim2RealError(
                f"{self.signal_name} needs a Box observation space, the env has {space}; leave the signal out."
            )
        return key, box

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step, and observe through the sensor."""
        observation, reward, terminated, truncated, info = self._step_env(action)
        if not self._idle:
            values = observation if self._key is None else observation[self._key]
            observation = self._with(observation, self._first(values) if self._begins else self._measured(values))
            self._begins = False
        return observation, reward, terminated, truncated, info

    def _begin_episode(self, observation: Any) -> Any:
        self._begins = False
        if self._idle:
            return observation
        return self._with(observation, self._first(observation if self._key is None else observation[self._key]))

    def _wake(self) -> None:
        self._begins = True

    def _with(self, observation: Any, values: NDArray[Any]) -> Any:
        return values if self._key is None else {**observation, self._key: values}

    def _first(self, values: NDArray[Any]) -> NDArray[Any]:
        """Clear the state of the last episode; return the first reading."""
        return self._measured(values)

    def _measured(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the reading of what is really there, as a new array."""
        raise NotImplementedError


def option(signal: str, name: str, value: object, *, low: float = 0.0, high: float = math.inf) -> float:
    """Return an option of a signal as a number.

    Raises:
        Sim2RealError: It is none, or it is out of its range.
    """
    try:
        number = finite_number(value, name)
    except Sim2RealError:
        number = math.nan
    if not low <= number <= high:
        limits = f"of at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        raise Sim2RealError(f"{signal}: {name} = {value!r} must be a number {limits}.")
    return number


def positive(signal: str, name: str, value: object) -> float:
    """Return an option of a signal as a positive number.

    Raises:
        Sim2RealError: It is none.
    """
    try:
        number = finite_number(value, name)
    except Sim2RealError:
        number = math.nan
    if not number > 0.0:
        raise Sim2RealError(f"{signal}: {name} = {value!r} must be a positive number.")
    return number


def inside(box: gym.spaces.Box, values: NDArray[Any]) -> NDArray[Any]:
    """Return values in the type of a space, rounded where it holds integers, and moved inside its bounds."""
    if np.issubdtype(box.dtype, np.integer):
        values = np.rint(values)
    clipped: NDArray[Any] = np.clip(values, box.low, box.high).astype(box.dtype)
    return clipped


def measured_channels(env: Env, box: gym.spaces.Box) -> tuple[Channel, ...] | None:
    """Return the named channels of what is measured, if the env names them.

    Raises:
        Sim2RealError: They do not cover it.
    """
    channels = observation_channels(env)
    width, size = sum(c.width for c in channels or ()), math.prod(box.shape)
    if channels is not None and width != size:
        raise Sim2RealError(
            f"observation_channels are {width} wide and the observation {size}; name every number once."
        )
    return channels


def sensor_scale(env: Env, box: gym.spaces.Box, default: float) -> NDArray[np.float64]:
    """Return the ``noise`` of the channel of each number, or ``default`` where the env names no channels."""
    channels = measured_channels(env, box)
    if channels is None:
        return np.full(box.shape, default)
    per_number = np.repeat([c.noise for c in channels], [c.width for c in channels])
    return per_number.reshape(box.shape)
