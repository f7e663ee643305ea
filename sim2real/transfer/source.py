"""Experience of the source world for a learner in the target: a simulator is cheap, the target is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import VectorizedActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from sim2real.deployment.policy import Policy
from sim2real.domains.randomizers import RandomizerSpec
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.checkpoint import buffer_state, restore_buffer
from sim2real.training.fast.update import Batch, check_changeable, sample_batch
from sim2real.training.hindsight import HindsightReplayBuffer
from sim2real.training.learner import turned_env

Array = NDArray[Any]

Act = Callable[[Any], Array]
"""Maps observations (n, observation), as envs give them, to actions (n, action) in [-1, 1]."""

_LANES = 5
"""Source envs that are stepped together, so that the policy sees batches."""


class SourceExperience(BaseCallback):
    """Collects transitions in the world that a policy was trained in, in the domains that it was trained in.

    It steps at the end of every rollout of the learner: before its first update ``first`` steps, then ``ratio`` steps
    for each of the target's. They stand in a replay buffer of the learner's kind, hindsight included.

    Args:
        source: The policy whose world it is.
        learner: Off-policy, in the target; the transitions are read as it sees them.
        steps: Target budget.
        first: Source steps before its first update, and whenever it has forgotten the others.
        ratio: Source steps for every target step.
        act: Who acts, see :func:`exploring`; the learner itself if ``None``.
        ground: Changes the actions just before they are taken, given the observations as the learner sees them and the
            actions; what is stored is the action that was meant. None are changed if ``None``.

    Raises:
        Sim2RealError: The policy does not say its world, or the learner is none that has batches of its own.
    """

    def __init__(
        self,
        source: Policy,
        learner: Any,
        *,
        steps: int,
        first: int,
        ratio: int = 0,
        act: Act | None = None,
        ground: Callable[[Array, Array], Array] | None = None,
    ) -> None:
        super().__init__()
        check_world(source)
        buffer: Any = getattr(learner, "replay_buffer", None)
        if buffer is None:
            raise Sim2RealError("source transitions need a replay buffer, which ppo has not; use sac, td3 or tqc.")
        check_changeable(getattr(learner, "_unsupported", None))
        self._learner = learner
        self._first, self._ratio, self._act, self._ground = first, ratio, act or exploring(learner), ground
        self._env = source_env(source)
        self._steps, self._wanted = 0, first
        self._observations: Array | None = None
        options: dict[str, Any] = {}
        if isinstance(buffer, HindsightReplayBuffer):
            options = {"offset": (buffer.offset.start, buffer.offset.stop), "fraction": buffer.fraction}
        elif isinstance(buffer, NStepReplayBuffer):
            options = {"n_steps": buffer.n_steps, "gamma": buffer.gamma}
        self.buffer: ReplayBuffer = type(buffer)(
            max(min(first + ratio * steps, buffer.buffer_size * buffer.n_envs), _LANES),
            buffer.observation_space,
            buffer.action_space,
            device="cpu",
            n_envs=_LANES,
            **options,
        )
        """What was collected, not normalized."""
        if isinstance(self.buffer, HindsightReplayBuffer):
            self.buffer.set_env(self._env.envs[0])  # type: ignore[attr-defined]

    def batch(self, size: int) -> Batch:
        """Return a batch of source transitions as the learner sees them."""
        return sample_batch(self._learner, size, self.buffer)

    def forget(self) -> None:
        """Begin anew, with ``first`` steps at the end of this rollout."""
        self.buffer.reset()
        self._wanted += self._first

    def state(self) -> dict[str, Any]:
        """Return what was collected; see :class:`~sim2real.training.checkpoint.Companion`."""
        arrays, counters = buffer_state(self.buffer)
        return {**arrays, "counters": counters, "steps": self._steps, "wanted": self._wanted}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take it up again."""
        arrays = [(name, value) for name, value in state.items() if isinstance(value, np.ndarray)]
        restore_buffer(self.buffer, arrays, state["counters"])
        self._steps, self._wanted = state["steps"], state["wanted"]

    def begin_segment(self, seed: int) -> None:
        """Reset the source envs, with this seed."""
        if isinstance(self.buffer, HindsightReplayBuffer):
            self.buffer.truncate_last_trajectory()
        self._env.seed(seed)
        self._observations = self._env.reset()  # type: ignore[assignment]

    def close(self) -> None:
        """Close the source envs."""
        self._env.close()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        while self._steps < self._wanted + self._ratio * self.num_timesteps:
            self._step()
        self.logger.record("source/steps", self._steps)

    def _step(self) -> None:
        """Take one step in every source env."""
        observations = self._observations
        assert observations is not None  # a segment has begun
        actions = taken = self._act(observations)
        if self._ground is not None:
            taken = self._ground(np.asarray(normalized(self._learner, observations), np.float32), actions)
        after, rewards, dones, infos = self._env.step(self._learner.policy.unscale_action(taken))
        assert isinstance(after, np.ndarray)
        ends = after.copy()
        for index in np.flatnonzero(dones):
            ends[index] = infos[index]["terminal_observation"]
        self.buffer.add(observations, ends, actions, rewards, dones, infos)
        self._observations = after
        self._steps += _LANES


