"""Twin Delayed DDPG whose update is one function of parameters, moments, batch and noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from stable_baselines3 import TD3
from torch import Tensor

from sim2real.training.fast.functional import (
    ENCODER,
    RESTING,
    Chain,
    Encoder,
    Group,
    Parameters,
    UnsupportedError,
    adam_,
    gradients,
    polyak_,
)
from sim2real.training.fast.overlap import OverlapMixin
from sim2real.training.fast.update import (
    Batch,
    Update,
    compiled_once,
    critic_encoder_of,
    critic_group,
    encoder_of,
    named,
    tell_scale,
    warn_unsupported,
)


class TD3Losses:
    """The losses of TD3 (Fujimoto et al., 2018, algorithm 1), each a function of the parameters it trains.

    Args:
        encoder: Structure of what the actor makes of observations.
        critic_encoder: Structure of what the Q networks together make of what they read.
        actor: Structure of the actor behind that.
        critic: Structure of one Q network.
    """

    def __init__(self, encoder: Encoder, critic_encoder: Encoder, actor: Chain, critic: Chain) -> None:
        self._encoder, self._critic_encoder, self._actor, self._critic = encoder, critic_encoder, actor, critic
        self.terms: tuple[Callable[[Any, Parameters, Batch], Tensor], ...] = ()
        """Added to the loss of the actor; functions of these losses, its parameters and the batch."""

    @property
    def key(self) -> tuple[Any, ...]:
        """Says all that the losses depend on besides their arguments."""
        parts = (self._encoder, self._critic_encoder, self._actor, self._critic)
        return type(self), *(part.structure for part in parts), self.terms

    def act(self, actor: Parameters, observations: Tensor) -> Tensor:
        """Return actions (B, action) in [-1, 1]."""
        return self._actor(actor, self._encoder(actor, observations), "mu.")

    def values(self, critics: Parameters, states: Tensor, actions: Tensor) -> Tensor:
        """Return the Q values of every critic, shape (critics, B), of what the critics read and actions."""
        inputs = torch.cat((self._critic_encoder(critics, states), actions), 1)
        count = next(iter(critics.values())).shape[0]
        return self._critic(critics, inputs.unsqueeze(0).expand(count, -1, -1)).squeeze(-1)

    def target(self, actor: Parameters, critics: Parameters, batch: Batch, noise: Tensor) -> Tensor:
        """Return what the critics should say, shape (B,), from the target networks and clipped noise (B, action)."""
        actions = (self.act(actor, batch.next_observations) + noise).clamp(-1.0, 1.0)
        value = self.values(critics, batch.next_states, actions).amin(0)
        return batch.rewards + batch.continues * value

    def critic_loss(self, critics: Parameters, target: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sum over critics of the mean squared error, and the errors (critics, B)."""
        errors = self.values(critics, batch.states, batch.actions) - target
        return errors.square().mean(1).sum(), errors

    def actor_loss(self, actor: Parameters, critics: Parameters, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the mean of ``-Q_1(s, pi(s))``, and the values (B,)."""
        first = {name: p if name.startswith(ENCODER) else p[:1] for name, p in critics.items()}
        values = self.values(first, batch.states, self.act(actor, batch.observations))[0]
        return -values.mean(), values


class FastTD3(OverlapMixin, TD3):
    """SB3's TD3 with a faster update: same constructor, callbacks, logger and files, same numbers to rounding.

    See :class:`~sim2real.training.fast.sac.FastSAC`.
    """

    compiled = True
    """Whether the update is compiled, which takes seconds once; it runs as it is where there is no C++ compiler."""

    def _setup_model(self) -> None:
        super()._setup_model()
        tell_scale(self)
        self._unsupported: str | None = None
        try:
            chains = Chain(self.actor.mu), Chain(self.critic.q_networks[0])
            self._losses = TD3Losses(encoder_of(self), critic_encoder_of(self), *chains)
            self._actor = Group([named(self.actor)], self.actor.optimizer, stacked=False)
            self._actor_follower = Group([named(self.actor_target)], None, stacked=False)
            self._critics = critic_group(self.critic, self.critic.optimizer)
            self._critics_follower = critic_group(self.critic_target, None)
        except UnsupportedError as reason:
            self._unsupported = str(reason)
            warn_unsupported(self, reason)

    def _make_gradient_steps(self, gradient_steps: int, batch_size: int) -> None:
        if self._unsupported is not None:
            TD3.train(self, gradient_steps, batch_size)
            return
        optimizers, groups = [self.critic.optimizer, self.actor.optimizer], [self._critics, self._actor]
        self._update_learning_rate(optimizers)
        for group in (*groups, self._critics_follower, self._actor_follower):
            group.bind()
        settings = [(group.betas, group.eps) for group in groups]
        state = {
            "critics": self._critics.state,
            "actor": self._actor.state,
            "critics_follower": self._critics_follower.values,
            "actor_follower": self._actor_follower.values,
            "scales": (self._critics.scales, self._actor.scales),
        }
        critic_losses, actor_losses = [], []
        for _ in range(gradient_steps):
            self._n_updates += 1
            delayed = self._n_updates % self.policy_delay == 0
            key = (self._losses.key, tuple(settings), self._critics.scaled, self._actor.scaled, delayed)
            update = compiled_once(key, _make_update(self._losses, settings, delayed), wanted=self.compiled)
            batch = self.batches(self, batch_size)
            noise = torch.randn(batch.actions.shape, device=self.device) * self.target_policy_noise
            rates = self._critics.advance(optimizers[0])
            rates += self._actor.advance(optimizers[1]) if delayed else RESTING
            numbers = torch.tensor([*rates, self.tau], device=self.device)
            critic_loss, actor_loss = update(
                state, batch, noise.clamp(-self.target_noise_clip, self.target_noise_clip), numbers
            ).tolist()
            critic_losses.append(critic_loss)
            if delayed:
                actor_losses.append(actor_loss)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        if actor_losses:
            self.logger.record("train/actor_loss", sum(actor_losses) / len(actor_losses))
        self.logger.record("train/critic_loss", sum(critic_losses) / max(len(critic_losses), 1))

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        if self._unsupported is None:
            self._critics.publish()
            self._actor.publish()
        return super()._get_torch_save_params()

    def _excluded_save_params(self) -> list[str]:
        own = ["_losses", "_actor", "_actor_follower", "_critics", "_critics_follower"]
        return [*super()._excluded_save_params(), *own, "_update", "_unsupported", "_owed", "batches"]


def _make_update(losses: TD3Losses, settings: list[tuple[tuple[float, float], float]], delayed: bool) -> Update:
    def update(state: dict[str, Any], batch: Batch, noise: Tensor, numbers: Tensor) -> Tensor:
        actor, critics = state["actor"][0], state["critics"][0]
        target = losses.target(state["actor_follower"], state["critics_follower"], batch, noise)
        slopes, critic_loss, _ = gradients(lambda p: losses.critic_loss(p, target, batch), critics)
        adam_(state["critics"], slopes, numbers[0:5], state["scales"][0], *settings[0])
        if not delayed:
            return torch.stack((critic_loss, torch.zeros_like(critic_loss)))

        def of_actor(parameters: Parameters) -> tuple[Tensor, Tensor]:
            loss, values = losses.actor_loss(parameters, critics, batch)
            return loss + sum(term(losses, parameters, batch) for term in losses.terms), values

        slopes, actor_loss, _ = gradients(of_actor, actor)
        adam_(state["actor"], slopes, numbers[5:10], state["scales"][1], *settings[1])
        polyak_(state["critics_follower"], critics, numbers[10])
        polyak_(state["actor_follower"], actor, numbers[10])
        return torch.stack((critic_loss, actor_loss))

    return update
