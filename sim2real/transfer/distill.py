"""Distillation: a smaller network learns to act as the source policy does, and goes on learning in the target.

Rusu et al. (2016), "Policy distillation": the student π minimizes

    E_s[ KL(π_s(·|s) ‖ π(·|s)) ]

[nats] to the source policy π_s over states s of the source world. In the first half of them the source policy acts, in
the second the student (as in DAgger, Ross et al., 2011), so that it has seen where its own mistakes lead. For SAC and
TQC both are Gaussians before tanh; for TD3 Gaussians with the standard deviation 0.2 around the actions in [−1, 1], as
in kickstarting. Its critics learn the source's values of the source's actions and of others around them, by least
squares. All of it takes steps in the source only. Fine-tuning goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import set_random_seed
from torch import Tensor

from sim2real.deployment.policy import Policy
from sim2real.errors import Sim2RealError
from sim2real.rules import Rule, whole
from sim2real.training.train import TrainingConfig
from sim2real.transfer.divergence import policy_divergence
from sim2real.transfer.finetune import FineTune
from sim2real.transfer.source import check_world, normalized, source_env

Array = NDArray[Any]

_BATCH = 256
_LEARNING_RATE = 1e-3
_SPREAD = 0.3
"""Standard deviation of the actions around the source's that its values are learned of, in halves of the range."""


def _is_hidden(value: Any) -> bool:
    return value is None or (isinstance(value, list) and value != [] and all(map(whole(1, 4096).allows, value)))


@dataclass(frozen=True, kw_only=True)
class Distill(FineTune):
    """Fine-tunes a smaller copy of the source policy."""

    name: ClassVar[str] = "distill"
    rules: ClassVar[Mapping[str, Rule]] = {
        **FineTune.rules,
        "hidden": Rule(_is_hidden, "a list of layer widths up to 4096, like [32, 32], or null"),
        "collected": whole(10, 1_000_000),
        "updates": whole(2, 1_000_000),
    }

    hidden: Sequence[int] | None = None
    """Widths of the student's hidden layers; half of each of the source's if ``None``."""
    collected: int = 10_000
    """Source steps whose states it learns from."""
    updates: int = 4_000
    """Gradient steps of the distillation."""

    def check(self, training: TrainingConfig, source: Mapping[str, Any]) -> None:
        """Check that the student sees what the source sees.

        Raises:
            Sim2RealError: It does not.
        """
        super().check(training, source)
        if self.normalizer == "refit":
            raise Sim2RealError(
                "distill needs the source's statistics of observations; normalizer: refit forgets them."
            )

    def source_steps(self, steps: int) -> int:
        """Return how many it collects."""
        return self.collected + super().source_steps(steps)

    def hyperparameters(self, tuned: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of fine-tuning, with the student's networks."""
        values = super().hyperparameters(tuned, source)
        values["net_arch"] = _halved(values["net_arch"]) if self.hidden is None else list(self.hidden)
        return values

    def prepare(
        self, learner: BaseAlgorithm, source: Policy | None, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Carry the normalizer; return what distils before the first step, and fine-tuning's warm-up.

        Raises:
            Sim2RealError: The policy does not say its world.
        """
        assert source is not None
        check_world(source)
        source.copy_entropy_into(learner)
        beside = self._beside(learner, source, training)
        return [Distillation(source, self.collected, self.updates), *beside, self._warmup(training.steps)]


class Distillation(BaseCallback):
    """Distils before the first step; a run that is resumed has it behind it.

    Args:
        source: The policy that is imitated.
        collected: Source steps.
        updates: Gradient steps.
    """

    def __init__(self, source: Policy, collected: int, updates: int) -> None:
        super().__init__()
        self._source, self._collected, self._updates = source, collected, updates

    def _on_step(self) -> bool:
        return True

    def _on_training_start(self) -> None:
        if self.num_timesteps > 0:
            return
        learner: Any = self.model
        set_random_seed(learner.seed)
        parameters = [p for p in learner.policy.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=_LEARNING_RATE, fused=True)
        seen: list[Any] = []
        with closing(source_env(self._source)) as envs:
            envs.seed(learner.seed)
            observations = envs.reset()
            for policy in (self._source.module, learner.policy):
                for _ in range(self._collected // 2 // envs.num_envs):
                    observations = normalized(learner, observations)
                    seen.append(observations)
                    observations, *_ = envs.step(policy.predict(observations, deterministic=False)[0])
                states = _joined(seen)
                for _ in range(self._updates // 2):
                    batch = learner.policy.obs_to_tensor(_drawn(states))[0]
                    divergence, error = self._losses(learner, batch)
                    optimizer.zero_grad()
                    (divergence + error).backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
        optimizer.zero_grad()
        _copy_to_followers(learner)
        self.logger.record("distill/divergence", divergence.item())
        self.logger.record("distill/value_error", error.item())

    def _losses(self, learner: Any, batch: Any) -> tuple[Tensor, Tensor]:
        """Return the divergence, and the mean squared error of the values in units of their variance."""
        teacher: Any = self._source.module
        divergence = policy_divergence(teacher, learner.policy, batch).mean()
        if isinstance(learner.policy, ActorCriticPolicy):
            with torch.no_grad():
                wanted = teacher.predict_values(batch)
            found = learner.policy.predict_values(batch)
        else:
            with torch.no_grad():
                actions = teacher._predict(batch, deterministic=False)
                actions = (actions + _SPREAD * torch.randn_like(actions)).clamp(-1.0, 1.0)
                wanted = _values(teacher.critic, batch, actions)
            found = _values(learner.critic, batch, actions)
        return divergence, (found - wanted).square().mean() / (wanted.var() + 1e-6)


def _values(critic: Any, observations: Any, actions: Tensor) -> Tensor:
    """Return all that the critics say, shape (B, critics and their outputs)."""
    found = critic(observations, actions)
    return torch.cat(found, 1) if isinstance(found, tuple) else found.flatten(1)


def _copy_to_followers(learner: Any) -> None:
    for name in ("actor", "critic"):
        follower = getattr(learner, f"{name}_target", None)
        if follower is not None:
            follower.load_state_dict(getattr(learner, name).state_dict())


def _halved(net_arch: Any) -> Any:
    if isinstance(net_arch, Mapping):
        return {name: _halved(widths) for name, widths in net_arch.items()}
    return [max(1, width // 2) for width in net_arch]


def _joined(seen: Sequence[Any]) -> Any:
    if isinstance(seen[0], dict):
        return {name: np.concatenate([part[name] for part in seen]) for name in seen[0]}
    return np.concatenate(seen)


def _drawn(states: Any) -> Any:
    """Return a batch of states, from numpy's global stream, as SB3's buffers draw."""
    parts = states if isinstance(states, dict) else {"": states}
    rows = np.random.randint(0, len(next(iter(parts.values()))), size=_BATCH)  # noqa: NPY002
    return {name: part[rows] for name, part in parts.items()} if isinstance(states, dict) else states[rows]
