"""What happens to a machine beside its commands: pushes, and control steps that are missed."""

from __future__ import annotations

from typing import Any, SupportsFloat

import numpy as np
from gymnasium.utils import RecordConstructorArgs

from sim2real.domains.contract import Env
from sim2real.domains.signals.base import Signal, option
from sim2real.errors import Sim2RealError


class Pushes(Signal):
    """Push what the env moves, at random moments and in random directions.

    Before every control step, with probability ``1 / every``, comes a push: an impulse of ``push`` times the largest
    one of the env's ``push_space``, in a direction drawn uniformly.

    Args:
        env: Env with ``push_space``, a symmetric ``Box`` of impulses [N s], and ``push(impulse)``.
        high: Largest ``push`` the env accepts, between 0 and 1.
        train: Range that training draws from; ``[0, high]`` if ``None``.
        every: Mean number of control steps between two pushes, at least 1.

    Raises:
        Sim2RealError: The env cannot be pushed, or an option is out of range.
    """

    signal_name = "pushes"

    def __init__(
        self, env: Env, *, high: float = 1.0, train: tuple[float, float] | None = None, every: float = 25.0
    ) -> None:
        RecordConstructorArgs.__init__(self, high=high, train=train, every=every)
        if not env.has_wrapper_attr("push_space"):
            raise Sim2RealError("pushes needs an env with push_space and push(impulse); leave the signal out.")
        self._strongest = np.asarray(env.get_wrapper_attr("push_space").high, np.float64)
        self._chance = 1.0 / option(self.signal_name, "every", every, low=1.0)
        most = option(self.signal_name, "high", high, high=1.0)
        super().__init__(env, {"push": {"nominal": 0.0, "low": 0.0, "high": most, "unit": "1", "train": train}})

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step, at times after a push."""
        if not self._idle and self._rng.random() < self._chance:
            direction = self._rng.standard_normal(self._strongest.shape)
            impulse = self._now["push"] * self._strongest * direction / np.linalg.norm(direction)
            self.env.get_wrapper_attr("push")(impulse)
        return self._step_env(action)

    def _wake(self) -> None:
        pass


class MissedSteps(Signal):
    """Let the controller miss control steps: with probability ``missed_steps`` an action holds for one step more.

    What is missed is not observed; its reward is added to that of the step before, as is each ``info["reward/..."]``,
    so that a return is what it is without. This is the jitter of a control loop that at times comes late by one period.

    Args:
        env: Any env.
        high: Largest probability the env accepts, between 0 and 1.
        train: Range that training draws from; ``[0, high]`` if ``None``.

    Raises:
        Sim2RealError: An option is out of range.
    """

    signal_name = "missed_steps"

    def __init__(self, env: Env, *, high: float = 0.3, train: tuple[float, float] | None = None) -> None:
        RecordConstructorArgs.__init__(self, high=high, train=train)
        most = option(self.signal_name, "high", high, high=1.0)
        super().__init__(env, {"missed_steps": {"nominal": 0.0, "low": 0.0, "high": most, "unit": "1", "train": train}})

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step once or twice with the same action."""
        observation, reward, terminated, truncated, info = self._step_env(action)
        if self._idle or terminated or truncated or self._rng.random() >= self._now["missed_steps"]:
            return observation, reward, terminated, truncated, info
        terms = {name: value for name, value in info.items() if name.startswith("reward/")}
        observation, more, terminated, truncated, info = self._step_env(action)
        info.update({name: value + info.get(name, 0.0) for name, value in terms.items()})
        return observation, float(reward) + float(more), terminated, truncated, info

    def _wake(self) -> None:
        pass
