"""Learning while the envs step: both cores of a small machine have something to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv
from stable_baselines3.her import HerReplayBuffer
from torch import Tensor

from sim2real.training.fast.functional import Group, Parameters
from sim2real.training.fast.update import Batch, Update, check_changeable, sample_batch
from sim2real.training.sampler.remote import RemoteVecEnv


class OverlapMixin:
    """Lets an off-policy learner make its gradient steps while its envs, in processes of their own, make the next step.

    Without it the envs wait for the learner, and the learner for the envs. With it actions come from the networks as
    they were one rollout earlier, and a batch lacks the transitions that are under way: a lag of ``train_freq`` steps
    of every env, constant, so that the same seed still gives the same result. A class that has it writes
    :meth:`_make_gradient_steps` instead of ``train``. Methods of transfer change the update here, too.
    """

    replay_buffer: Any
    batches: Callable[[Any, int], Batch] = staticmethod(sample_batch)
    """Where the batch of an update comes from, given the learner and the batch size; a method of transfer may put
    another source here."""
    _owed: list[tuple[int, int]] | None = None
    _losses: Any
    _actor: Group
    _critics: Group
    _update: Update | None = None
    _unsupported: str | None

    def add_term(self, term: Callable[[Any, Parameters, Batch], Tensor]) -> None:
        """Add a term to the loss of the actor; before the first update.

        Args:
            term: Of the losses, the actor's parameters and the batch; a function of a module, as it says which update
                is compiled.

        Raises:
            Sim2RealError: The policy is none that the faster update is for.
        """
        check_changeable(self._unsupported)
        self._losses.terms += (term,)
        self._update = None

    def scale_rates(self, actor: Mapping[str, float | Tensor], critic: Mapping[str, float | Tensor]) -> None:
        """Multiply the learning rate of some parameters, by their names in the actor and in each critic.

        A factor is for a whole parameter, or a tensor of its shape, for each of its elements.

        Raises:
            Sim2RealError: The policy is none that the faster update is for.
        """
        check_changeable(self._unsupported)
        self._actor.scale(actor)
        self._critics.scale(critic)
        self._update = None

    def overlap(self, envs: RemoteVecEnv) -> None:
        """Learn from now on while these envs step."""
        self._owed = []
        envs.meanwhile = self.settle
        if isinstance(self.replay_buffer, HerReplayBuffer):  # it asks an env for rewards, when these are busy
            self.replay_buffer.env = DummyVecEnv([lambda: envs.prototype])

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Make gradient steps on batches from the replay buffer, now or while the envs make their next step."""
        if self._waits_for_an_episode():
            return
        if self._owed is None:
            self._make_gradient_steps(gradient_steps, batch_size)
        else:
            self._owed.append((gradient_steps, batch_size))

    def _waits_for_an_episode(self) -> bool:
        """Return whether hindsight has nothing to look at yet; where SB3 raises, learning starts an episode later."""
        return isinstance(self.replay_buffer, HerReplayBuffer) and not np.any(self.replay_buffer.ep_length > 0)

    def settle(self) -> None:
        """Make the gradient steps that are owed: before the learner is evaluated or saved."""
        owed, self._owed = self._owed or [], None if self._owed is None else []
        for gradient_steps, batch_size in owed:
            self._make_gradient_steps(gradient_steps, batch_size)

    def _make_gradient_steps(self, gradient_steps: int, batch_size: int) -> None:
        raise NotImplementedError
