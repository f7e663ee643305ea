"""Policies of Stable-Baselines3 whose critics read other numbers than the actor does.

Pinto et al. (2018), "Asymmetric actor critic for image-based robot learning": only the actor goes onto the machine and
has to do with what the sensors show. The critics are for learning, and where that takes place in a simulator they may
read what the simulator knows: the state behind a picture, say.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from sim2real.deployment.normalizer import Normalizer
from sim2real.errors import Sim2RealError

_CLIP, _EPSILON = 10.0, 1e-8  # of VecNormalize


class Standardized(BaseFeaturesExtractor):
    """Numbers less their running mean and over their running standard deviation, clipped, as ``VecNormalize`` does.

    A number that has always been the same is 0, whatever it becomes: no weight has learned what it means. The
    statistics are buffers, no parameters: they are saved and copied with the networks that need them.

    Args:
        space: Of the numbers, a row.
    """

    mean: Tensor
    """Shape (n,)."""
    var: Tensor
    """Shape (n,)."""
    count: Tensor
    """Rows that the statistics are of, shape (1,)."""
    clip: Tensor
    """Largest magnitude of what comes out, shape (1,)."""

    def __init__(self, space: spaces.Box) -> None:
        width = int(np.prod(space.shape))
        super().__init__(space, features_dim=width)
        self.learning = True
        """Whether :meth:`update` does something."""
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("var", torch.ones(width))
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("clip", torch.full((1,), _CLIP))

    def forward(self, observations: Tensor) -> Tensor:
        """Return the numbers (B, n) standardized."""
        scaled = (observations - self.mean) / torch.sqrt(self.var + _EPSILON)
        return torch.where(self.var > 0.0, scaled.clamp(-self.clip, self.clip), 0.0)

    def update(self, rows: Tensor) -> None:
        """Let the statistics go on with more rows (m, n) (Chan et al., 1983, the parallel form of Welford's sums)."""
        if not self.learning:
            return
        rows, mean, var, count = (part.double() for part in (rows, self.mean, self.var, self.count))
        total, shift = count + len(rows), rows.mean(0) - mean
        squares = var * count + rows.var(0, unbiased=False) * len(rows) + shift.square() * count * len(rows) / total
        self.set(mean + shift * len(rows) / total, squares / total, total)

    def set(self, mean: Any, var: Any, count: Any) -> None:
        """Take other statistics."""
        for own, given in ((self.mean, mean), (self.var, var), (self.count, count)):
            own.copy_(torch.tensor(np.asarray(given)))

    def become(self, normalizer: Normalizer | None) -> None:
        """Do to a row of numbers what a normalizer does, or nothing."""
        statistics = normalizer.statistics.get(None) if normalizer is not None else None
        if normalizer is None or statistics is None:
            self.forget()
            self.clip.fill_(torch.finfo(torch.float32).max)
            return
        self.set(statistics.mean, statistics.var + (normalizer.epsilon - _EPSILON), statistics.count)
        self.clip.fill_(normalizer.clip)

    def check(self) -> None:
        """Check that the statistics are some.

        Raises:
            Sim2RealError: They are not; the bundle that they come from was altered.
        """
        if not (bool((self.var >= 0.0).all()) and self.count >= 0.0 and self.clip > 0.0):
            raise Sim2RealError("the statistics of what the critics read are none: var and count cannot be negative.")

    def forget(self) -> None:
        """Begin anew."""
        self.set(torch.zeros_like(self.mean), torch.ones_like(self.var), 0.0)


@cache
def asymmetric(kind: type[BasePolicy]) -> type[BasePolicy]:
    """Return the variant of an SB3 policy class whose critics read privileged numbers.

    Args:
        kind: Of SAC, TD3 or TQC. Its variant has one argument more, ``privileged_dim``, how many numbers the critics
            read.
    """

    class Asymmetric(kind):  # type: ignore[misc, valid-type]
        symmetric = kind

        def __init__(self, *args: Any, privileged_dim: int, **kwargs: Any) -> None:
            self.privileged_dim = privileged_dim
            super().__init__(*args, **kwargs)

        def _build(self, lr_schedule: Any) -> None:
            super()._build(lr_schedule)
            # One scale for both, or the targets would be of another function of the numbers than what is fitted to.
            self.critic_target.features_extractor = self.critic.features_extractor

        def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
            space = spaces.Box(-np.inf, np.inf, (self.privileged_dim,), np.float32)
            critic = super().make_critic(Standardized(space) if features_extractor is None else features_extractor)
            critic.observation_space = space
            return critic

        def _get_constructor_parameters(self) -> dict[str, Any]:
            return {**super()._get_constructor_parameters(), "privileged_dim": self.privileged_dim}

    Asymmetric.__name__ = Asymmetric.__qualname__ = f"Asymmetric{kind.__name__}"
    return Asymmetric


def symmetric(kind: type[Any]) -> type[Any]:
    """Return the policy class of SB3 that a policy class is, or is a variant of."""
    found: type[Any] = getattr(kind, "symmetric", kind)
    return found


def privileged_scale(policy: Any) -> Standardized | None:
    """Return what the critics of an SB3 policy make of privileged numbers; ``None`` where they read none."""
    extractor = policy.critic.features_extractor if hasattr(type(policy), "symmetric") else None
    assert extractor is None or isinstance(extractor, Standardized)
    return extractor
