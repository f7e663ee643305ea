"""PAR: learn in both worlds, where the source pays for every step that the target's dynamics would not expect.

Lyu et al. (2024), "Cross-domain policy adaptation by capturing representation mismatch". Two encoders learn in the
target alone what comes next: z(s) in R^64 and f(z, a), by mean (f(z(s), a) − stop[z(s')])² over components. The reward
of a source transition becomes

    r − β mean (f(z(s), a) − z(s'))²

(eq. 8 of the paper, with β = 0.1 to 2 there); half of every batch is source, half is target. z is divided by the mean
of its absolute values, so that it cannot shrink to nothing (the authors' code). Other than there, the encoders make a
step for every update and not for every 200th, budgets here being small; they have no slowly following copies; and the
learner starts from the source's networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor, nn

from sim2real.rules import Rule, number
from sim2real.training.fast.update import Batch, sample_batch
from sim2real.training.train import TrainingConfig
from sim2real.transfer.learns_in_source import FIRST, LearnsInSource
from sim2real.transfer.models import Beside, Standardize, mlp
from sim2real.transfer.source import SourceExperience, concatenated

_LATENT = 64


@dataclass(frozen=True, kw_only=True)
class Par(LearnsInSource):
    """Goes on learning in both worlds, with a penalty on source transitions that surprise the target's encoders."""

    name: ClassVar[str] = "par"
    rules: ClassVar[Mapping[str, Rule]] = {**LearnsInSource.rules, "beta": number(0.0, 1e9)}

    beta: float = 0.1
    """β, the factor on the mismatch [return]."""

    def learn_from(self, experience: SourceExperience, learner: Any, training: TrainingConfig) -> BaseCallback:  # noqa: ARG002
        """Let the learner learn from both worlds, where the source's rewards pay for what does not fit."""
        encoders = TargetEncoders(learner, experience)

        def batches(learner: Any, size: int) -> Batch:
            target = sample_batch(learner, size - size // 2)
            encoders.learn(target)
            from_source = experience.batch(size // 2)
            rewards = from_source.rewards - self.beta * encoders.mismatch(from_source)
            return concatenated(from_source._replace(rewards=rewards), target)

        learner.batches = batches
        return encoders


class TargetEncoders(Beside):
    """The encoders, which learn from the target's transitions.

    Args:
        learner: The learner in the target.
        experience: Of the source, for the scale of their inputs.
    """

    def __init__(self, learner: Any, experience: SourceExperience) -> None:
        self._experience = experience
        self._module = Encoders(learner.observation_space.shape[0], learner.action_space.shape[0])
        super().__init__("par", self._module)

    def learn(self, target: Batch) -> None:
        """Make one step."""
        if not self._module.scale.count:
            self._module.scale.fit(self._experience.batch(FIRST).observations)
        loss = self._module.mismatch(target.observations, target.actions, target.next_observations).mean()
        self.fitted.step(loss)
        self.figures["loss"] = loss.item()

    def mismatch(self, batch: Batch) -> Tensor:
        """Return the mean squared error of what was expected next, shape (B,)."""
        with torch.no_grad():
            found = self._module.mismatch(batch.observations, batch.actions, batch.next_observations)
        self.figures["mismatch"] = found.mean().item()
        return found


class Encoders(nn.Module):
    """z(s), and f(z, a), which says the next z.

    Args:
        observation: Width of s.
        action: Width of a.
    """

    def __init__(self, observation: int, action: int) -> None:
        super().__init__()
        self.scale = Standardize(observation)
        self._z, self._f = mlp(observation, _LATENT, nn.ELU), mlp(_LATENT + action, _LATENT, nn.ELU)

    def encode(self, observations: Tensor) -> Tensor:
        """Return z, shape (B, 64), whose components have the mean absolute value 1."""
        z: Tensor = self._z(self.scale(observations))
        return z / z.abs().mean(1, keepdim=True).clamp(min=1e-8)

    def mismatch(self, observations: Tensor, actions: Tensor, after: Tensor) -> Tensor:
        """Return the mean over components of (f(z(s), a) − z(s'))², shape (B,); no gradient flows through z(s')."""
        expected = self._f(torch.cat((self.encode(observations), actions), 1))
        found: Tensor = (expected - self.encode(after).detach()).square().mean(1)
        return found
