"""Scratch: a fresh learner in the target, on the same budget. The baseline of every transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.callbacks import BaseCallback

    from sim2real.deployment.policy import Policy


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """The source policy is not used; the hyperparameters are the tuned ones for the target."""

    name: ClassVar[str] = "scratch"
    learns: ClassVar[bool] = True
    uses_source: ClassVar[bool] = False

    def check(self, steps: int) -> None:
        """Nothing can be wrong: there are no settings."""

    def hyperparameters(self, tuned: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - protocol
        """Return the tuned hyperparameters."""
        return dict(tuned)

    def prepare(
        self,
        learner: BaseAlgorithm,  # noqa: ARG002 - protocol
        source: Policy | None,  # noqa: ARG002 - protocol
        steps: int,  # noqa: ARG002 - protocol
    ) -> Sequence[BaseCallback]:
        """Leave the fresh learner as it is."""
        return ()