def check_world(source: Policy) -> None:
    """Check that a policy says where it was trained.

    Raises:
        Sim2RealError: It does not.
    """
    if source.metadata.world is None:
        raise Sim2RealError(
            "this method collects in the source world, which the policy does not say; a policy trained with sim2real "
            "does."
        )


def exploring(learner: Any, source: Policy | None = None) -> Act:
    """Return how a learner, or a source policy with the learner's action noise, acts while it collects."""
    policy: Any = learner.policy if source is None else source.module

    def act(observations: Any) -> Array:
        seen = normalized(learner, observations)
        if source is not None:
            seen = observations if source.normalizer is None else source.normalizer(observations)
        with torch.no_grad():
            drawn = policy._predict(policy.obs_to_tensor(seen)[0], deterministic=False).numpy()
        actions: Array = drawn.reshape(-1, *learner.action_space.shape)
        noise = learner.action_noise
        if noise is None:
            return actions
        draw = noise.noises[0] if isinstance(noise, VectorizedActionNoise) else noise
        moved: Array = np.clip(actions + [draw() for _ in actions], -1.0, 1.0).astype(np.float32)
        return moved

    return act


def mix(learner: Any, experience: SourceExperience, share: float) -> None:
    """Let a share of every batch that a learner learns from be source transitions: one at least, but not all."""

    def batches(learner: Any, size: int) -> Batch:
        count = min(max(round(share * size), 1), size - 1)
        return concatenated(experience.batch(count), sample_batch(learner, size - count))

    learner.batches = batches


def concatenated(*batches: Batch) -> Batch:
    """Return one batch of several, without their extras; their critics read what the actor does."""
    columns = zip(*(batch[:5] for batch in batches), strict=True)
    observations, actions, after, rewards, continues = (torch.cat(column) for column in columns)
    return Batch(observations, actions, after, rewards, continues)


def normalized(learner: Any, observations: Any) -> Any:
    """Return observations as a learner sees them."""
    normalize = learner.get_vec_normalize_env()
    return observations if normalize is None else normalize.normalize_obs(observations)


def source_env(source: Policy) -> VecEnv:
    """Return source envs whose domains come from where those of the training came from in the end."""
    assert source.metadata.world is not None
    world = World.from_dict(source.metadata.world)
    domains: Mapping[str, Any] = source.metadata.domains or {}
    randomizer: RandomizerSpec = domains.get("randomizer", "none")
    envs = envs_of(world, randomizer)
    if "state" in domains:
        envs.env_method("load_randomizer", domains["state"])
    return envs


def envs_of(world: World, randomizer: RandomizerSpec) -> VecEnv:
    """Return envs of a world, which are stepped together."""
    return turned_env(DummyVecEnv([lambda: world.make(randomizer=randomizer)] * _LANES))
