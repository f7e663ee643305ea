"""GAT: learn in the source, whose actions are changed so that it goes where the target would have gone.

Hanna & Stone (2017), "Grounded action transformation for robot learning in simulation". Of the action a that the policy
means in the source state s, the action that is taken there is

    â = (1 − k) a + k f_sim⁻¹(s, f_target(s, a)),

with f_target, a forward model of the target, which says s' − s, f_sim⁻¹, an inverse model of the source, which says the
action that led from s to s', and k, the smoothing of the paper. Both are least-squares networks on standardized data:
f_sim⁻¹ of what the source policy did in the source at first, f_target of all target transitions so far, ``refits``
times in the course of the budget, from where it was; what was collected under the one before is forgotten. The policy
learns from the grounded source alone, as in the paper, from the source's networks on; SAC and its like take the place
of the paper's policy search.

It presumes that the source can do what the target does, by some action; the figure ``gat/inverse_error`` in TensorBoard
says how well actions are told from what they did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor, nn

from sim2real.deployment.policy import Policy
from sim2real.rules import Rule, number, whole
from sim2real.training.fast.update import Batch, sample_batch
from sim2real.training.train import TrainingConfig
from sim2real.transfer.learns_in_source import FIRST, LearnsInSource
from sim2real.transfer.models import Fitted, Standardize, mlp
from sim2real.transfer.source import SourceExperience, exploring

Array = NDArray[Any]

_INVERSE_STEPS = 5_000
"""Source transitions that the inverse model is fitted to."""
_FIT_UPDATES = 1_000
"""Steps of a fit."""
_FIT_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Gat(LearnsInSource):
    """Goes on learning in the source, grounded by what the target does."""

    name: ClassVar[str] = "gat"
    rules: ClassVar[Mapping[str, Rule]] = {
        **LearnsInSource.rules,
        "refits": whole(1, 100),
        "smoothing": number(0.0, 1.0),
    }

    refits: int = 10
    """How often the forward model is fitted, at even distances over the budget."""
    smoothing: float = 0.95
    """k, the share of the grounded action in the one that is taken."""

    def source_steps(self, steps: int) -> int:
        """Return those of both experiences, with what is forgotten."""
        return _INVERSE_STEPS + super().source_steps(steps) + len(fit_steps(steps, self.refits)) * FIRST

    def prepare(
        self, learner: BaseAlgorithm, source: Policy | None, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Copy networks and normalizer; let the learner learn in the grounded source.

        Raises:
            Sim2RealError: The policy does not say its world, or the learner has no replay buffer.
        """
        assert source is not None
        ungrounded = SourceExperience(
            source, learner, steps=training.steps, first=_INVERSE_STEPS, act=exploring(learner, source)
        )
        models = Models(learner.observation_space.shape[0], learner.action_space.shape[0])  # type: ignore[index]
        experience = self.experience(source, learner, training.steps, ground=grounding(models, self.smoothing))

        learner.batches = lambda _, size: experience.batch(size)  # type: ignore[attr-defined]
        when = fit_steps(training.steps, self.refits)
        return [ungrounded, Grounding(models, learner, ungrounded, experience, when), experience]


def fit_steps(steps: int, refits: int) -> list[int]:
    """Return the target steps at which the model of the target is fitted, at even distances within a budget."""
    found = {round(steps * fit / (refits + 1)) for fit in range(1, refits + 1)}
    return sorted(found - {0})


def grounding(models: Models, smoothing: float) -> Callable[[Array, Array], Array]:
    """Return what makes the actions that are taken of those that are meant, see :class:`SourceExperience`."""

    def ground(observations: Array, actions: Array) -> Array:
        if not models.change.count:  # nothing is fitted yet
            return actions
        states, meant = torch.from_numpy(observations), torch.from_numpy(actions)
        with torch.no_grad():
            grounded = models.inverse(states, models.forward(states, meant))
        taken: Array = ((1.0 - smoothing) * meant + smoothing * grounded).clamp(-1.0, 1.0).numpy()
        return taken

    return ground


