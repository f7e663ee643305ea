"""How far one policy is from another: the Kullback-Leibler divergence of their distributions of actions."""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor
from torch.distributions import Normal, kl_divergence

DETERMINISTIC_STD = 0.2
"""Standard deviation that TD3's actions in [-1, 1] are taken to have, as in Fujimoto et al. (2018) for its targets."""


def policy_divergence(teacher: Any, student: Any, observations: Any, seen: Any = None) -> Tensor:
    """Return KL(teacher ‖ student) [nats] for every observation of a batch, shape (B,); no gradient for the teacher.

    Args:
        teacher: SB3's policy of one of our algorithms.
        student: Of the same algorithm.
        observations: Normalized, as the policies' ``obs_to_tensor`` returns them.
        seen: What the student sees of the same states; the same if ``None``.
    """
    with torch.no_grad():
        wanted = _distributions(teacher, observations)
    pairs = zip(wanted, _distributions(student, observations if seen is None else seen), strict=True)
    parts = [kl_divergence(*pair) for pair in pairs]
    return torch.stack([part.flatten(1).sum(1) if part.dim() > 1 else part for part in parts]).sum(0)


def _distributions(policy: Any, observations: Any) -> list[Any]:
    """Return those of the parts of an action; one where it is a vector of numbers."""
    if isinstance(policy, ActorCriticPolicy):
        found = policy.get_distribution(observations).distribution
        return found if isinstance(found, list) else [found]
    if hasattr(policy.actor, "get_action_dist_params"):
        mean, log_std, _ = policy.actor.get_action_dist_params(observations)
        return [Normal(mean, log_std.exp())]
    return [Normal(policy.actor(observations), DETERMINISTIC_STD)]
