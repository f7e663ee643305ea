"""Hindsight experience replay for observations that hold the goal relative to what shall be there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from sim2real.domains.contract import Env

Array = NDArray[Any]

_OPEN = -1
"""Marks the steps of an episode that still goes on."""


class HindsightReplayBuffer(ReplayBuffer):
    """A replay buffer that asks what if the goal had been where things went (Andrychowicz et al., 2017, "future").

    The flat observation at ``t`` holds the channel ``goal_offset``, ``g - a_t``: the goal minus what shall be there.
    Had the goal been what was achieved after a later step ``k`` of the same episode, ``g' = a_(k+1)``, the offset
    would have been ``a_(k+1) - a_t = (g - a_t) - (g - a_(k+1))``. So the offset observed after step ``k`` is subtracted
    from those of the transition, and the part of its reward that depends on the goal is computed anew by the env's
    ``goal_reward``. Whether the episode ended must not depend on the goal.

    Args:
        offset: Columns of ``goal_offset`` in the observation.
        fraction: Of the transitions in a batch that are relabelled, in [0, 1].
        args: Of :class:`stable_baselines3.common.buffers.ReplayBuffer`.
        kwargs: Of the same.
    """

    def __init__(self, *args: Any, offset: tuple[int, int], fraction: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offset = slice(*offset)
        """Columns of ``goal_offset``."""
        self.fraction = fraction
        """Of the transitions in a batch that are relabelled."""
        self._added = np.zeros(1, np.int64)  # an array, so that it is saved with the others
        self._ends = np.full((self.buffer_size, self.n_envs), _OPEN, np.int64)
        self._begins = np.zeros(self.n_envs, np.int64)
        self._env: Env | None = None

    def set_env(self, env: Env) -> None:
        """Say whose ``goal_reward`` is asked."""
        self._env = env

    def reset(self) -> None:
        """Forget all transitions; what comes of an episode that goes on counts as one of its own."""
        super().reset()
        self._added[:], self._begins[:], self._ends[:] = 0, 0, _OPEN

    def add(self, obs: Any, next_obs: Any, action: Any, reward: Any, done: Any, infos: Any) -> None:
        """Add one step of every env; see :meth:`stable_baselines3.common.buffers.ReplayBuffer.add`."""
        self._ends[self.pos] = _OPEN
        super().add(obs, next_obs, action, reward, done, infos)
        self._added += 1
        self._close(np.flatnonzero(done))

    def truncate_last_trajectory(self) -> None:
        """End the episodes that go on: the envs are about to be reset."""
        self._close(np.arange(self.n_envs))

    def _close(self, envs: Array) -> None:
        end = int(self._added[0]) - 1
        for env in envs:
            first = max(self._begins[env], end + 1 - self.buffer_size)
            self._ends[np.arange(first, end + 1) % self.buffer_size, env] = end
            self._begins[env] = end + 1

    def _get_samples(self, batch_inds: Array, env: VecNormalize | None = None) -> ReplayBufferSamples:
        envs = np.random.randint(0, self.n_envs, size=len(batch_inds))  # noqa: NPY002
        observations, after = self.observations[batch_inds, envs], self.next_observations[batch_inds, envs]
        rewards = self.relabel(batch_inds, envs, observations, after, self.rewards[batch_inds, envs])
        ended = self.dones[batch_inds, envs] * (1.0 - self.timeouts[batch_inds, envs])
        parts = (
            self._normalize_obs(observations, env),
            self.actions[batch_inds, envs],
            self._normalize_obs(after, env),
            ended.reshape(-1, 1),
            self._normalize_reward(rewards.reshape(-1, 1), env),
        )
        return ReplayBufferSamples(*(self.to_torch(part) for part in parts))  # type: ignore[arg-type]

    def relabel(self, rows: Array, envs: Array, observations: Array, after: Array, rewards: Array) -> Array:
        """Give a part of some transitions other goals.

        Args:
            rows: Where they are in the buffer, shape (B,).
            envs: Of which env they are, shape (B,).
            observations: Before, shape (B, observation); changed in place.
            after: After, the same.
            rewards: Shape (B,).

        Returns:
            The rewards that go with the new goals, shape (B,).
        """
        assert self._env is not None
        # As the buffers of Stable-Baselines3, from numpy's global stream.
        chosen = np.flatnonzero(np.random.random(len(rows)) < self.fraction)  # noqa: NPY002
        if not len(chosen):
            return rewards
        rows, envs = rows[chosen], envs[chosen]
        last = int(self._added[0]) - 1
        step = last - (last - rows) % self.buffer_size
        ends = self._ends[rows, envs]
        ends = np.where(ends == _OPEN, last, ends)
        later = step + (np.random.random(len(rows)) * (ends - step + 1)).astype(np.int64)  # noqa: NPY002
        shift = self.next_observations[later % self.buffer_size, envs, self.offset]
        before = np.array(self._goal_reward(after[chosen]))
        observations[chosen, self.offset] -= shift
        after[chosen, self.offset] -= shift
        rewards = rewards.copy()
        rewards[chosen] += np.asarray(self._goal_reward(after[chosen]) - before, rewards.dtype)
        return rewards

    def _goal_reward(self, observations: Array) -> Array:
        assert self._env is not None
        rewards: Array = self._env.get_wrapper_attr("goal_reward")(observations)
        return rewards
