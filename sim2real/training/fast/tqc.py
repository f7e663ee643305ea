"""Truncated Quantile Critics whose update is one function of parameters, moments, batch and noise."""

from __future__ import annotations

from typing import Any

import torch
from sb3_contrib import TQC
from torch import Tensor

from sim2real.training.fast.functional import Chain, Encoder, Parameters
from sim2real.training.fast.soft import SoftLosses, SoftMixin
from sim2real.training.fast.update import Batch


class TQCLosses(SoftLosses):
    """The losses of TQC (Kuznetsov et al., 2020, eqs. 8 to 13); the critics' is a mean over quantiles, as in SB3.

    Args:
        encoder: Structure of what the actor makes of observations.
        critic_encoder: Structure of what the critics together make of what they read.
        trunk: Structure of the actor's hidden layers.
        critic: Structure of one critic, which says N quantiles of the return.
        target_entropy: Entropy that the coefficient is tuned to.
        dropped: How many of the highest target quantiles are left out, for each critic.
    """

    def __init__(
        self,
        encoder: Encoder,
        critic_encoder: Encoder,
        trunk: Chain,
        critic: Chain,
        target_entropy: float,
        dropped: int,
    ) -> None:
        super().__init__(encoder, critic_encoder, trunk, critic, target_entropy)
        self._dropped = dropped

    @property
    def key(self) -> tuple[Any, ...]:
        """Says all that the losses depend on besides their arguments."""
        return *super().key, self._dropped

    def target(self, actor: Parameters, targets: Parameters, alpha: Tensor, batch: Batch, noise: Tensor) -> Tensor:
        """Return quantiles for the critics to say, shape (B, kept), of ``r + c (Z'(s', a') - alpha log pi(a'|s'))``."""
        actions, log_prob = self.act(actor, batch.next_observations, noise)
        quantiles = self.outputs(targets, batch.next_states, actions)
        count = quantiles.shape[0] * (quantiles.shape[2] - self._dropped)
        kept = quantiles.transpose(0, 1).flatten(1).sort(1).values[:, :count] - (alpha * log_prob).unsqueeze(1)
        return batch.rewards.unsqueeze(1) + batch.continues.unsqueeze(1) * kept

    def critic_loss(self, critics: Parameters, target: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the mean quantile Huber loss, and the errors, shape (critics, B, N, kept)."""
        quantiles = self.outputs(critics, batch.states, batch.actions)
        errors = target.unsqueeze(1) - quantiles.unsqueeze(-1)
        size = errors.abs()
        huber = torch.where(size > 1.0, size - 0.5, 0.5 * errors.square())
        count = quantiles.shape[2]
        levels = (torch.arange(count, device=errors.device, dtype=errors.dtype) + 0.5) / count
        weights = (levels.unsqueeze(-1) - (errors.detach() < 0.0).to(errors.dtype)).abs()
        return (weights * huber).mean(), errors

    def actor_loss(
        self, actor: Parameters, critics: Parameters, alpha: Tensor, batch: Batch, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the mean of ``alpha log pi(a|s) - Z(s, a)`` over all quantiles, and the log probabilities (B,)."""
        actions, log_prob = self.act(actor, batch.observations, noise)
        value = self.outputs(critics, batch.states, actions).mean((0, 2))
        return (alpha * log_prob - value).mean(), log_prob


class FastTQC(SoftMixin, TQC):
    """SB3's TQC with a faster update: same constructor, callbacks, logger and files, same numbers to rounding."""

    def _make_losses(self, encoder: Encoder, critic_encoder: Encoder, trunk: Chain, critic: Chain) -> TQCLosses:
        parts = encoder, critic_encoder, trunk, critic
        return TQCLosses(*parts, float(self.target_entropy), self.top_quantiles_to_drop_per_net)
