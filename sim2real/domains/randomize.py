"""A new domain in every episode, for any env under the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from sim2real.domains.contract import Env, derived_generator, domain_space, set_domain
from sim2real.domains.randomizers import Fixed, Randomizer


class RandomizeDomain(gym.Wrapper[Any, Any, Any, Any]):
    """Draw a domain from a randomizer at every reset that does not ask for one itself.

    ``reset(options=...)`` reaches explicit resets only: a vectorized env drops it at its automatic resets, so the
    draw happens here, inside.

    Args:
        env: Env under the contract; one without domain parameters is left as it is.
        randomizer: Where the domains come from.
    """

    def __init__(self, env: Env, randomizer: Randomizer) -> None:
        super().__init__(env)
        self.randomizer = randomizer
        self._space = domain_space(env)
        self._rng = np.random.default_rng()

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Stay in this domain from the next reset on, instead of drawing; missing parameters are nominal."""
        set_domain(self.env, domain)
        self.randomizer = Fixed(self._space, domain)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset into a newly drawn domain, or into ``options["domain"]``."""
        if seed is not None:
            self._rng = derived_generator(seed, type(self).__qualname__)
        if self._space and not (options and "domain" in options):
            options = {**(options or {}), "domain": self.randomizer.sample(self._rng)}
        return self.env.reset(seed=seed, options=options)
