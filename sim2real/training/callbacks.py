"""What happens during a training beside learning: evaluation, checkpoints, logs, progress."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sim2real.deployment.policy import BundleInfo, Policy
from sim2real.domains.randomizers import Adaptive
from sim2real.evaluation.rollouts import Evaluator, Predict, Score
from sim2real.training.checkpoint import Companion, begin_segment, save_checkpoint
from sim2real.training.fast.overlap import OverlapMixin
from sim2real.training.folder import RunFolder
from sim2real.training.randomization import described

Progress = Callable[[int], None]
"""Told the number of steps done so far."""


@runtime_checkable
class Chooser(Protocol):
    """A callback that says which policy a training stands for, where that is not simply its learner's."""

    @property
    def chosen(self) -> str:
        """What its policy is of; stands beside every point of the curve."""

    def policy(self) -> Policy:
        """Return the policy as it is now."""

    def describe(self, info: BundleInfo) -> BundleInfo:
        """Return what its bundle says, given what it says of the learner that collects."""


class Milestones(BaseCallback):
    """Evaluates and checkpoints at fixed steps, always between two rollouts.

    There, and only there, the learner's state is complete: what was collected is stored and learned from. Each
    checkpoint is followed by a new segment, see :mod:`sim2real.training.checkpoint`.

    Args:
        folder: Where the curve and the checkpoints go.
        evaluator: The episodes that make a point of the curve.
        current: Returns the policy as it is now, deterministic; asked once for every evaluation.
        seed: The run's seed.
        eval_every: Steps between two evaluations; also evaluated are step 0 and the end.
        checkpoint_every: Steps between two checkpoints.
        companions: What learns or collects beside the learner; a checkpoint holds their state, too.
        chooser: Who says which policy ``current`` returns, where there is a choice.
        randomizer: The one that learns with the policy, if there is one.
    """

    def __init__(
        self,
        folder: RunFolder,
        evaluator: Evaluator,
        current: Callable[[], Predict],
        *,
        seed: int,
        eval_every: int,
        checkpoint_every: int,
        companions: Sequence[Companion] = (),
        chooser: Chooser | None = None,
        randomizer: Adaptive | None = None,
    ) -> None:
        super().__init__()
        self._folder, self._evaluator, self._current = folder, evaluator, current
        self._seed, self._eval_every, self._checkpoint_every = seed, eval_every, checkpoint_every
        self._companions, self._chooser, self._randomizer = companions, chooser, randomizer
        self._next_evaluation = 0
        self._next_checkpoint = 0

    def _on_training_start(self) -> None:
        step = self.model.num_timesteps
        evaluated = [point["step"] for point in self._folder.read_curve()]
        self._next_evaluation = _next_multiple(evaluated[-1], self._eval_every) if evaluated else 0
        self._next_checkpoint = step  # a resumed run starts the segment of its checkpoint anew

    def _on_rollout_start(self) -> None:
        step = self.model.num_timesteps
        if step >= min(self._next_evaluation, self._next_checkpoint):
            settle(self.model)
        if step >= self._next_evaluation:
            self._evaluate(step)
        if step >= self._next_checkpoint:
            if step > 0:
                save_checkpoint(self.model, self._folder.checkpoints, self._companions)
            begin_segment(self.model, self._seed, self._companions)
            self._next_checkpoint = _next_multiple(step, self._checkpoint_every)

    def _on_training_end(self) -> None:
        settle(self.model)
        self._evaluate(self.model.num_timesteps)

    def _on_step(self) -> bool:
        return True

    def _evaluate(self, step: int) -> None:
        score = Score.of(self._evaluator.run(self._current()))
        choice = {} if self._chooser is None else {"chosen": self._chooser.chosen}
        self._folder.append_curve({"step": step, **vars(score), **choice})
        if self._randomizer is not None:
            self._folder.append_randomization({"step": step, **described(self._randomizer)})
        self.logger.record("evaluation/return_mean", score.return_mean)
        if score.success_rate is not None:
            self.logger.record("evaluation/success_rate", score.success_rate)
        self.logger.dump(step)
        self._next_evaluation = _next_multiple(step, self._eval_every)


def settle(learner: BaseAlgorithm) -> None:
    """End what may be under way in a learner that collects while it learns."""
    if isinstance(learner, OverlapMixin):
        learner.settle()


class RewardTerms(BaseCallback):
    """Logs the mean of every ``info["reward/..."]`` over each rollout, so that a reward can be read term by term."""

    def __init__(self) -> None:
        super().__init__()
        self._terms: dict[str, list[float]] = defaultdict(list)

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            for name, value in info.items():
                if name.startswith("reward/"):
                    self._terms[name].append(float(value))
        if self.n_calls % 500 == 0:
            for name, values in self._terms.items():
                self.logger.record(name, sum(values) / len(values))
            self._terms.clear()
        return True


class ReportProgress(BaseCallback):
    """Tells a listener how many steps are done."""

    def __init__(self, listener: Progress, every: int = 50) -> None:
        super().__init__()
        self._listener, self._every = listener, every

    def _on_step(self) -> bool:
        if self.n_calls % self._every == 0:
            self._listener(self.num_timesteps)
        return True


def _next_multiple(step: int, every: int) -> int:
    return (step // every + 1) * every
