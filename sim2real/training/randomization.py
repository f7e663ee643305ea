"""Adaptive randomizers in a training: they are told how episodes went, and the envs where they have moved to."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from sim2real.domains.randomizers import Adaptive, Outcome, RandomizerSpec, make_randomizer
from sim2real.domains.randomizers.base import no_success
from sim2real.domains.space import DomainSpace
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.rollouts import MAX_EPISODE_STEPS


def adaptive_randomizer(world: World, space: DomainSpace, spec: RandomizerSpec) -> Adaptive | None:
    """Return the randomizer of a training if it is an adaptive one; ``None`` if it stays as it is.

    Args:
        world: Where the training is; one with a domain is never randomized.
        space: The domain space of its env.
        spec: The randomizer's description.

    Raises:
        Sim2RealError: There is no such randomizer, or not for this world.
    """
    randomizer = make_randomizer(spec, space)
    return randomizer if isinstance(randomizer, Adaptive) and world.domain is None else None


def check_outcomes(world: World, randomizer: Adaptive) -> None:
    """Refuse a randomizer that has to know which episodes succeed, where the world does not say; plays one episode.

    Raises:
        Sim2RealError: It is so, or the episode does not end.
    """
    if not randomizer.needs_success or randomizer.success_return is not None:
        return
    key = json.dumps(world.to_dict(), sort_keys=True)
    if key not in _says_success:
        _says_success[key] = _play(world).get("is_success") is not None
    if not _says_success[key]:
        raise no_success(type(randomizer).__name__)


_says_success: dict[str, bool] = {}
"""By world; studies and searches ask for many trainings in one."""


def _play(world: World) -> dict[str, Any]:
    """Return the info at the end of an episode with random actions."""
    with closing(world.make()) as env:
        env.reset(seed=0)
        env.action_space.seed(0)
        for _ in range(MAX_EPISODE_STEPS):
            *_, terminated, truncated, info = env.step(env.action_space.sample())
            if terminated or truncated:
                return info
    raise Sim2RealError(f"an episode has not ended after {MAX_EPISODE_STEPS:,} steps.")


def evaluated(spec: RandomizerSpec, randomizer: Adaptive | None) -> RandomizerSpec:
    """Return where the domains of a training's evaluations come from.

    An adaptive randomizer is judged by what it is to arrive at: domains from all of its limits, the same at every
    evaluation, so that the curve shows the policy and not the distribution.
    """
    if randomizer is None:
        return spec
    return {"name": "uniform", "ranges": {name: list(ends) for name, ends in randomizer.limits.items()}}


class Randomization(BaseCallback):
    """Tells an adaptive randomizer how episodes went, and the envs when it has moved, always between two rollouts.

    What it draws from is logged under ``randomizer/``: two ends of every parameter, and its own figures.

    Args:
        randomizer: The one that learns; each env draws from a copy.
        settle: Called before the envs are told, to end what may be under way.
    """

    def __init__(self, randomizer: Adaptive, settle: Callable[[], None]) -> None:
        super().__init__()
        self._randomizer, self._settle = randomizer, settle
        self._outcomes: list[Outcome] = []
        self._warned = False

    def _on_training_start(self) -> None:
        self._tell_envs()

    def _on_step(self) -> bool:
        self._outcomes += [info["outcome"] for info in self.locals["infos"] if "outcome" in info]
        return True

    def _on_rollout_start(self) -> None:
        if not self._outcomes:
            return
        moved = self._randomizer.update(self._outcomes)
        self._outcomes = []
        if moved:
            self._settle()
            self._tell_envs()
        if self._randomizer.stuck and not self._warned:
            self._warned = True
            warnings.warn(_alarm(self._randomizer), stacklevel=2)

    def state(self) -> dict[str, Any]:
        """Return what the randomizer knows; see :class:`~sim2real.training.checkpoint.Companion`."""
        return self._randomizer.state()

    def load(self, state: Mapping[str, Any]) -> None:
        """Take it up again."""
        self._randomizer.load(state)

    def begin_segment(self, seed: int) -> None:
        """Nothing here draws: the envs do."""

    def close(self) -> None:
        """Nothing here is open."""

    def _tell_envs(self) -> None:
        self.training_env.env_method("load_randomizer", self._randomizer.state())
        for name, number in self._randomizer.figures().items():
            self.logger.record(f"randomizer/{name}", number)
        for name, (low, high) in self._randomizer.ranges.items():
            self.logger.record(f"randomizer/{name}/low", low)
            self.logger.record(f"randomizer/{name}/high", high)


def described(randomizer: Adaptive) -> dict[str, Any]:
    """Return what a randomizer draws from now, and how far it may go, JSON-plain."""
    return {
        "generation": randomizer.generation,
        "ranges": {name: list(ends) for name, ends in randomizer.ranges.items()},
        "limits": {name: list(ends) for name, ends in randomizer.limits.items()},
        "figures": randomizer.figures(),
    }


def _alarm(randomizer: Adaptive) -> str:
    figures = ", ".join(f"{name} {number:.3g}" for name, number in randomizer.figures().items())
    return (
        f"the randomizer has not moved for {randomizer.idle} updates ({figures}): if few episodes succeed, it waits "
        "for the policy to learn; else its settings keep it where it is."
    )
