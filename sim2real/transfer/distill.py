"""Distillation: a smaller network learns to act as the source policy does, and goes on learning in the target.

Rusu et al. (2016), "Policy distillation": the student π minimizes

    E_s[ KL(π_s(·|s) ‖ π(·|s)) ]

[nats] to the source policy π_s over states s of the source world. In the first half of them the source policy acts, in
the second the student (as in DAgger, Ross et al., 2011), so that it has seen where its own mistakes lead. For SAC and
TQC both are Gaussians before tanh; for TD3 Gaussians with the standard deviation 0.2 around the actions in [−1, 1], as
in kickstarting. Its critics, which no machine has to run, are copies of the source's. Where they cannot be, for
PPO and where they see what the teacher does not, they learn the source's values of the source's actions and of others
around them, by least squares. All of it takes steps in the source only. Fine-tuning goes on from there.

In a world of other spaces the source policy is translated into a teacher, and the lessons take place in envs like the
target's, but not in its domain: in the nominal one or, if the source was randomized, in those that ``uniform`` draws.
Where such an env has a privileged observation, the teacher reads that and the student what the sensors show, as in Chen
et al. (2020), "Learning by cheating": pictures, say, of which no map makes numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor

from sim2real.deployment.asymmetric import privileged_scale
from sim2real.deployment.pictures import has_pictures
from sim2real.deployment.policy import Policy
from sim2real.domains.contract import domain_space
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.rules import Rule, whole
from sim2real.training.fast.functional import ENCODER
from sim2real.training.train import TrainingConfig
from sim2real.transfer.divergence import policy_divergence
from sim2real.transfer.finetune import FineTune
from sim2real.transfer.source import check_world, envs_of, normalized, source_env
from sim2real.transfer.translate import Translation

Array = NDArray[Any]

_BATCH = 256
_BATCH_OF_PICTURES = 64
"""Convolutions make every sample some hundred times as dear."""
_LEARNING_RATE = 1e-3
_SPREAD = 0.3
"""Standard deviation of the actions around the source's that its values are learned of, in halves of the range."""


def _is_hidden(value: Any) -> bool:
    return value is None or (isinstance(value, list) and value != [] and all(map(whole(1, 4096).allows, value)))


