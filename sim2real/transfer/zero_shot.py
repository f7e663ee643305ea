"""Zero-shot: the source policy acts in the target as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.callbacks import BaseCallback

    from sim2real.deployment.policy import Policy


@dataclass(frozen=True, kw_only=True)
class ZeroShot:
    """No learning and no target data; every other method has to beat it."""

    name: ClassVar[str] = "zero-shot"
    learns: ClassVar[bool] = False
    uses_source: ClassVar[bool] = True

    def check(self, steps: int) -> None:
        """Nothing can be wrong: there are no settings."""

    def hyperparameters(self, tuned: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - protocol
        """Return what is given: nothing learns."""
        return dict(tuned)

    def prepare(
        self,
        learner: BaseAlgorithm,  # noqa: ARG002 - protocol
        source: Policy | None,  # noqa: ARG002 - protocol
        steps: int,  # noqa: ARG002 - protocol
    ) -> Sequence[BaseCallback]:
        """Do nothing."""
        return ()
