"""What algorithms with a stochastic actor and a tuned entropy coefficient share: their losses and their update."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from sim2real.training.fast.functional import (
    Chain,
    Encoder,
    Group,
    Parameters,
    UnsupportedError,
    adam_,
    gradients,
    linear,
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

_LOG_STD_MIN, _LOG_STD_MAX = -20.0, 2.0  # stable_baselines3.sac.policies
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_EPSILON = 1e-6  # stable_baselines3.common.distributions.SquashedDiagGaussianDistribution


class SoftLosses:
    """The losses of an algorithm, each a function of the parameters it trains.

    A method that changes a loss overrides one of these, or adds a term to that of the actor; the change is compiled
    with the rest.

    Args:
        encoder: Structure of what the actor makes of observations.
        critic_encoder: Structure of what the critics together make of what they read.
        trunk: Structure of the actor's hidden layers.
        critic: Structure of one critic.
        target_entropy: Entropy that the coefficient is tuned to.
    """

    def __init__(
        self, encoder: Encoder, critic_encoder: Encoder, trunk: Chain, critic: Chain, target_entropy: float
    ) -> None:
        self._encoder, self._critic_encoder = encoder, critic_encoder
        self._trunk, self._critic, self._target_entropy = trunk, critic, target_entropy
        self.terms: tuple[Callable[[Any, Parameters, Batch], Tensor], ...] = ()
        """Added to the loss of the actor; functions of these losses, its parameters and the batch."""

    @property
    def key(self) -> tuple[Any, ...]:
        """Says all that the losses depend on besides their arguments."""
        parts = (self._encoder, self._critic_encoder, self._trunk, self._critic)
        return type(self), *(part.structure for part in parts), self._target_entropy, self.terms

    def distribution(self, actor: Parameters, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the standard deviation of the actions before tanh, (B, action) each."""
        hidden = self._trunk(actor, self._encoder(actor, observations), "latent_pi.")
        return linear(actor, "mu", hidden), linear(actor, "log_std", hidden).clamp(_LOG_STD_MIN, _LOG_STD_MAX)

    def act(self, actor: Parameters, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions (B, action) in [-1, 1] and their log probabilities (B,), for standard normal noise."""
        mean, log_std = self.distribution(actor, observations)
        actions = torch.tanh(mean + log_std.exp() * noise)
        log_prob = -0.5 * noise.square() - log_std - _HALF_LOG_TWO_PI - torch.log(1.0 - actions.square() + _EPSILON)
        return actions, log_prob.sum(1)

    def outputs(self, critics: Parameters, states: Tensor, actions: Tensor) -> Tensor:
        """Return what every critic says, shape (critics, B, its outputs), of what the critics read and actions."""
        inputs = torch.cat((self._critic_encoder(critics, states), actions), 1)
        count = next(iter(critics.values())).shape[0]
        return self._critic(critics, inputs.unsqueeze(0).expand(count, -1, -1))

    def target(self, actor: Parameters, targets: Parameters, alpha: Tensor, batch: Batch, noise: Tensor) -> Tensor:
        """Return what the critics should say, from the target critics; no gradient flows through it."""
        raise NotImplementedError

    def critic_loss(self, critics: Parameters, target: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss of all critics, and the errors it is made of."""
        raise NotImplementedError

    def actor_loss(
        self, actor: Parameters, critics: Parameters, alpha: Tensor, batch: Batch, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of the actor, and the log probabilities (B,)."""
        raise NotImplementedError

    def entropy_gradient(self, log_prob: Tensor) -> Tensor:
        """Return the gradient of ``-log(alpha) (log pi + target entropy)`` with respect to ``log(alpha)``, (1,)."""
        return -(log_prob + self._target_entropy).mean().reshape(1)


class SoftMixin(OverlapMixin, OffPolicyAlgorithm):
    """The faster update of SB3's algorithms that learn a stochastic actor and its entropy coefficient.

    The update (losses, gradients, three Adams, Polyak averaging) is one function. It can be compiled. Where the policy
    is neither a plain MLP nor one behind SB3's NatureCNN, the update is SB3's own, and a warning says so. A class that
    has it stands before SB3's among the bases and writes :meth:`_make_losses`.
    """

    actor: Any
    critic: Any
    critic_target: Any
    ent_coef_optimizer: torch.optim.Adam | None
    ent_coef_tensor: Tensor
    log_ent_coef: Tensor | None
    target_entropy: Any
    target_update_interval: int

    compiled = True
    """Whether the update is compiled, which takes seconds once; it runs as it is where there is no C++ compiler."""

    def _make_losses(self, encoder: Encoder, critic_encoder: Encoder, trunk: Chain, critic: Chain) -> SoftLosses:
        """Return the losses of the algorithm, for its encoders, its actor's hidden layers and one of its critics."""
        raise NotImplementedError

    def _setup_model(self) -> None:
        super()._setup_model()
        tell_scale(self)
        self._update: Update | None = None
        self._unsupported: str | None = None
        self._hold: RemovableHandle | None = None
        try:
            encoders = encoder_of(self), critic_encoder_of(self)
            chains = Chain(self.actor.latent_pi), Chain(self.critic.q_networks[0])
            self._losses = self._make_losses(*encoders, *chains)
            self._actor = Group([named(self.actor)], self.actor.optimizer, stacked=False)
            self._critics = critic_group(self.critic, self.critic.optimizer)
            self._targets = critic_group(self.critic_target, None)
            self._entropy: Group | None = None
            if self.ent_coef_optimizer is not None:
                assert self.log_ent_coef is not None
                self._entropy = Group([{"log_ent_coef": self.log_ent_coef}], self.ent_coef_optimizer, stacked=False)
        except UnsupportedError as reason:
            self._unsupported = str(reason)
            warn_unsupported(self, reason)

    def _make_gradient_steps(self, gradient_steps: int, batch_size: int) -> None:
        if self._unsupported is not None:
            super(OverlapMixin, self).train(gradient_steps, batch_size)
            return
        optimizers = [self.critic.optimizer, self.actor.optimizer]
        groups = [self._critics, self._actor]
        if self._entropy is not None and self.ent_coef_optimizer is not None:
            optimizers.append(self.ent_coef_optimizer)
            groups.append(self._entropy)
        self._update_learning_rate(optimizers)
        for group in (*groups, self._targets):
            group.bind()
        update = self._chosen_update()
        state = {
            "critics": self._critics.state,
            "actor": self._actor.state,
            "entropy": self._entropy.state if self._entropy is not None else None,
            "targets": self._targets.values,
            "scales": (self._critics.scales, self._actor.scales),
            "alpha": None if self._entropy is not None else self.ent_coef_tensor,
        }
        logged = torch.zeros(4)
        for gradient_step in range(gradient_steps):
            batch = self.batches(self, batch_size)
            shape = (batch_size, batch.actions.shape[1])
            # Two draws in SB3's order: its streams and these stay the same.
            noise = (torch.randn(shape, device=self.device), torch.randn(shape, device=self.device))
            rates = [group.advance(optimizer) for group, optimizer in zip(groups, optimizers, strict=True)]
            tau = self.tau if gradient_step % self.target_update_interval == 0 else 0.0
            numbers = torch.tensor([*(number for rate in rates for number in rate), tau], device=self.device)
            logged += update(state, batch, noise, numbers)
        self._n_updates += gradient_steps
        means = (logged / max(gradient_steps, 1)).tolist()
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        for name, mean in zip(("ent_coef", "actor_loss", "critic_loss"), means[:3], strict=True):
            self.logger.record(f"train/{name}", mean)
        if self._entropy is not None:
            self.logger.record("train/ent_coef_loss", means[3])

    def hold_entropy(self, held: bool) -> None:
        """Keep the entropy coefficient as it is, or let it be tuned again; nothing where it is fixed anyway."""
        if self.log_ent_coef is None or self.ent_coef_optimizer is None:
            return
        if self._unsupported is None:
            self.log_ent_coef.requires_grad_(not held)
        elif held and self._hold is None:  # SB3's own update needs the gradient to exist
            self._hold = self.log_ent_coef.register_hook(torch.zeros_like)  # type: ignore[no-untyped-call]
        elif not held and self._hold is not None:
            self._hold.remove()
            self._hold = None
            self.ent_coef_optimizer.state.clear()  # it counted the held steps

    def _chosen_update(self) -> Update:
        if self._update is None:
            settings = [(g.betas, g.eps) for g in (self._critics, self._actor, self._entropy) if g is not None]
            key = (self._losses.key, tuple(settings), self._critics.scaled, self._actor.scaled)
            self._update = compiled_once(key, _make_update(self._losses, settings), wanted=self.compiled)
        return self._update

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        if self._unsupported is None:
            for group in (self._critics, self._actor, self._entropy):
                if group is not None:
                    group.publish()
        return super()._get_torch_save_params()

    def _excluded_save_params(self) -> list[str]:
        own = ["_losses", "_actor", "_critics", "_targets", "_entropy"]
        return [*super()._excluded_save_params(), *own, "_update", "_unsupported", "_hold", "_owed", "batches"]


def _make_update(losses: SoftLosses, settings: list[tuple[tuple[float, float], float]]) -> Update:
    def update(state: dict[str, Any], batch: Batch, noise: tuple[Tensor, Tensor], numbers: Tensor) -> Tensor:
        actor, critics, targets = state["actor"][0], state["critics"][0], state["targets"]
        tuned = state["entropy"] is not None
        alpha = state["entropy"][0]["log_ent_coef"].exp() if tuned else state["alpha"]
        target = losses.target(actor, targets, alpha, batch, noise[1])
        slopes, critic_loss, _ = gradients(lambda p: losses.critic_loss(p, target, batch), critics)
        adam_(state["critics"], slopes, numbers[0:5], state["scales"][0], *settings[0])

        def of_actor(parameters: Parameters) -> tuple[Tensor, Tensor]:
            loss, log_prob = losses.actor_loss(parameters, critics, alpha, batch, noise[0])
            return loss + sum(term(losses, parameters, batch) for term in losses.terms), log_prob

        slopes, actor_loss, log_prob = gradients(of_actor, actor)
        adam_(state["actor"], slopes, numbers[5:10], state["scales"][1], *settings[1])
        entropy_loss = torch.zeros_like(actor_loss)
        if tuned:
            slope = losses.entropy_gradient(log_prob)
            entropy_loss = (state["entropy"][0]["log_ent_coef"] * slope).squeeze()
            adam_(state["entropy"], {"log_ent_coef": slope}, numbers[10:15], {}, *settings[2])
        polyak_(targets, critics, numbers[-1])
        return torch.stack((alpha.squeeze(), actor_loss, critic_loss, entropy_loss))

    return update