@dataclass(frozen=True, kw_only=True)
class Distill(FineTune):
    """Fine-tunes a smaller copy of the source policy."""

    name: ClassVar[str] = "distill"
    crosses_spaces: ClassVar[bool] = True
    teaches: ClassVar[bool] = True
    rules: ClassVar[Mapping[str, Rule]] = {
        **FineTune.rules,
        "hidden": Rule(_is_hidden, "a list of layer widths up to 4096, like [32, 32], or null"),
        "collected": whole(10, 1_000_000),
        "updates": whole(2, 1_000_000),
    }

    hidden: Sequence[int] | None = None
    """Widths of the hidden layers of the student's actor; half of each of the source's if ``None``."""
    collected: int = 10_000
    """Steps of the lessons, in the source, whose states it learns from."""
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
        for name in ("features_dim", "asymmetric_critic"):  # of pictures, which the teacher need not see
            if name in tuned and not source.get(name):
                values[name] = tuned[name]
        taught = _halved(values["net_arch"]) if self.hidden is None else list(self.hidden)
        if "buffer_size" in values:  # no machine has to run the critics, which are copied
            taught = {"pi": _part(taught, "pi"), "qf": _part(values["net_arch"], "qf")}
        values["net_arch"] = taught
        return values

    def prepare(
        self, learner: BaseAlgorithm, source: Policy | None, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Carry the normalizer; return what distils before the first step, and fine-tuning's warm-up.

        Raises:
            Sim2RealError: The policy does not say its world, or only one of both has an asymmetric critic.
        """
        assert source is not None
        check_world(source)
        if (privileged_scale(learner.policy) is not None) != source.network.asymmetric:
            has = source.network.asymmetric
            raise Sim2RealError(
                f"distill teaches the source's critics, which {'do' if has else 'do not'} read privileged "
                f"observations; set asymmetric_critic to {str(has).lower()}."
            )
        source.copy_entropy_into(learner)
        beside = self._beside(learner, source, training)
        lessons = Distillation(source, lambda: source_env(source), self.collected, self.updates)
        return [lessons, *beside, self._warmup(training.steps)]

    def prepare_across(
        self, learner: BaseAlgorithm, source: Policy, translation: Translation, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Return what distils the translated policy before the first step, and fine-tuning's warm-up."""
        teacher, world = translation.policy, replace(training.world, domain=None, target=None)
        teacher.copy_entropy_into(learner)

        def envs() -> VecEnv:
            return envs_of(world, _randomizer(world, source))

        if world.interface().privileged_channels is None:
            beside = self._beside(learner, teacher, training)
            lessons = Distillation(teacher, envs, self.collected, self.updates)
            return [lessons, *beside, self._warmup(training.steps)]
        self._scale_critics(learner)
        normalize = learner.get_vec_normalize_env()
        if normalize is not None:
            normalize.training = self.normalizer == "blend"
            if teacher.normalizer is not None and teacher.normalizer.returns is not None:
                teacher.normalizer.returns.copy_into(normalize.ret_rms)
        anchor = self._anchor(learner, deepcopy(learner.policy), training.steps)
        pupil = anchor[0].teacher if anchor else None
        lessons = Distillation(teacher, envs, self.collected, self.updates, privileged=True, pupil=pupil)
        return [lessons, *anchor, self._warmup(training.steps)]


def _randomizer(world: World, source: Policy) -> str:
    """Return where the domains of the lessons in another env come from."""
    domains: Mapping[str, Any] = source.metadata.domains or {}
    with closing(world.make()) as env:
        fixed = domains.get("randomizer", "none") == "none" or not len(domain_space(env))
    return "none" if fixed else "uniform"


class Distillation(BaseCallback):
    """Distils before the first step; a run that is resumed has it behind it.

    Args:
        teacher: The policy that is imitated.
        envs: Makes the envs of the lessons, which show what the learner sees.
        collected: Their steps.
        updates: Gradient steps.
        privileged: Whether the teacher reads their privileged observation. The learner's statistics of observations, if
            it has any, are then those of the teacher's half of the steps.
        pupil: Networks like the learner's, which remember what it has been taught.
    """

    def __init__(
        self,
        teacher: Policy,
        envs: Callable[[], VecEnv],
        collected: int,
        updates: int,
        *,
        privileged: bool = False,
        pupil: torch.nn.Module | None = None,
    ) -> None:
        super().__init__()
        self._teacher, self._envs, self._privileged, self._pupil = teacher, envs, privileged, pupil
        self._collected, self._updates = collected, updates
        self._copied = False

    def state(self) -> dict[str, Any]:
        """Return what was taught; see :class:`~sim2real.training.checkpoint.Companion`."""
        return {} if self._pupil is None else {name: p.numpy() for name, p in self._pupil.state_dict().items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Remember it."""
        if self._pupil is not None:
            self._pupil.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})

    def begin_segment(self, seed: int) -> None:
        """Lessons are over before the first one."""

    def close(self) -> None:
        """Nothing here is open."""

    def _on_step(self) -> bool:
        return True

    def _on_training_start(self) -> None:
        if self.num_timesteps > 0:
            return
        learner: Any = self.model
        set_random_seed(learner.seed)
        read_alike = not self._privileged or privileged_scale(learner.policy) is not None
        self._copied = read_alike and _copy_critics(self._teacher, learner.policy)
        parameters = [p for p in learner.policy.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=_LEARNING_RATE, fused=True)
        size = _BATCH_OF_PICTURES if has_pictures(learner.observation_space) else _BATCH
        seen: list[Any] = []
        taught: list[Any] = []
        with closing(self._envs()) as envs:
            envs.seed(learner.seed)
            observations = envs.reset()
            for teaching in (True, False):
                for _ in range(self._collected // 2 // envs.num_envs):
                    seen.append(observations)
                    taught.append(self._read(envs, observations))
                    actor, read = self._teacher.module, taught[-1]
                    if not teaching:
                        actor, read = learner.policy, normalized(learner, observations)
                    observations, *_ = envs.step(actor.predict(read, deterministic=False)[0])
                if not teaching and not self._copied:
                    _copy_encoder(learner)
                states, lessons = _joined(seen), _joined(taught)
                if teaching and self._privileged:
                    _fit_normalizer(learner, states)
                for _ in range(self._updates // 2):
                    rows = np.random.randint(0, len(taught) * envs.num_envs, size=size)  # noqa: NPY002  # as SB3 draws
                    batch = learner.policy.obs_to_tensor(normalized(learner, _at(states, rows)))[0]
                    lesson = self._teacher.module.obs_to_tensor(_at(lessons, rows))[0]
                    divergence, error = self._losses(learner, batch, lesson)
                    optimizer.zero_grad()
                    (divergence + error).backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
        optimizer.zero_grad()
        _copy_to_followers(learner)
        if self._pupil is not None:
            self._pupil.load_state_dict(learner.policy.state_dict())
        self.logger.record("distill/divergence", divergence.item())
        self.logger.record("distill/value_error", error.item())

    def _read(self, envs: VecEnv, observations: Any) -> Any:
        """Return what the teacher's networks read."""
        if self._privileged:
            observations = np.stack(envs.env_method("privileged_observation"))
        return observations if self._teacher.normalizer is None else self._teacher.normalizer(observations)

    def _losses(self, learner: Any, batch: Any, lesson: Any) -> tuple[Tensor, Tensor]:
        """Return the divergence, and the mean squared error of the values in units of their variance."""
        teacher: Any = self._teacher.module
        divergence = policy_divergence(teacher, learner.policy, lesson, batch).mean()
        if self._copied:
            return divergence, torch.zeros(())
        if isinstance(learner.policy, ActorCriticPolicy):
            with torch.no_grad():
                wanted = teacher.predict_values(lesson)
            found = learner.policy.predict_values(batch)
        else:
            with torch.no_grad():
                actions = teacher._predict(lesson, deterministic=False)
                actions = (actions + _SPREAD * torch.randn_like(actions)).clamp(-1.0, 1.0)
                wanted = _values(teacher.critic, lesson, actions)
            found = _values(learner.critic, batch, actions)
        return divergence, (found - wanted).square().mean() / (wanted.var() + 1e-6)


def _copy_critics(teacher: Policy, policy: Any) -> bool:
    """Give a policy the critics of its teacher, which read the same; return whether that could be.

    Raises:
        Sim2RealError: They have other layers and are asymmetric, so that they cannot be taught either.
    """
    if isinstance(policy, ActorCriticPolicy):
        return False
    module: Any = teacher.module
    taught, own, scale = module.critic.state_dict(), policy.critic.state_dict(), privileged_scale(policy)
    if scale is not None and not teacher.network.asymmetric:
        scale.become(teacher.normalizer)
        taught |= {name: value for name, value in policy.critic.state_dict().items() if name.startswith(ENCODER)}
    if {name: value.shape for name, value in taught.items()} == {name: value.shape for name, value in own.items()}:
        policy.critic.load_state_dict(taught)
        return True
    if scale is not None:
        raise Sim2RealError(
            "distill copies the teacher's critics, and the student's have other layers or are another number; set "
            "asymmetric_critic to false."
        )
    return False


def _copy_encoder(learner: Any) -> None:
    """Let the critics' encoder of pictures go on from the actor's: actions show where to look long before values do."""
    if not isinstance(learner.policy, ActorCriticPolicy) and has_pictures(learner.observation_space):
        learner.critic.features_extractor.load_state_dict(learner.actor.features_extractor.state_dict())


def _fit_normalizer(learner: Any, states: Any) -> None:
    """Give a learner the statistics of observations."""
    normalize: VecNormalize | None = learner.get_vec_normalize_env()
    if normalize is None or not normalize.norm_obs:
        return
    parts = normalize.obs_rms if isinstance(normalize.obs_rms, dict) else {"": normalize.obs_rms}
    for key, statistics in parts.items():
        numbers = states[key] if isinstance(states, dict) else states
        statistics.mean, statistics.var, statistics.count = numbers.mean(0), numbers.var(0), float(len(numbers))


def _values(critic: Any, observations: Any, actions: Tensor) -> Tensor:
    """Return all that the critics say, shape (B, critics and their outputs)."""
    found = critic(observations, actions)
    return torch.cat(found, 1) if isinstance(found, tuple) else found.flatten(1)


def _copy_to_followers(learner: Any) -> None:
    for name in ("actor", "critic"):
        follower = getattr(learner, f"{name}_target", None)
        if follower is not None:
            follower.load_state_dict(getattr(learner, name).state_dict())


def _part(net_arch: Any, name: str) -> Any:
    return net_arch[name] if isinstance(net_arch, Mapping) else net_arch


def _halved(net_arch: Any) -> Any:
    if isinstance(net_arch, Mapping):
        return {name: _halved(widths) for name, widths in net_arch.items()}
    return [max(1, width // 2) for width in net_arch]


def _joined(seen: Sequence[Any]) -> Any:
    if isinstance(seen[0], dict):
        return {name: np.concatenate([part[name] for part in seen]) for name in seen[0]}
    return np.concatenate(seen)


def _at(states: Any, rows: Array) -> Any:
    return {name: part[rows] for name, part in states.items()} if isinstance(states, dict) else states[rows]
