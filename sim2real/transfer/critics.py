"""What the critics of a policy say."""

from __future__ import annotations

from typing import Any

import torch


def critic_values(module: Any, observations: Any, actions: torch.Tensor) -> torch.Tensor:
    """Return the values that an off-policy critic says, shape (n,): the smallest of several, the mean of quantiles."""
    said = module.critic(observations, actions)
    return torch.stack(said).amin(0).flatten() if isinstance(said, tuple) else said.flatten(1).mean(1)
