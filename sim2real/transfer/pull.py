"""A pull towards a policy: the divergence from it as a term of the loss, with a weight that falls.

    L(π) + λ_t E_s[ KL(π_s(·|s) ‖ π(·|s)) ],

with a teacher π_s and s from what the learner has seen itself. The divergence of two Gaussians with means μ_s, μ and
standard deviations σ_s, σ, both of shape (batch, action), is Σ log(σ / σ_s) + (σ_s² + (μ_s − μ)²) / (2 σ²) − 1/2 over
the components of the action [nats]; SAC's tanh changes nothing, being the same for both. Of two deterministic policies,
as TD3 has them, it is that of Gaussians with the standard deviation 0.2, that of the target noise in TD3's paper,
around their actions in [−1, 1]. λ falls linearly to zero.

For PPO, whose gradients are clipped, that of the divergence is added to what the clipping has left.
"""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import Tensor

from sim2real.training.fast.functional import Parameters
from sim2real.training.fast.soft import SoftLosses
from sim2real.training.fast.td3 import FastTD3, TD3Losses
from sim2real.training.fast.update import Batch
from sim2real.transfer.divergence import DETERMINISTIC_STD, policy_divergence

_LOG_EVERY = 100


class Pull(BaseCallback):
    """Knows the teacher and λ, and logs λ and, now and then, the divergence on what was learned from last.

    Args:
        teacher: Networks of the teacher.
        weight: λ at first [return per nat].
        last: Target step from which λ is 0.
        name: Under which it logs.
    """

    def __init__(self, teacher: Any, weight: float, last: float, name: str) -> None:
        super().__init__()
        self.teacher, self._weight, self._last, self._name = teacher, weight, last, name
        self.observations: Any = None
        """What was learned from last, normalized."""
        self._next_log = 0

    def weight(self, step: int) -> float:
        """Return λ at a target step."""
        return self._weight * max(0.0, 1.0 - step / self._last)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        step = self.model.num_timesteps
        self.logger.record(f"{self._name}/weight", self.weight(step))
        if self.observations is not None and step >= self._next_log:
            self._next_log = step + _LOG_EVERY
            with torch.no_grad():
                found = policy_divergence(self.teacher, self.model.policy, self.observations).mean().item()
            self.logger.record(f"{self._name}/divergence", found)


def divergence(losses: SoftLosses, actor: Parameters, batch: Batch) -> Tensor:
    """Return λ E[KL(π_s ‖ π)] over a batch whose extras have ``mean``, ``log_std`` (B, action) and ``weight`` (1,)."""
    mean, log_std = losses.distribution(actor, batch.observations)
    ratio = 2.0 * (batch.extras["log_std"] - log_std)  # of the variances
    distance = (batch.extras["mean"] - mean) / log_std.exp()
    kl = 0.5 * (ratio.exp() + distance.square() - ratio - 1.0)
    return batch.extras["weight"].squeeze() * kl.sum(1).mean()


def distance(losses: TD3Losses, actor: Parameters, batch: Batch) -> Tensor:
    """Return the same for deterministic policies, where the extras have ``actions`` (B, action) and ``weight``."""
    shift = (batch.extras["actions"] - losses.act(actor, batch.observations)) / DETERMINISTIC_STD
    return batch.extras["weight"].squeeze() * 0.5 * shift.square().sum(1).mean()


def draw(learner: BaseAlgorithm, pull: Pull) -> None:
    """Add the divergence from a teacher to a learner's loss.

    Raises:
        Sim2RealError: The update of such a learner cannot be changed.
    """
    if isinstance(learner, OffPolicyAlgorithm):
        _draw_off_policy(learner, pull)
    else:
        assert isinstance(learner, PPO)
        _draw_ppo(learner, pull)


def _draw_off_policy(learner: Any, pull: Pull) -> None:
    deterministic = isinstance(learner, FastTD3)
    learner.add_term(distance if deterministic else divergence)
    drawn, names = learner.batches, ("actions",) if deterministic else ("mean", "log_std")

    def batches(learner: Any, batch_size: int) -> Batch:
        batch, actor = drawn(learner, batch_size), pull.teacher.actor
        pull.observations, weight = batch.observations, pull.weight(learner.num_timesteps)
        # Not asked are a teacher without weight, and one of TD3 where the update leaves the actor alone.
        asked = weight > 0.0 and (not deterministic or learner._n_updates % learner.policy_delay == 0)
        # Of the same shapes, and a tensor each: the update is compiled for no two in one place.
        extras = {name: torch.zeros_like(batch.actions) for name in names}
        if asked:
            with torch.no_grad():
                if deterministic:
                    extras = {"actions": actor(batch.observations)}
                else:
                    mean, log_std, _ = actor.get_action_dist_params(batch.observations)
                    extras = {"mean": mean, "log_std": log_std}
        changed: Batch = batch._replace(extras={**extras, "weight": torch.tensor([weight])})
        return changed

    learner.batches = batches


def _draw_ppo(learner: PPO, pull: Pull) -> None:
    """Add the gradient of the divergence to every minibatch's, behind the clipping of the others."""
    policy: Any = learner.policy
    evaluate = policy.evaluate_actions

    def evaluate_actions(observations: Any, actions: Tensor) -> Any:
        pull.observations = observations
        return evaluate(observations, actions)

    def add_gradient(*_: Any) -> None:
        weight = pull.weight(learner.num_timesteps)
        if weight:
            with torch.enable_grad():
                loss = weight * policy_divergence(pull.teacher, policy, pull.observations).mean()
                if loss.requires_grad:  # not while the actor is frozen
                    loss.backward()  # type: ignore[no-untyped-call]

    policy.evaluate_actions = evaluate_actions
    policy.optimizer.register_step_pre_hook(add_gradient)
