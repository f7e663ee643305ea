"""What the fast learners share: batches, the frame of an update, and the seam to Stable-Baselines3's objects."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.preprocessing import is_image_space
from torch import Tensor

from sim2real.deployment.asymmetric import privileged_scale
from sim2real.errors import Sim2RealError
from sim2real.training.asymmetric import AsymmetricReplayBuffer
from sim2real.training.fast.compiler import Compiled
from sim2real.training.fast.functional import ENCODER, Encoder, Group, UnsupportedError
from sim2real.training.hindsight import HindsightReplayBuffer

Update = Callable[..., Tensor]

_compiled: dict[Hashable, Update] = {}


class Batch(NamedTuple):
    """What one update learns from; B transitions."""

    observations: Tensor
    """Shape (B, observation), normalized; pictures (B, channels, height, width), from 0 to 255."""
    actions: Tensor
    """Shape (B, action), scaled to [-1, 1]."""
    next_observations: Tensor
    """Shape (B, observation), normalized."""
    rewards: Tensor
    """Shape (B,)."""
    continues: Tensor
    """Shape (B,): discount of the next state's value, 0 where the episode ended."""
    extras: Mapping[str, Tensor] = {}
    """What a changed loss needs besides."""
    privileged: tuple[Tensor, Tensor] | None = None
    """What asymmetric critics read before and after, (B, privileged) each, standardized."""

    @property
    def states(self) -> Tensor:
        """What the critics read, whether it is what the actor sees or not."""
        return self.observations if self.privileged is None else self.privileged[0]

    @property
    def next_states(self) -> Tensor:
        """The same after the step."""
        return self.next_observations if self.privileged is None else self.privileged[1]


def sample_batch(learner: OffPolicyAlgorithm, batch_size: int, buffer: ReplayBuffer | None = None) -> Batch:
    """Draw a batch from a learner's replay buffer, the one that Stable-Baselines3 would draw.

    A plain buffer, one with hindsight and one for asymmetric critics is read without the detours of SB3; any other is
    asked as SB3 asks it.

    Args:
        learner: Who learns from it: its normalizer and its discount apply.
        batch_size: Transitions in it.
        buffer: Another buffer than the learner's own.
    """
    buffer, normalize = buffer or learner.replay_buffer, learner.get_vec_normalize_env()
    assert buffer is not None
    if (
        type(buffer) not in (ReplayBuffer, HindsightReplayBuffer, AsymmetricReplayBuffer)
        or buffer.optimize_memory_usage
    ):
        data = buffer.sample(batch_size, env=normalize)
        discounts = data.discounts if data.discounts is not None else learner.gamma
        return Batch(
            data.observations,
            data.actions,
            data.next_observations,
            data.rewards.squeeze(1),
            ((1.0 - data.dones) * discounts).squeeze(1),
        )
    # As ReplayBuffer.sample: SB3's buffers draw from numpy's global stream, which learner.set_random_seed seeds.
    rows = np.random.randint(0, buffer.size(), size=batch_size)  # noqa: NPY002
    envs = np.random.randint(0, high=buffer.n_envs, size=batch_size)  # noqa: NPY002
    places = rows * buffer.n_envs + envs

    def read(array: Any) -> Any:  # half the time of array[rows, envs]
        return array.reshape(-1, *array.shape[2:]).take(places, axis=0)

    observations, after, rewards = read(buffer.observations), read(buffer.next_observations), read(buffer.rewards)
    if isinstance(buffer, HindsightReplayBuffer):
        rewards = buffer.relabel(rows, envs, observations, after, rewards)
    if normalize is not None:
        observations, after = normalize.normalize_obs(observations), normalize.normalize_obs(after)
        rewards = normalize.normalize_reward(rewards).astype(np.float32)
    ended = read(buffer.dones) * (1.0 - read(buffer.timeouts))
    continues = (1.0 - ended) * np.float32(learner.gamma)
    tensor = torch.from_numpy
    batch = Batch(tensor(observations), tensor(read(buffer.actions)), tensor(after), tensor(rewards), tensor(continues))
    if not isinstance(buffer, AsymmetricReplayBuffer):
        return batch
    assert buffer.scale is not None
    before, later = (buffer.scale(tensor(read(part))) for part in (buffer.privileged, buffer.next_privileged))
    return batch._replace(privileged=(before, later))


def compiled_once(key: Hashable, update: Update, *, wanted: bool) -> Update:
    """Return an update, compiled if wanted; learners of one structure share the compiled one.

    Args:
        key: Says all that the update depends on besides its arguments.
        update: The update.
        wanted: Whether to compile.
    """
    if not wanted:
        return update
    if key not in _compiled:
        _compiled[key] = Compiled(update)
    return _compiled[key]


def encoder_of(learner: OffPolicyAlgorithm) -> Encoder:
    """Return what a learner makes of observations: nothing, or of pictures what SB3's NatureCNN does.

    Raises:
        UnsupportedError: It has something else, or a part that the faster update does not know; the message says what.
    """
    if learner.use_sde:
        raise UnsupportedError("state-dependent exploration")
    policy: Any = learner.policy
    extractor = policy.features_extractor_class.__name__
    if extractor not in ("FlattenExtractor", "NatureCNN"):
        raise UnsupportedError(f"a features extractor of type {extractor}")
    if extractor != "FlattenExtractor" and policy.share_features_extractor:
        raise UnsupportedError("a features extractor that actor and critics share")
    pictures = policy.normalize_images and is_image_space(learner.observation_space)
    return Encoder(policy.actor.features_extractor, pictures=pictures)


def tell_scale(learner: OffPolicyAlgorithm) -> None:
    """Let what comes into a learner's replay buffer be seen by the scale of its asymmetric critics, if it has such."""
    if isinstance(learner.replay_buffer, AsymmetricReplayBuffer):
        learner.replay_buffer.scale = privileged_scale(learner.policy)


def critic_encoder_of(learner: OffPolicyAlgorithm) -> Encoder:
    """Return what the critics make of what they read: the same as the actor, but for asymmetric ones.

    Raises:
        UnsupportedError: As :func:`encoder_of` does.
    """
    encoder, scale = encoder_of(learner), privileged_scale(learner.policy)
    if scale is None:
        return encoder
    # What asymmetric critics read is standardized in the batch: the update is compiled for no learner's statistics.
    return Encoder(torch.nn.Flatten(), pictures=False)


def critic_group(critic: Any, optimizer: torch.optim.Optimizer | None) -> Group:
    """Return the parameters of an ensemble of critics, those of the networks stacked, and of their one encoder."""
    shared = {name: parameter for name, parameter in named(critic).items() if name.startswith(ENCODER)}
    return Group([named(net) for net in critic.q_networks], optimizer, stacked=True, shared=shared)


def check_changeable(unsupported: str | None) -> None:
    """Refuse to change the update of a learner that has that of Stable-Baselines3.

    Raises:
        Sim2RealError: It is; the message says why.
    """
    if unsupported is not None:
        raise Sim2RealError(f"this method changes the update of the learner, which cannot be with {unsupported}.")


def warn_unsupported(learner: OffPolicyAlgorithm, reason: UnsupportedError) -> None:
    """Say that a learner uses the update of Stable-Baselines3, and why."""
    warnings.warn(f"{type(learner).__name__} learns at the speed of Stable-Baselines3: it has {reason}.", stacklevel=4)


def named(module: Any) -> dict[str, Any]:
    """Return the parameters of a module by name."""
    return dict(module.named_parameters())
