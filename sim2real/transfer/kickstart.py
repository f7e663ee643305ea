"""Kickstarting: a fresh learner in the target that is drawn to what the source policy would do, ever less.

Schmitt et al. (2018), "Kickstarting deep reinforcement learning": the loss of the actor π becomes

    L(π) + λ_t E_s[ KL(π_s(·|s) ‖ π(·|s)) ],

with the source policy π_s as teacher and s from what the learner has seen itself. The divergence of two Gaussians with
means μ_s, μ and standard deviations σ_s, σ, both of shape (batch, action), is Σ log(σ / σ_s) + (σ_s² + (μ_s − μ)²) /
(2 σ²) − 1/2 over the components of the action [nats]; SAC's tanh changes nothing, being the same for both. Of two
deterministic policies, as TD3 has them, it is that of Gaussians with the standard deviation 0.2, that of the target
noise in TD3's paper, around their actions in [−1, 1]. In the paper λ is found by a search over a population; here it
falls linearly to zero.

For PPO, whose gradients are clipped, that of the divergence is added to what the clipping has left.

The learner's networks need not be those of the source. It sees observations normalized as the source does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import Tensor
from torch.distributions import kl_divergence

from sim2real.deployment.policy import Policy
from sim2real.errors import Sim2RealError
from sim2real.training.fast.functional import Parameters
from sim2real.training.fast.soft import SoftLosses
from sim2real.training.fast.td3 import FastTD3, TD3Losses
from sim2real.training.fast.update import Batch, sample_batch
from sim2real.training.train import TrainingConfig
from sim2real.transfer.base import TransferMethod, carry_normalizer

_TD3_STD = 0.2  # of Fujimoto et al. (2018), in halves of the action range


@dataclass(frozen=True, kw_only=True)
class Kickstart(TransferMethod):
    """Learns from nothing in the target, drawn to the source policy's actions."""

    name: ClassVar[str] = "kickstart"

    weight: float = 1.0
    """λ at first [return per nat], not negative."""
    decay: float = 0.5
    """Share of the budget after which λ is 0, above 0, at most 1."""

    def __post_init__(self) -> None:
        for name, low, high in (("weight", 0.0, 1e9), ("decay", 0.0, 1.0)):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not low <= value <= high or (name == "decay" and value == 0.0):
                least = "above" if name == "decay" else "at least"
                raise Sim2RealError(f"{name} = {value!r} must be a number, {least} {low:g} and at most {high:g}.")

    def hyperparameters(self, tuned: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
        """Return the tuned ones, with the source's normalization and as good as no random warm-up."""
        carried = ("normalize_observation", "normalize_reward")
        values = {**tuned, **{name: source[name] for name in carried if name in source}}
        if "learning_starts" in values:
            values["learning_starts"] = min(values["learning_starts"], 100)
        return values

    def prepare(
        self, learner: BaseAlgorithm, source: Policy | None, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Add the divergence from the source policy to the learner's loss.

        Raises:
            Sim2RealError: The divergence from such a policy, or the update of such a learner, is not known here.
        """
        assert source is not None
        carry_normalizer(source, learner)
        last = self.decay * training.steps

        def weight() -> float:
            return self.weight * max(0.0, 1.0 - learner.num_timesteps / last)

        if isinstance(learner, OffPolicyAlgorithm):
            if source.network.use_sde:
                raise Sim2RealError("kickstart needs a source policy without state-dependent exploration (use_sde).")
            _draw_off_policy(learner, source.module, weight)
        else:
            assert isinstance(learner, PPO)
            _draw_ppo(learner, source.module, weight)
        return ()


def divergence(losses: SoftLosses, actor: Parameters, batch: Batch) -> Tensor:
    """Return λ E[KL(π_s ‖ π)] over a batch whose extras have ``mean``, ``log_std`` (B, action) and ``weight`` (1,)."""
    mean, log_std = losses.distribution(actor, batch.observations)
    ratio = 2.0 * (batch.extras["log_std"] - log_std)  # of the variances
    distance = (batch.extras["mean"] - mean) / log_std.exp()
    kl = 0.5 * (ratio.exp() + distance.square() - ratio - 1.0)
    return batch.extras["weight"].squeeze() * kl.sum(1).mean()


def distance(losses: TD3Losses, actor: Parameters, batch: Batch) -> Tensor:
    """Return the same for deterministic policies, where the extras have ``actions`` (B, action) and ``weight``."""
    shift = (batch.extras["actions"] - losses.act(actor, batch.observations)) / _TD3_STD
    return batch.extras["weight"].squeeze() * 0.5 * shift.square().sum(1).mean()


def _draw_off_policy(learner: Any, teacher: Any, weight: Callable[[], float]) -> None:
    deterministic = isinstance(learner, FastTD3)
    learner.add_term(distance if deterministic else divergence)

    def batches(learner: Any, batch_size: int) -> Batch:
        batch = sample_batch(learner, batch_size)
        with torch.no_grad():
            if deterministic:
                extras = {"actions": teacher.actor(batch.observations)}
            else:
                mean, log_std, _ = teacher.actor.get_action_dist_params(batch.observations)
                extras = {"mean": mean, "log_std": log_std}
        return batch._replace(extras={**extras, "weight": torch.tensor([weight()])})

    learner.batches = batches


def _draw_ppo(learner: PPO, teacher: Any, weight: Callable[[], float]) -> None:
    """Add the gradient of the divergence to every minibatch's, behind the clipping of the others."""
    policy: Any = learner.policy
    evaluate, seen = policy.evaluate_actions, {}

    def evaluate_actions(observations: Any, actions: Tensor) -> Any:
        seen["observations"] = observations
        return evaluate(observations, actions)

    def add_gradient(*_: Any) -> None:
        with torch.no_grad():
            wanted = teacher.get_distribution(seen["observations"]).distribution
        with torch.enable_grad():
            own = policy.get_distribution(seen["observations"]).distribution
            # A list, one for each, where an action has several discrete parts.
            pairs = zip(wanted, own, strict=True) if isinstance(own, list) else [(wanted, own)]
            parts = [kl_divergence(*pair) for pair in pairs]
            loss = weight() * torch.stack([part.sum() / len(part) for part in parts]).sum()
            loss.backward()  # type: ignore[no-untyped-call]

    policy.evaluate_actions = evaluate_actions
    policy.optimizer.register_step_pre_hook(add_gradient)
