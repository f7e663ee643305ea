"""What methods share that go on learning in the source, beside the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sim2real.deployment.policy import Policy
from sim2real.errors import Sim2RealError
from sim2real.rules import Rule, whole
from sim2real.training.train import TrainingConfig
from sim2real.transfer.base import TransferMethod, carry_normalizer
from sim2real.transfer.finetune import FineTune
from sim2real.transfer.source import SourceExperience

FIRST = 1_000
"""Source steps before the first update."""


@dataclass(frozen=True, kw_only=True)
class LearnsInSource(TransferMethod):
    """What methods share whose learner starts from the source's networks and goes on in both worlds."""

    rules: ClassVar[Mapping[str, Rule]] = {"ratio": whole(1, 100)}

    ratio: int = 10
    """Source steps for every target step, and updates for one of a learner from scratch."""

    @property
    def changes_update(self) -> bool:
        """Its batches are of both worlds."""
        return True

    @property
    def needs_replay(self) -> bool:
        """What is collected in the source stands in one."""
        return True

    def check(self, training: TrainingConfig, source: Mapping[str, Any]) -> None:
        """Check that transitions are single steps.

        Raises:
            Sim2RealError: They are not.
        """
        super().check(training, source)
        if training.algo != "ppo" and training.hyperparameters.get("n_steps", 1) != 1:
            raise Sim2RealError(f"{self.name} learns what follows a single step; set n_steps to 1.")

    def source_steps(self, steps: int) -> int:
        """Return those of its experience."""
        return FIRST + self.ratio * steps

    def hyperparameters(self, tuned: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of fine-tuning, with more updates."""
        values = FineTune().hyperparameters(tuned, source)
        if "gradient_steps" in values:
            each = values["gradient_steps"]
            values["gradient_steps"] = self.ratio * (each if each >= 0 else values["train_freq"] * values["n_envs"])
        return values

    def prepare(
        self, learner: BaseAlgorithm, source: Policy | None, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Copy networks and normalizer; let the learner learn from what is collected in the source.

        Raises:
            Sim2RealError: The policy does not say its world, or the learner cannot learn from it.
        """
        assert source is not None
        experience = self.experience(source, learner, training.steps)
        return [experience, self.learn_from(experience, learner, training)]

    def learn_from(self, experience: SourceExperience, learner: Any, training: TrainingConfig) -> BaseCallback:
        """Give a learner its batches; return what is fitted for them beside it."""
        raise NotImplementedError

    def experience(self, source: Policy, learner: BaseAlgorithm, steps: int, **options: Any) -> SourceExperience:
        """Give a learner the source's networks and normalizer; return what collects in the source.

        Raises:
            Sim2RealError: See :class:`SourceExperience`.
        """
        for kind, space in (("observations", learner.observation_space), ("actions", learner.action_space)):
            if space.shape is None or len(space.shape) != 1:
                raise Sim2RealError(f"{self.name} needs {kind} that are one row of numbers, not {space}.")
        source.copy_into(learner)
        carry_normalizer(source, learner)
        return SourceExperience(source, learner, steps=steps, first=FIRST, ratio=self.ratio, **options)
