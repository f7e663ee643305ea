"""Fine-tuning: learning goes on in the target from the source's networks, without the collapse.

A loaded policy is easily lost in its first thousand steps: random actions fill the buffer, and a critic that is wrong
about the target drives a good actor away (Stable-Baselines3 issues 435 and 1916). The recipe here:

1. no random warm-up: the first target data come from the source policy itself;
2. critic warm-up: for the first ``critic_warmup`` steps the critic learns with the actor frozen;
3. fresh optimizers, so that the moments of the source's gradients do not act in the target;
4. a learning rate that takes effect, since the learner is built anew with it;
5. the normalizer carried and frozen, so that the same observation goes on meaning the same to the networks; it may also
   go on from the source's statistics (``blend``) or begin anew (``refit``), which is another result each;
6. if wanted, a share of source transitions in every batch, so that what was learned there is not forgotten;
7. if wanted, an anchor: a pull towards the policy that it starts from (:mod:`~sim2real.transfer.pull`), which falls to
   nothing. What critics say of a target that they hardly know does not drive the actor away then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from sb3_contrib.tqc.policies import TQCPolicy
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.sac.policies import SACPolicy
from stable_baselines3.td3.policies import TD3Policy

from sim2real.deployment.asymmetric import privileged_scale
from sim2real.deployment.policy import Policy
from sim2real.errors import Sim2RealError
from sim2real.rules import Rule, number, whole
from sim2real.training.fast.soft import SoftMixin
from sim2real.training.train import TrainingConfig
from sim2real.transfer.base import TransferMethod, carry_normalizer
from sim2real.transfer.pull import Pull, draw
from sim2real.transfer.source import SourceExperience, exploring, mix

NORMALIZERS = ("carry", "blend", "refit")
_SOURCE_STEPS = 10_000


@dataclass(frozen=True, kw_only=True)
class FineTune(TransferMethod):
    """Goes on learning in the target from the source's actor and critic."""

    name: ClassVar[str] = "finetune"
    asymmetric: ClassVar[bool] = True
    carries_critics: ClassVar[bool] = True
    rules: ClassVar[Mapping[str, Rule]] = {
        "critic_warmup": whole(0, none=True),
        "collect_first": whole(0, none=True),
        "normalizer": Rule(NORMALIZERS.__contains__, f"one of {', '.join(NORMALIZERS)}"),
        "source_share": number(0.0, 1.0, below=True),
        "anchor": number(0.0, 1e9),
        "anchored": number(0.0, 1.0, above=True),
    }

    critic_warmup: int | None = None
    """Steps in which the actor is frozen; a tenth of the budget, at most 500, if ``None``."""
    collect_first: int | None = None
    """Steps before the first update of an off-policy learner, in which the source policy acts; a tenth of the budget,
    at most 100, if ``None``."""
    normalizer: str = "carry"
    """What becomes of the source's statistics of observations: they stay (``"carry"``), go on, weighted by how many
    observations they are of (``"blend"``), or are forgotten (``"refit"``)."""
    source_share: float = 0.0
    """Share of source transitions in every batch; they are collected before the first update."""
    anchor: float = 0.0
    """Weight λ at first of the divergence from the policy that it starts from [return per nat]; 0 leaves it free."""
    anchored: float = 1.0
    """Share of the budget after which the anchor's weight is 0."""

    @property
    def needs_replay(self) -> bool:
        """Whether a share of source transitions is wanted."""
        return self.source_share > 0.0

    @property
    def mixes_source(self) -> bool:
        """Whether a share of source transitions is wanted."""
        return self.source_share > 0.0

    @property
    def changes_update(self) -> bool:
        """Whether a share of source transitions, or an anchor, is wanted."""
        return self.source_share > 0.0 or self.anchor > 0.0

    def check(self, training: TrainingConfig, source: Mapping[str, Any]) -> None:
        """Check that the budget goes on after both warm-ups, and that there are statistics to do something with.

        Raises:
            Sim2RealError: It does not.
        """
        super().check(training, source)
        if self.normalizer != "carry" and not source.get("normalize_observation", True):
            raise Sim2RealError(
                f"normalizer = {self.normalizer!r}: the source policy normalizes no observations; leave it out."
            )
        if self.normalizer != "carry" and self.anchor:
            raise Sim2RealError(
                f"anchor = {self.anchor:g} compares with a policy that needs its own statistics of observations; "
                f"normalizer: {self.normalizer} changes them."
            )
        if source.get("use_sde") and self.anchor:
            raise Sim2RealError("an anchor needs a policy without state-dependent exploration (use_sde).")
        steps = training.steps
        for name in ("critic_warmup", "collect_first"):
            value = getattr(self, name)
            if value is not None and value >= steps:
                raise Sim2RealError(
                    f"{name} = {value} leaves nothing of the budget of {steps} steps; lower it or raise steps."
                )

    def source_steps(self, steps: int) -> int:  # noqa: ARG002
        """Return how many are collected for the share of source transitions."""
        return _SOURCE_STEPS if self.source_share else 0

    def hyperparameters(self, tuned: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
        """Return the tuned ones, with the source's networks and normalization and no random warm-up."""
        networks = ("net_arch", "activation", "features_dim", "asymmetric_critic")
        kept = {name: value for name, value in tuned.items() if name not in networks or "net_arch" not in source}
        carried = (*networks, "normalize_observation", "normalize_reward")
        values = {**kept, **{name: source[name] for name in carried if name in source}}
        if "learning_starts" in values:
            values["learning_starts"] = 0
        return values

    def prepare(
        self, learner: BaseAlgorithm, source: Policy | None, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Copy networks and normalizer; return the callback that freezes and thaws the actor."""
        assert source is not None
        source.copy_into(learner)
        return [*self._beside(learner, source, training), self._warmup(training.steps)]

    def _beside(self, learner: BaseAlgorithm, source: Policy, training: TrainingConfig) -> list[BaseCallback]:
        """Give a learner the source's normalizer, source transitions and an anchor; return what goes beside it."""
        if self.normalizer != "refit":
            carry_normalizer(source, learner, on=self.normalizer == "blend")
        self._scale_critics(learner)
        callbacks: list[BaseCallback] = []
        if self.source_share:
            act = exploring(learner, source)
            experience = SourceExperience(source, learner, steps=training.steps, first=_SOURCE_STEPS, act=act)
            mix(learner, experience, self.source_share)
            callbacks.append(experience)
        return [*callbacks, *self._anchor(learner, source.module, training.steps)]

    def _scale_critics(self, learner: BaseAlgorithm) -> None:
        """Let the statistics of what asymmetric critics read stay, go on or begin anew, as those of observations do."""
        scale = privileged_scale(learner.policy)
        if scale is not None:
            scale.learning = self.normalizer != "carry"
            if self.normalizer == "refit":
                scale.forget()

    def _anchor(self, learner: BaseAlgorithm, teacher: Any, steps: int) -> list[Pull]:
        """Draw a learner to the policy that it starts from, if wanted; return what does so."""
        if not self.anchor:
            return []
        pull = Pull(teacher, self.anchor, self.anchored * steps, "anchor")
        draw(learner, pull)
        return [pull]

    def _warmup(self, steps: int) -> CriticWarmup:
        """Return the callback that freezes and thaws the actor, for a target budget."""
        warmup = min(steps // 10, 500) if self.critic_warmup is None else self.critic_warmup
        collect = min(steps // 10, 100) if self.collect_first is None else self.collect_first
        return CriticWarmup(warmup, collect)


class CriticWarmup(BaseCallback):
    """Keeps the actor and the entropy coefficient as they are until a step, while the critic learns.

    Args:
        warmup: Steps with a frozen actor.
        collect_first: Steps without any update, for an off-policy learner.
    """

    def __init__(self, warmup: int, collect_first: int) -> None:
        super().__init__()
        self._warmup, self._collect_first = warmup, collect_first
        self._gradient_steps: int | None = None

    def _on_training_start(self) -> None:
        # What an earlier call of learn() has left may be the 0 of below.
        if self._gradient_steps is None and isinstance(self.model, OffPolicyAlgorithm):
            self._gradient_steps = self.model.gradient_steps

    def _on_rollout_start(self) -> None:
        step = self.model.num_timesteps
        if isinstance(self.model, OffPolicyAlgorithm):
            assert self._gradient_steps is not None
            self.model.gradient_steps = 0 if step < self._collect_first else self._gradient_steps
        frozen = step < self._warmup
        for parameter in _actor_parameters(self.model):
            parameter.requires_grad_(not frozen)
        if isinstance(self.model, SoftMixin):
            self.model.hold_entropy(frozen)

    def _on_step(self) -> bool:
        return True


def _actor_parameters(learner: BaseAlgorithm) -> list[torch.nn.Parameter]:
    if isinstance(learner.policy, ActorCriticPolicy):
        policy = learner.policy
        # With pictures the critic may share the extractor: it then learns on features that stand still.
        parts = (policy.pi_features_extractor, policy.mlp_extractor.policy_net, policy.action_net)
        parameters = [parameter for part in parts for parameter in part.parameters()]
        return [*parameters, policy.log_std] if hasattr(policy, "log_std") else parameters
    assert isinstance(learner.policy, (SACPolicy, TD3Policy, TQCPolicy))
    return list(learner.policy.actor.parameters())
