"""Stops a run at the first number that is not finite, and says where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from sim2real.domains.channels import element_name
from sim2real.domains.contract import Env, action_channels, observation_channels
from sim2real.errors import Sim2RealError


class GuardFinite(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Raise as soon as an observation, a reward or an action is NaN or infinite.

    What the env itself raises goes through, with a note on when and in which domain it did.

    Args:
        env: Env to guard.

    Raises:
        Sim2RealError: From ``reset`` or ``step``: names the number, the step of the episode, the episode since
            construction and the domain.
    """

    def __init__(self, env: Env) -> None:
        RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        self._episode = 0
        self._step = 0
        self._domain: Mapping[str, float] = {}
        spec = env.spec
        self._name = spec.id if spec is not None else type(env.unwrapped).__name__

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset, and check the first observation."""
        self._episode += 1
        self._step = 0
        asked = (options or {}).get("domain")
        self._domain = asked if isinstance(asked, Mapping) else {}
        try:
            observation, info = self.env.reset(seed=seed, options=options)
        except Sim2RealError:
            raise
        except Exception as error:
            error.add_note(f"in the reset of {self._situation()}")
            raise
        self._domain = info.get("domain", {})
        self._check("observation", observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step, and check the action, the observation and the reward."""
        self._step += 1
        self._check("action", action)
        try:
            observation, reward, terminated, truncated, info = self.env.step(action)
        except Sim2RealError:
            raise
        except Exception as error:
            error.add_note(f"in step {self._step} of {self._situation()}")
            raise
        self._check("observation", observation)
        self._check("reward", reward)
        return observation, reward, terminated, truncated, info

    def _check(self, what: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, part in value.items():
                self._check(what if key == "observation" else f"{what} {key!r}", part)
            return
        if isinstance(value, tuple):
            for index, part in enumerate(value):
                self._check(f"{what} {index}", part)
            return
        finite = np.isfinite(value)
        if finite.all():
            return
        index = int(np.argmin(np.ravel(finite)))
        number = np.ravel(value)[index]
        channels = {"observation": observation_channels, "action": action_channels}.get(what)
        place = "" if what == "reward" else f" in {element_name(channels(self.env) if channels else None, index)}"
        blame = "the policy has diverged" if what == "action" else "the env is at fault"
        raise Sim2RealError(f"{what} is {number}{place} at step {self._step} of {self._situation()}; {blame}.")

    def _situation(self) -> str:
        domain = ", ".join(f"{name}={_short(number)}" for name, number in self._domain.items())
        return f"episode {self._episode} of {self._name}{f' (domain: {domain})' if domain else ''}"


def _short(number: object) -> str:
    return f"{number:g}" if isinstance(number, (int, float)) else str(number)
