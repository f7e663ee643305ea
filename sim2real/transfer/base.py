"""What all transfer methods are."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sim2real.errors import Sim2RealError, unknown_name
from sim2real.rules import Rule, check_rules

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.callbacks import BaseCallback

    from sim2real.deployment.policy import Policy
    from sim2real.training.train import TrainingConfig
    from sim2real.transfer.translate import Translation


@dataclass(frozen=True, kw_only=True)
class TransferMethod:
    """How a learner in the target starts from a source policy, and what goes beside it.

    A method is a frozen dataclass: its fields are its settings, which users give by name.
    """

    name: ClassVar[str]
    """How users call it."""
    learns: ClassVar[bool] = True
    """Whether it takes steps in the target."""
    uses_source: ClassVar[bool] = True
    """Whether it needs a source policy."""
    crosses_spaces: ClassVar[bool] = False
    """Whether it carries policies into worlds of other spaces, too; it is given translated ones there, see
    :mod:`~sim2real.transfer.translate`."""
    aligns: ClassVar[bool] = False
    """Whether it is given a translated policy between equal spaces, too, whose numbers may mean something else."""
    teaches: ClassVar[bool] = False
    """Whether what is carried into other spaces is only a teacher there, which reads the env's privileged observation
    where it has one, see :func:`~sim2real.domains.contract.privileged_channels`."""
    asymmetric: ClassVar[bool] = False
    """Whether its learner, and the source policy, may have critics that read privileged observations."""
    carries_critics: ClassVar[bool] = False
    """Whether its learner goes on with the source's critics."""
    rules: ClassVar[Mapping[str, Rule]] = {}
    """What its settings may be."""

    def __post_init__(self) -> None:
        check_rules(vars(self), self.rules)

    @property
    def needs_replay(self) -> bool:
        """Whether it is for learners with a replay buffer alone."""
        return False

    @property
    def mixes_source(self) -> bool:
        """Whether its learner is given transitions of the source world."""
        return False

    @property
    def changes_update(self) -> bool:
        """Whether it changes the update of SAC, TD3 or TQC, or its batches; that of Stable-Baselines3 it cannot."""
        return False

    def check(self, training: TrainingConfig, source: Mapping[str, Any]) -> None:
        """Check that the settings fit a training and a source policy, before anything is built.

        Args:
            training: Of a learner from scratch in the target, with the user's overrides and the target budget.
            source: The hyperparameters that the source policy was trained with, as far as they are known.

        Raises:
            Sim2RealError: They do not.
        """
        if self.needs_replay and training.algo == "ppo":
            raise Sim2RealError(f"{self.name} learns from a replay buffer, which ppo has not; use sac, td3 or tqc.")
        if self.changes_update and training.algo != "ppo":
            check_faster_update(self.name, training)
        if self.learns and (not self.asymmetric or self.mixes_source):
            able = ", ".join(name for name in METHODS if find_method(name).asymmetric)
            what = f"{self.name} with these settings is for critics that read what the actor does, and"
            if source.get("asymmetric_critic"):
                raise Sim2RealError(f"{what} the source policy has an asymmetric_critic; use {able}.")
            if self.hyperparameters(training.hyperparameters, source).get("asymmetric_critic"):
                raise Sim2RealError(f"{what} the learner has an asymmetric_critic; set it to false, or use {able}.")

    def source_steps(self, steps: int) -> int:  # noqa: ARG002
        """Return how many steps it takes in the source, besides those that the policy was trained with: none.

        Args:
            steps: The target budget.
        """
        return 0

    def hyperparameters(self, tuned: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Return the hyperparameters of the target learner: the tuned ones where a method has nothing to say.

        Args:
            tuned: Those of a learner from scratch in the target, with the user's overrides.
            source: Those that the policy that is carried over was trained with.
        """
        return dict(tuned)

    def prepare(
        self,
        learner: BaseAlgorithm,  # noqa: ARG002
        source: Policy | None,  # noqa: ARG002
        training: TrainingConfig,  # noqa: ARG002
    ) -> Sequence[BaseCallback]:
        """Put a fresh learner into its initial state; it stays as it is where a method has nothing to do.

        Args:
            learner: Built with :meth:`hyperparameters`.
            source: The policy that is carried over, for a method that uses one.
            training: The learner's, with the target budget.

        Returns:
            Callbacks that accompany its training; what they do must follow from ``num_timesteps`` and, for one that is
            a :class:`~sim2real.training.checkpoint.Companion`, its state, so that a resumed run goes the same way.
        """
        return ()

    def prepare_across(
        self,
        learner: BaseAlgorithm,
        source: Policy,  # noqa: ARG002
        translation: Translation,
        training: TrainingConfig,
    ) -> Sequence[BaseCallback]:
        """Put a fresh learner into its initial state in a world of other spaces.

        Args:
            learner: Built with :meth:`hyperparameters`.
            source: The policy that is carried over.
            translation: The same, translated for the target.
            training: The learner's, with the target budget.

        Returns:
            As :meth:`prepare` does, which is given the translated policy where a method has nothing else to do.
        """
        return self.prepare(learner, translation.policy, training)


def check_faster_update(name: str, training: TrainingConfig) -> None:
    """Check that a training of SAC, TD3 or TQC has the faster update, which a method can change.

    Raises:
        Sim2RealError: It has that of Stable-Baselines3.
    """
    from gymnasium import spaces  # not at the top: the command line reads METHODS

    with closing(training.world.make()) as env:
        dict_space = isinstance(env.observation_space, spaces.Dict)
    if dict_space or training.hyperparameters.get("use_sde"):
        what = "Dict observations" if dict_space else "state-dependent exploration (use_sde)"
        raise Sim2RealError(
            f"{name} changes the update of {training.algo}, which cannot be with {what}; use plain finetune."
        )


METHODS = {
    "adapter": "adapter:Adapter",
    "auto": "auto:Auto",
    "darc": "darc:Darc",
    "distill": "distill:Distill",
    "finetune": "finetune:FineTune",
    "freeze": "freeze:Freeze",
    "gat": "gat:Gat",
    "graft": "graft:Graft",
    "kickstart": "kickstart:Kickstart",
    "par": "par:Par",
    "progressive": "progressive:Progressive",
    "replay-mix": "replay_mix:ReplayMix",
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

    names = [field.name for field in fields(method)]
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


def fresh_hyperparameters(tuned: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tuned ones, with the source's normalization and as good as no random warm-up.

    For a learner with fresh networks that the source helps in another way.
    """
    carried = ("normalize_observation", "normalize_reward")
    values = {**tuned, **{name: source[name] for name in carried if name in source}}
    if "learning_starts" in values:
        values["learning_starts"] = min(values["learning_starts"], 100)
    return values


def carry_normalizer(source: Policy, learner: BaseAlgorithm, *, on: bool = False) -> None:
    """Let a learner see observations normalized as the source policy does.

    Args:
        source: The source policy.
        learner: The learner.
        on: Whether the statistics go on, weighted by the observations that they are of; else they stay for good, so
            that the same observation goes on meaning the same to the source's networks.
    """
    normalize = learner.get_vec_normalize_env()
    if normalize is not None and source.normalizer is not None:
        source.normalizer.into_vec_normalize(normalize)
        normalize.training = on
