"""A new domain in every episode, for any env under the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np

from sim2real.domains.contract import (
    Env,
    change_domain,
    derived_generator,
    domain_space,
    live_parameters,
    set_domain,
)
from sim2real.domains.randomizers import Adaptive, Fixed, Outcome, Randomizer
from sim2real.domains.space import Domain
from sim2real.errors import unknown_name


class RandomizeDomain(gym.Wrapper[Any, Any, Any, Any]):
    """Draw a domain from a randomizer at every reset that does not ask for one itself.

    ``reset(options=...)`` reaches explicit resets only: a vectorized env drops it at its automatic resets, so the
    draw happens here, inside. Where the randomizer is an adaptive one, ``info["outcome"]`` of the last step of an
    episode whose domain was drawn is the :class:`~sim2real.domains.randomizers.Outcome` it has to be told.

    A parameter on the randomizer's schedule is drawn again during the episode, together with all others, which stay.

    Args:
        env: Env under the contract; one without domain parameters is left as it is.
        randomizer: Where the domains come from.

    Raises:
        Sim2RealError: A parameter on the schedule cannot change during an episode.
    """

    def __init__(self, env: Env, randomizer: Randomizer) -> None:
        super().__init__(env)
        self.randomizer = randomizer
        self._space = domain_space(env)
        self._rng = np.random.default_rng()
        self._drawn: Domain | None = None
        self._generation = 0
        self._ret, self._steps = 0.0, 0
        for name in randomizer.schedule:
            if name not in live_parameters(env):
                raise unknown_name("parameter that can change during an episode:", name, live_parameters(env))
        self._plain = not randomizer.schedule and not isinstance(randomizer, Adaptive)

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Stay in this domain from the next reset on, instead of drawing; missing parameters are nominal."""
        set_domain(self.env, domain)
        self.randomizer = Fixed(self._space, domain)

    def load_randomizer(self, state: Mapping[str, Any]) -> None:
        """Draw from the next reset on as an adaptive randomizer does that is in this state."""
        assert isinstance(self.randomizer, Adaptive)
        self.randomizer.load(state)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset into a newly drawn domain, or into ``options["domain"]``."""
        if seed is not None:
            self._rng = derived_generator(seed, type(self).__qualname__)
        self._drawn, self._ret, self._steps = None, 0.0, 0
        if self._space and not (options and "domain" in options):
            self._drawn = self.randomizer.sample(self._rng)
            options = {**(options or {}), "domain": self._drawn}
            if isinstance(self.randomizer, Adaptive):
                self._generation = self.randomizer.generation
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step; draw again what is on the schedule, and say at the end how it went, where the randomizer learns."""
        if self._plain or self._drawn is None:
            return self.env.step(action)
        self._change()
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._ret += float(reward)
        self._steps += 1
        if (terminated or truncated) and isinstance(self.randomizer, Adaptive):
            success = info.get("is_success")
            info["outcome"] = Outcome(
                domain=self._drawn,
                generation=self._generation,
                ret=self._ret,
                success=None if success is None else bool(success),
                steps=self._steps,
            )
        return observation, reward, terminated, truncated, info

    def _change(self) -> None:
        due = [name for name, every in self.randomizer.schedule.items() if self._steps and self._steps % every == 0]
        if due:
            drawn = self.randomizer.sample(self._rng)
            change_domain(self.env, {name: drawn[name] for name in due})
