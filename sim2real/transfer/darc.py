"""DARC: learn in the source with a reward that is less where the target would not have gone the same way.

Eysenbach et al. (2021), "Off-dynamics reinforcement learning: training for transfer with domain classifiers". The
reward of a source transition becomes r + w Δr with

    Δr(s, a, s') = log p(target|s,a,s') − log p(source|s,a,s') − log p(target|s,a) + log p(source|s,a)
                 = log p_target(s'|s,a) − log p_source(s'|s,a)   [nats]

(eq. 7 of the paper), both from classifiers. The one of (s, a) says f; that of (s, a, s') says f + g, as in the authors'
code, so that Δr = g. They learn from as many transitions of both worlds, by cross entropy, one step for every update;
their inputs are standardized, s' as the change s' − s, and noisy while they learn. Only source transitions are learned
from, and Δr counts after a warm-up, as in the paper. Other than there, the learner starts from the source's networks.

In the paper w = 1, the temperature of its entropy. The objective with an entropy coefficient α is that of the paper
with rewards r / α; so w = α puts Δr in its place where α is tuned, which ``weight`` = ``None`` means for SAC and TQC.

The paper's noise of 1 drowns much of what the change of s tells: in a linear toy Δr is a fifth of what it is without.
Less noise makes Δr larger, and wilder where there are few target transitions.

It presumes that the source can do what the target does: Δr forbids what only the source can, but shows no way that only
the target has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from sim2real.rules import Rule, number
from sim2real.training.fast.update import Batch, sample_batch
from sim2real.training.train import TrainingConfig
from sim2real.transfer.learns_in_source import FIRST, LearnsInSource
from sim2real.transfer.models import Beside, Standardize, mlp
from sim2real.transfer.source import SourceExperience


@dataclass(frozen=True, kw_only=True)
class Darc(LearnsInSource):
    """Goes on learning in the source, where the target's dynamics forbid what they do not do."""

    name: ClassVar[str] = "darc"
    rules: ClassVar[Mapping[str, Rule]] = {
        **LearnsInSource.rules,
        "weight": number(0.0, 1e9, none=True),
        "warmup": number(0.0, 1.0, below=True),
        "noise": number(0.0, 100.0),
    }

    weight: float | None = None
    """w, the factor on Δr [return per nat]; the entropy coefficient if ``None``, 1 for TD3, which has none."""
    warmup: float = 0.1
    """Share of the budget without Δr."""
    noise: float = 1.0
    """Standard deviation of the noise on the standardized inputs of the classifiers while they learn."""

    def learn_from(self, experience: SourceExperience, learner: Any, training: TrainingConfig) -> BaseCallback:
        """Let the learner learn from source transitions with the corrected reward."""
        classifiers = DomainClassifiers(learner, experience, self.noise)
        begin = self.warmup * training.steps

        def batches(learner: Any, size: int) -> Batch:
            batch = experience.batch(size)
            classifiers.learn(batch)
            if learner.num_timesteps < begin:
                return batch
            return batch._replace(rewards=batch.rewards + self._factor(learner) * classifiers.reward(batch))

        learner.batches = batches
        return classifiers

    def _factor(self, learner: Any) -> float:
        if self.weight is not None:
            return self.weight
        if getattr(learner, "log_ent_coef", None) is not None:
            return float(learner.log_ent_coef.detach().exp())
        return float(getattr(learner, "ent_coef_tensor", 1.0))


class DomainClassifiers(Beside):
    """The two classifiers, which learn from the target's replay and from the experience of the source.

    Args:
        learner: The learner in the target.
        experience: Of the source.
        noise: Standard deviation of the noise on their standardized inputs while they learn.
    """

    def __init__(self, learner: Any, experience: SourceExperience, noise: float) -> None:
        self._learner, self._experience, self._noise = learner, experience, noise
        self._module = Classifiers(learner.observation_space.shape[0], learner.action_space.shape[0])
        super().__init__("darc", self._module)

    def learn(self, source: Batch) -> None:
        """Make one step, with as many transitions of the target."""
        if not self._module.scale.count:
            self._module.scale.fit(_inputs(self._experience.batch(FIRST)))
        target = sample_batch(self._learner, len(source.rewards))
        loss = self._module.loss(_inputs(source), _inputs(target), self._noise)
        self.fitted.step(loss)
        self.figures["loss"] = loss.item()

    def reward(self, batch: Batch) -> Tensor:
        """Return Δr, shape (B,)."""
        with torch.no_grad():
            found = self._module.delta_reward(_inputs(batch))
        self.figures["delta_reward"] = found.mean().item()
        return found


class Classifiers(nn.Module):
    """Two networks that tell target from source; of (s, a) and of (s, a, s' − s).

    Args:
        observation: Width of s.
        action: Width of a.
    """

    def __init__(self, observation: int, action: int) -> None:
        super().__init__()
        self.scale = Standardize(2 * observation + action)
        self._pair = observation + action
        self._f, self._g = mlp(self._pair, 1), mlp(2 * observation + action, 1)

    def loss(self, source: Tensor, target: Tensor, noise: float) -> Tensor:
        """Return the sum of both cross entropies [nats], for inputs (B, s + a + s) of both worlds."""
        inputs = self.scale(torch.cat((source, target)))
        inputs = inputs + noise * torch.randn_like(inputs)
        labels = torch.cat((torch.zeros(len(source)), torch.ones(len(target))))
        f = self._f(inputs[:, : self._pair]).squeeze(1)
        both = f.detach() + self._g(inputs).squeeze(1)
        return binary_cross_entropy_with_logits(f, labels) + binary_cross_entropy_with_logits(both, labels)

    def delta_reward(self, inputs: Tensor) -> Tensor:
        """Return Δr, shape (B,)."""
        found: Tensor = self._g(self.scale(inputs)).squeeze(1)
        return found


def _inputs(batch: Batch) -> Tensor:
    return torch.cat((batch.observations, batch.actions, batch.next_observations - batch.observations), 1)
