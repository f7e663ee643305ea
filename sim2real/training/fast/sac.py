"""Soft Actor-Critic whose update is one function of parameters, moments, batch and noise."""

from __future__ import annotations

from stable_baselines3 import SAC
from torch import Tensor

from sim2real.training.fast.functional import Chain, Encoder, Parameters
from sim2real.training.fast.soft import SoftLosses, SoftMixin
from sim2real.training.fast.update import Batch


class SACLosses(SoftLosses):
    """The losses of SAC (Haarnoja et al., 2018b, eqs. 5, 7 and 18)."""

    def values(self, critics: Parameters, states: Tensor, actions: Tensor) -> Tensor:
        """Return the Q values of every critic, shape (critics, B), of what the critics read and actions."""
        return self.outputs(critics, states, actions).squeeze(-1)

    def target(self, actor: Parameters, targets: Parameters, alpha: Tensor, batch: Batch, noise: Tensor) -> Tensor:
        """Return what the critics should say, shape (B,): ``r + c (min Q'(s', a') - alpha log pi(a'|s'))``."""
        actions, log_prob = self.act(actor, batch.next_observations, noise)
        value = self.values(targets, batch.next_states, actions).amin(0) - alpha * log_prob
        return batch.rewards + batch.continues * value

    def critic_loss(self, critics: Parameters, target: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return half the sum over critics of the mean squared error, and the errors (critics, B)."""
        errors = self.values(critics, batch.states, batch.actions) - target
        return 0.5 * errors.square().mean(1).sum(), errors

    def actor_loss(
        self, actor: Parameters, critics: Parameters, alpha: Tensor, batch: Batch, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the mean of ``alpha log pi(a|s) - min Q(s, a)``, and the log probabilities (B,)."""
        actions, log_prob = self.act(actor, batch.observations, noise)
        value = self.values(critics, batch.states, actions).amin(0)
        return (alpha * log_prob - value).mean(), log_prob


class FastSAC(SoftMixin, SAC):
    """SB3's SAC with a faster update: same constructor, callbacks, logger and files, same numbers to rounding."""

    def _make_losses(self, encoder: Encoder, critic_encoder: Encoder, trunk: Chain, critic: Chain) -> SACLosses:
        return SACLosses(encoder, critic_encoder, trunk, critic, float(self.target_entropy))
