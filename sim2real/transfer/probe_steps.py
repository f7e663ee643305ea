"""Steps that probes take: those of a policy, and those of a learner from scratch while it learns.

A probe is short: often it ends before an episode does, and those that end early are not like the others. Where the last
episode of a part, cut off by the probe's end, has half of its steps or more, returns are those of the first k steps of
an episode, k being the least of these lengths, for all parts that are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from sim2real.domains.contract import Env
from sim2real.seeding import derive_seed
from sim2real.training.learner import make_learner, make_training_env
from sim2real.training.train import TrainingConfig

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Rewards:
    """Rewards of steps in their order, from one episode into the next; the first step begins an episode."""

    rewards: Array
    """Shape (n,)."""
    ended: Array
    """Whether the episode ended with a step, terminated or truncated, shape (n,)."""

    @property
    def open(self) -> int:
        """Steps of the episode that is cut off at the end; 0 if none is."""
        ends = np.flatnonzero(self.ended)
        return len(self.ended) - (int(ends[-1]) + 1 if len(ends) else 0)

    def returns(self, window: int | None) -> list[float]:
        """Return the sums of rewards, episode by episode.

        Args:
            window: Of how many steps, the first ones of an episode; the episode that is cut off counts if it has so
                many. Of whole episodes, those that ended, if ``None``.
        """
        episodes = np.split(self.rewards, np.flatnonzero(self.ended) + 1)
        last = episodes.pop()
        if window is not None and len(last) >= window:
            episodes.append(last)
        return [float(episode[:window].sum()) for episode in episodes]


@dataclass(frozen=True, kw_only=True)
class Steps(Rewards):
    """Steps of a policy in a world."""

    observations: Array
    """Shape (n, observation), as the env gives them."""
    actions: Array
    """Shape (n, action)."""
    after: Array
    """The next observations, shape (n, observation)."""
    terminated: Array
    """Whether the episode ended by itself, shape (n,)."""
    successes: tuple[bool, ...]
    """Of the episodes that ended, where the env says."""


@dataclass(frozen=True, kw_only=True)
class Learned(Rewards):
    """Steps of a learner from scratch."""

    first_update: int
    """Steps that it took before its first update; all if there was none."""

    @property
    def by_chance(self) -> Rewards:
        """What it did before its first update; all of it if no episode ended before that."""
        before = Rewards(rewards=self.rewards[: self.first_update], ended=self.ended[: self.first_update])
        return before if before.ended.any() else self

    @property
    def has_learned(self) -> bool:
        """Whether its first update came before the last third of its steps."""
        return 3 * self.first_update <= 2 * len(self.rewards)


def shared_window(*parts: Rewards) -> int | None:
    """Return how many first steps of an episode are compared; ``None`` for whole episodes, see above."""
    return min((part.open for part in parts if 2 * part.open >= len(part.ended)), default=None)


def take_steps(env: Env, act: Callable[[Any], Any], steps: int, seed: int) -> Steps:
    """Take so many steps in an env, at least 1, from one episode into the next."""
    columns: list[tuple[Any, ...]] = []
    successes = []
    observation, _ = env.reset(seed=seed)
    for _ in range(steps):
        action = act(observation)
        after, reward, terminated, truncated, info = env.step(action)
        columns.append((observation, action, after, float(reward), terminated, terminated or truncated))
        observation = after
        if terminated or truncated:
            if "is_success" in info:
                successes.append(bool(info["is_success"]))
            observation, _ = env.reset()
    observations, actions, afters, rewards, terminations, ends = map(np.array, zip(*columns, strict=True))
    return Steps(
        observations=observations,
        actions=actions,
        after=afters,
        rewards=rewards,
        terminated=terminations,
        ended=ends,
        successes=tuple(successes),
    )


def learn_steps(config: TrainingConfig, steps: int) -> Learned:
    """Let a fresh learner take the first steps of a training, at least 1, and no others: nothing is evaluated or kept.

    Its envs are one that is stepped as often as all of them were, so that episodes go on for as long as they can.

    Args:
        config: The training.
        steps: How many.
    """
    values = dict(config.hyperparameters)
    rollout = "n_steps" if config.algo == "ppo" else "train_freq"
    values |= {rollout: values.get(rollout, 1) * config.n_envs, "n_envs": 1}
    record = _Record(steps)
    with closing(make_training_env(config.world, config.randomizer, values, 1)) as env:
        seed = derive_seed(config.seed, "initial weights")
        make_learner(config.algo, env, values, seed=seed, steps=steps).learn(steps, callback=record)
    first = len(record.rewards) if record.first_update is None else record.first_update
    return Learned(rewards=np.array(record.rewards), ended=np.array(record.ended), first_update=first)


class _Record(BaseCallback):
    """Keeps what a learner earns, and ends its training after so many steps, also within a rollout of PPO."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps
        self.rewards: list[float] = []
        self.ended: list[bool] = []
        self.first_update: int | None = None

    def _on_step(self) -> bool:
        if self.first_update is None and self.model._n_updates > 0:
            self.first_update = len(self.rewards)
        normalize = self.model.get_vec_normalize_env()
        rewards = self.locals["rewards"] if normalize is None else normalize.get_original_reward()
        self.rewards.append(float(rewards[0]))
        self.ended.append(bool(self.locals["dones"][0]))
        return len(self.rewards) < self._steps
