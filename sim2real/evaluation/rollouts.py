"""Rollouts: episodes of a policy in a world, each with a seed of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from sim2real.domains.contract import Env
from sim2real.domains.randomizers import RandomizerSpec, check_steady
from sim2real.domains.space import Domain
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.seeding import derive_seed

MAX_EPISODE_STEPS = 100_000
"""Steps after which an episode is taken for one that never ends."""

Predict = Callable[[Any], Any]
"""Maps a batch of observations to a batch of actions."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """How one episode went."""

    seed: int
    """What its reset was seeded with."""
    domain: Domain
    """The domain it ran in; empty for an env without domain parameters."""
    ret: float
    """Sum of its rewards."""
    length: int
    """Its control steps."""
    success: bool | None
    """``info["is_success"]`` at its last step; ``None`` where the env does not say."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a batch of episodes amounts to."""

    return_mean: float
    success_rate: float | None
    episodes: int

    @classmethod
    def of(cls, episodes: Sequence[Episode]) -> Score:
        """Average over episodes."""
        successes = [episode.success for episode in episodes if episode.success is not None]
        return cls(
            return_mean=float(np.mean([episode.ret for episode in episodes])),
            success_rate=float(np.mean(successes)) if successes else None,
            episodes=len(episodes),
        )


class Recorder(Protocol):
    """Sees everything that happens in the episodes of an :class:`Evaluator`; the env may reuse its arrays."""

    def begin(self, index: int, observation: Any) -> None:
        """See the first observation of an episode."""

    def step(self, index: int, action: Any, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        """See a step of it."""

    def end(self, index: int, episode: Episode) -> None:
        """See how it went."""


class Evaluator:
    """Runs episodes of any policy in one world, always the same ones.

    The episodes are a function of the seed alone: two policies, or one policy at two times, meet the same initial
    states, goals and domains, which makes their difference a paired one.

    Args:
        world: Where.
        seed: From which the seed of every episode is derived.
        episodes: How many, at least 1.
        randomizer: Where the domains come from, for a world that is not a target.
        lanes: Envs stepped together, so that the policy sees batches. Part of the definition, since a matrix product
            may differ in its last bit with the size of the batch.

    Raises:
        Sim2RealError: Something of the world is unknown, or its randomizer would learn.
    """

    def __init__(
        self, world: World, *, seed: int, episodes: int, randomizer: RandomizerSpec = "none", lanes: int = 5
    ) -> None:
        self._seeds = [derive_seed(seed, "evaluation", index) for index in range(episodes)]
        check_steady(randomizer)
        self._envs = [world.make(randomizer=randomizer) for _ in range(min(lanes, episodes))]

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def env(self) -> Env:
        """One of its envs, for what it says of itself."""
        return self._envs[0]

    def close(self) -> None:
        """Close the envs."""
        for env in self._envs:
            env.close()

    def run(self, predict: Predict, recorder: Recorder | None = None) -> list[Episode]:
        """Run every episode to its end.

        Args:
            predict: The policy, called with the observations of all lanes.
            recorder: Told what happens, where someone wants to know more than the result.

        Returns:
            The episodes, in the order of their seeds.

        Raises:
            Sim2RealError: Something is not finite, or an episode does not end.
        """
        waiting = list(enumerate(self._seeds))[::-1]
        running: list[_Lane | None] = []
        observations: list[Any] = []
        for env in self._envs:
            begun, observation = _Lane.begin(env, recorder, *waiting.pop())
            running.append(begun)
            observations.append(observation)
        episodes: list[Episode | None] = [None] * len(self._seeds)
        while any(running):
            actions = predict(stack(observations))
            for index in range(len(running)):
                lane = running[index]
                if lane is None:  # its place stays in the batch, unread
                    continue
                observations[index] = lane.step(actions[index])
                if not lane.over:
                    if lane.length >= MAX_EPISODE_STEPS:
                        raise Sim2RealError(
                            f"an episode has not ended after {MAX_EPISODE_STEPS:,} steps; register the env with "
                            f"max_episode_steps=..., or let it end."
                        )
                    continue
                episodes[lane.index] = lane.episode()
                running[index] = None
                if waiting:
                    running[index], observations[index] = _Lane.begin(lane.env, recorder, *waiting.pop())
        return [episode for episode in episodes if episode is not None]


class _Lane:
    """One running episode."""

    def __init__(self, env: Any, recorder: Recorder | None, index: int, seed: int, info: dict[str, Any]) -> None:
        self.env, self.recorder, self.index, self.seed, self.info = env, recorder, index, seed, info
        self.domain: Domain = dict(info.get("domain", {}))
        self.ret, self.length, self.over = 0.0, 0, False

    @classmethod
    def begin(cls, env: Any, recorder: Recorder | None, index: int, seed: int) -> tuple[_Lane, Any]:
        observation, info = env.reset(seed=seed)
        if recorder is not None:
            recorder.begin(index, observation)
        return cls(env, recorder, index, seed, info), observation

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, self.info = self.env.step(action)
        self.ret += float(reward)
        self.length += 1
        self.over = bool(terminated or truncated)
        if self.recorder is not None:
            self.recorder.step(self.index, action, observation, float(reward), bool(terminated), bool(truncated))
        return observation

    def episode(self) -> Episode:
        success = self.info.get("is_success")
        episode = Episode(
            seed=self.seed,
            domain=self.domain,
            ret=self.ret,
            length=self.length,
            success=None if success is None else bool(success),
        )
        if self.recorder is not None:
            self.recorder.end(self.index, episode)
        return episode


def stack(observations: Sequence[Any]) -> Any:
    """Return observations as one, with one more axis in front; of dicts, every part."""
    if isinstance(observations[0], dict):
        return {key: np.stack([observation[key] for observation in observations]) for key in observations[0]}
    return np.stack(observations)
