"""Kickstarting: a fresh learner in the target that is drawn to what the source policy would do, ever less.

Schmitt et al. (2018), "Kickstarting deep reinforcement learning": the loss of the actor π becomes

    L(π) + λ_t E_s[ KL(π_s(·|s) ‖ π(·|s)) ],

with the source policy π_s as teacher, see :mod:`~sim2real.transfer.pull`. In the paper λ is found by a search over a
population; here it falls linearly to zero.

The learner's networks need not be those of the source. It sees observations normalized as the source does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from sim2real.deployment.policy import Policy
from sim2real.errors import Sim2RealError
from sim2real.rules import Rule, number
from sim2real.training.train import TrainingConfig
from sim2real.transfer.base import TransferMethod, carry_normalizer, fresh_hyperparameters
from sim2real.transfer.pull import Pull, draw


@dataclass(frozen=True, kw_only=True)
class Kickstart(TransferMethod):
    """Learns from nothing in the target, drawn to the source policy's actions."""

    name: ClassVar[str] = "kickstart"
    asymmetric: ClassVar[bool] = True
    crosses_spaces: ClassVar[bool] = True
    rules: ClassVar[Mapping[str, Rule]] = {"weight": number(0.0, 1e9), "decay": number(0.0, 1.0, above=True)}

    weight: float = 1.0
    """λ at first [return per nat]."""
    decay: float = 0.5
    """Share of the budget after which λ is 0."""

    @property
    def changes_update(self) -> bool:
        """The divergence is a term of the actor's loss."""
        return True

    def check(self, training: TrainingConfig, source: Mapping[str, Any]) -> None:
        """Check that the source policy has distributions that stand still.

        Raises:
            Sim2RealError: Its exploration depends on the state.
        """
        super().check(training, source)
        if source.get("use_sde"):
            raise _with_sde()

    def hyperparameters(self, tuned: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
        """Return the tuned ones, with the source's normalization and as good as no random warm-up."""
        return fresh_hyperparameters(tuned, source)

    def prepare(
        self, learner: BaseAlgorithm, source: Policy | None, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Add the divergence from the source policy to the learner's loss.

        Raises:
            Sim2RealError: The divergence from such a policy, or the update of such a learner, is not known here.
        """
        assert source is not None
        carry_normalizer(source, learner)
        if source.network.use_sde and isinstance(learner, OffPolicyAlgorithm):
            raise _with_sde()
        pull = Pull(source.module, self.weight, self.decay * training.steps, self.name)
        draw(learner, pull)
        return [pull]


def _with_sde() -> Sim2RealError:
    return Sim2RealError("kickstart needs a source policy without state-dependent exploration (use_sde).")