class Models(nn.Module):
    """f_target and f_sim⁻¹.

    Args:
        observation: Width of s.
        action: Width of a.
    """

    def __init__(self, observation: int, action: int) -> None:
        super().__init__()
        self.state, self.change = Standardize(observation), Standardize(observation)
        self.target = mlp(observation + action, observation)
        self.source = mlp(2 * observation, action)

    def forward(self, states: Tensor, actions: Tensor) -> Tensor:
        """Return f_target(s, a), the change s' − s in the target, in units of the source's changes."""
        found: Tensor = self.target(torch.cat((self.state(states), actions), 1))
        return found

    def inverse(self, states: Tensor, changes: Tensor) -> Tensor:
        """Return f_sim⁻¹: the actions in [-1, 1] that make such changes in the source."""
        found: Tensor = torch.tanh(self.source(torch.cat((self.state(states), changes), 1)))
        return found

    def forward_loss(self, batch: Batch) -> Tensor:
        """Return the mean squared error of the changes, in units of the source's, for target transitions."""
        changes: Tensor = self.change(batch.next_observations - batch.observations)
        return (self.forward(batch.observations, batch.actions) - changes).square().mean()

    def inverse_loss(self, batch: Batch) -> Tensor:
        """Return the mean squared error of the actions, for source transitions."""
        changes = self.change(batch.next_observations - batch.observations)
        return (self.inverse(batch.observations, changes) - batch.actions).square().mean()


class Grounding(BaseCallback):
    """Fits the models at even distances, and lets what was collected under the ones before be forgotten.

    Args:
        models: The models.
        learner: The learner in the target.
        ungrounded: Experience of the source as it is.
        experience: Of the grounded source.
        when: Target steps of the fits, rising.
    """

    def __init__(
        self,
        models: Models,
        learner: Any,
        ungrounded: SourceExperience,
        experience: SourceExperience,
        when: Sequence[int],
    ) -> None:
        super().__init__()
        self._models, self._learner, self._when = models, learner, when
        self._ungrounded, self._experience = ungrounded, experience
        self._fits = 0

    def state(self) -> dict[str, Any]:
        """Return the models; see :class:`~sim2real.training.checkpoint.Companion`."""
        return {
            **{name: tensor.numpy().copy() for name, tensor in self._models.state_dict().items()},
            "fits": self._fits,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take them up again."""
        arrays = {name: torch.from_numpy(value) for name, value in state.items() if isinstance(value, np.ndarray)}
        self._models.load_state_dict(arrays)
        self._fits = state["fits"]

    def begin_segment(self, seed: int) -> None:
        """Nothing here has a stream of its own."""

    def close(self) -> None:
        """Nothing here is open."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        due = sum(step <= self.num_timesteps for step in self._when)
        if due == self._fits:
            return
        self._fits = due
        if not self._models.change.count:
            whole = self._ungrounded.batch(_INVERSE_STEPS)
            self._models.state.fit(whole.observations)
            self._models.change.fit(whole.next_observations - whole.observations)
            error = fit(self._models.source, lambda: self._models.inverse_loss(self._ungrounded.batch(_FIT_BATCH)))
            self.logger.record("gat/inverse_error", error**0.5)
        error = fit(self._models.target, lambda: self._models.forward_loss(sample_batch(self._learner, _FIT_BATCH)))
        self.logger.record("gat/forward_error", error**0.5)
        self._experience.forget()


def fit(module: nn.Module, loss: Callable[[], Tensor]) -> float:
    """Fit a module, from where it is; return the loss of the last batch."""
    fitted, last = Fitted(module), 0.0
    for _ in range(_FIT_UPDATES):
        found = loss()
        fitted.step(found)
        last = found.item()
    return last
