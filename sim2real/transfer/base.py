"""The one protocol of all transfer methods."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from sim2real.errors import unknown_name

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.callbacks import BaseCallback

    from sim2real.deployment.policy import Policy


class TransferMethod(Protocol):
    """How a learner in the target starts from a source policy.

    A method is a frozen dataclass: its fields are its settings, which users give by name.
    """

    name: ClassVar[str]
    """How users call it."""
    learns: ClassVar[bool]
    """Whether it takes steps in the target."""
    uses_source: ClassVar[bool]
    """Whether it needs a source policy."""

    def check(self, steps: int) -> None:
        """Check that the settings fit a target budget.

        Raises:
            Sim2RealError: They do not.
        """
        ...

    def hyperparameters(self, tuned: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyperparameters of the target learner.

        Args:
            tuned: Those of a learner from scratch in the target, with the user's overrides.
            source: Those that the policy that is carried over was trained with.
        """
        ...

    def prepare(self, learner: BaseAlgorithm, source: Policy | None, steps: int) -> Sequence[BaseCallback]:
        """Put a fresh learner into its initial state.

        Args:
            learner: Built with :meth:`hyperparameters`.
            source: The policy that is carried over, for a method that uses one.
            steps: The target budget.

        Returns:
            Callbacks that accompany its training; what they do must follow from ``num_timesteps`` alone, so that a
            resumed run goes the same way.
        """
        ...


METHODS = {
    "finetune": "finetune:FineTune",
    "freeze": "freeze:Freeze",
    "kickstart": "kickstart:Kickstart",
    "progressive": "progressive:Progressive",
    "residual": "residual:Residual",
    "scratch": "scratch:Scratch",
    "zero-shot": "zero_shot:ZeroShot",
}
"""Name of every method -> its module and class; imported when they are asked for."""

Method = TypeVar("Method", bound=TransferMethod)


def with_settings(method: type[Method], overrides: Mapping[str, Any], algo: str) -> tuple[Method, dict[str, Any]]:
    """Build a method from those overrides that are its settings; return it with the others.

    Raises:
        Sim2RealError: A name is neither a setting of the method nor a hyperparameter of ``algo``, or a setting has a
            value that cannot be.
    """
    from sim2real.training.hyperparameters import known_hyperparameters

    names = [field.name for field in fields(method)]  # type: ignore[arg-type]
    known = [*names, *known_hyperparameters(algo)]
    for name in overrides:
        if name not in known:
            raise unknown_name(f"setting of {method.name} or {algo} hyperparameter", name, known)
    settings = {name: value for name, value in overrides.items() if name in names}
    return method(**settings), {name: value for name, value in overrides.items() if name not in names}


def find_method(name: str) -> type[TransferMethod]:
    """Return the class of a transfer method.

    Raises:
        Sim2RealError: The name is unknown.
    """
    if name not in METHODS:
        raise unknown_name("transfer method", name, METHODS)
    module, _, kind = METHODS[name].partition(":")
    found: type[TransferMethod] = getattr(importlib.import_module(f"sim2real.transfer.{module}"), kind)
    return found


def carry_normalizer(source: Policy, learner: BaseAlgorithm) -> None:
    """Let a learner see observations normalized as the source policy does, from now on and for good.

    The same observation then goes on meaning the same to the source's networks.
    """
    normalize = learner.get_vec_normalize_env()
    if normalize is not None and source.normalizer is not None:
        source.normalizer.into_vec_normalize(normalize)
        normalize.training = False
