"""Replay mix: a fresh learner in the target, of whose batches a share are source transitions.

Ball et al. (2023), "Efficient online reinforcement learning with offline data" (RLPD), whose symmetric sampling is a
share of 1/2. Its other parts, layer normalization of the critics, ensembles of ten and twenty updates a step, are not
here: the learner is the tuned one. The source transitions are collected before the first update, by the source policy
as it explores, in the world that it was trained in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sim2real.deployment.policy import Policy
from sim2real.rules import Rule, number, whole
from sim2real.training.train import TrainingConfig
from sim2real.transfer.base import TransferMethod, carry_normalizer, fresh_hyperparameters
from sim2real.transfer.source import SourceExperience, exploring, mix


@dataclass(frozen=True, kw_only=True)
class ReplayMix(TransferMethod):
    """Learns from nothing in the target, with source transitions among those that it learns from."""

    name: ClassVar[str] = "replay-mix"
    rules: ClassVar[Mapping[str, Rule]] = {
        "share": number(0.0, 1.0, above=True, below=True),
        "collected": whole(1, 1_000_000),
    }

    share: float = 0.5
    """Of source transitions in every batch."""
    collected: int = 10_000
    """Source transitions, collected before the first update."""

    @property
    def changes_update(self) -> bool:
        """Its batches are of both worlds."""
        return True

    @property
    def needs_replay(self) -> bool:
        """What it mixes stands in one."""
        return True

    def source_steps(self, steps: int) -> int:  # noqa: ARG002
        """Return how many it collects."""
        return self.collected

    def hyperparameters(self, tuned: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
        """Return the tuned ones, with the source's normalization and as good as no random warm-up."""
        return fresh_hyperparameters(tuned, source)

    def prepare(
        self, learner: BaseAlgorithm, source: Policy | None, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Carry the normalizer; let the learner learn from both worlds.

        Raises:
            Sim2RealError: The policy does not say its world, or the learner has no replay buffer.
        """
        assert source is not None
        experience = SourceExperience(
            source, learner, steps=training.steps, first=self.collected, act=exploring(learner, source)
        )
        carry_normalizer(source, learner)
        mix(learner, experience, self.share)
        return [experience]
