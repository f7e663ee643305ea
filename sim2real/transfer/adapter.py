"""Adapters: an encoder into and a decoder out of the source's networks, aligned before anything else is learned.

A map of named channels says which number is which. What it cannot say, which joint of another body is which, and what
its actuators do, is learned from the first target steps: the map is aligned such that actions have the effects that
they have in the source, see :mod:`~sim2real.transfer.alignment`. Some alignments fail, and nothing that is fitted tells
which. So there are several rounds, and each map is tried: the policy acts along it, with noise, and the reward that it
earns says how good it is. Each alignment hears of all steps so far and begins from the best map so far, and learning
goes on along the best one of all. Before the first alignment actions are drawn at random (SAC, TD3, TQC).

Encoder and decoder are affine, and stand in the first and the last layers. From there on it is fine-tuning with an
anchor. Unless ``frozen`` and ``thaw_every`` say otherwise, the layers between them are frozen at first and thaw one
after the other, from the last on, the first of them as soon as the map is aligned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import ActionNoise, NormalActionNoise, VectorizedActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from sim2real.deployment.normalizer import RunningStatistics
from sim2real.deployment.policy import Policy
from sim2real.domains.contract import Interface
from sim2real.errors import Sim2RealError
from sim2real.rules import Rule, whole
from sim2real.seeding import derive_seed
from sim2real.training.train import TrainingConfig
from sim2real.transfer.alignment import Steps, align, joined, trusted
from sim2real.transfer.base import carry_normalizer
from sim2real.transfer.freeze import Freeze
from sim2real.transfer.pull import Pull
from sim2real.transfer.source import check_world, source_env
from sim2real.transfer.space_map import SpaceMap
from sim2real.transfer.translate import Translation, translate

_NOISE = 0.5
"""Standard deviation of the noise on actions in the source, in halves of their range."""
_TRIAL_NOISE = 0.3
"""The same in the target; less, as it blurs which map is the best one."""


@dataclass(frozen=True, kw_only=True)
class Adapter(Freeze):
    """Learns what the numbers of another body mean, and goes on from there."""

    name: ClassVar[str] = "adapter"
    asymmetric: ClassVar[bool] = False
    aligns: ClassVar[bool] = True
    rules: ClassVar[Mapping[str, Rule]] = {
        **Freeze.rules,
        "aligned": whole(20, none=True),
        "rounds": whole(1, 20),
        "collected": whole(100, 1_000_000),
        "updates": whole(1, 100_000),
    }

    aligned: int | None = None
    """Target steps that the map is aligned with; a fifth of the budget, at most 600, if ``None``."""
    anchor: float = 1.0
    rounds: int = 4
    """How often; of the steps, equal parts come before the first time and after each."""
    collected: int = 6_000
    """Source steps that say what actions do there."""
    updates: int = 2_000
    """Gradient steps of each model, and of the map."""

    def check(self, training: TrainingConfig, source: Mapping[str, Any]) -> None:
        """Check that the budget goes on after the alignment, in actions that it can be made for.

        Raises:
            Sim2RealError: It does not.
        """
        super().check(training, source)
        if not isinstance(training.world.interface().action, spaces.Box):
            raise Sim2RealError("adapter aligns continuous actions, and the target has discrete ones; use graft.")
        if self._aligned(training.steps) >= training.steps:
            raise Sim2RealError(
                f"aligned = {self.aligned} leaves nothing of the budget of {training.steps} steps; lower it or raise "
                f"steps."
            )

    def source_steps(self, steps: int) -> int:
        """Return how many it collects."""
        return self.collected + super().source_steps(steps)

    def prepare_across(
        self, learner: BaseAlgorithm, source: Policy, translation: Translation, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Begin with the translated policy, and align it before the first update.

        Raises:
            Sim2RealError: The policy does not say its world, or nothing in the two worlds can be compared.
        """
        check_world(source)
        if not len(trusted(translation.space_map.observation).rows):
            raise Sim2RealError(
                "adapter compares what actions do to channels that both worlds show in the same terms, and there are "
                "none; name them alike, say in a map which is which, or use graft."
            )
        steps = self._aligned(training.steps)
        warmup = steps + (min(training.steps // 10, 500) if self.critic_warmup is None else self.critic_warmup)
        later = replace(self, critic_warmup=warmup, collect_first=steps)
        if self.frozen is None:
            thaw = steps if self.thaw_every is None else self.thaw_every
            later = replace(later, frozen=self._between(translation.policy), thaw_every=thaw)
        callbacks = super(Adapter, later).prepare(learner, translation.policy, training)
        pull = next((callback for callback in callbacks if isinstance(callback, Pull)), None)
        when = [round(steps * (number + 1) / (self.rounds + 1)) for number in range(self.rounds + 1)]
        if isinstance(learner, OffPolicyAlgorithm):
            learner.learning_starts = when[0]
        return [Alignment(self, source, translation.policy.interface, translation.space_map, when, pull), *callbacks]

    def _aligned(self, steps: int) -> int:
        return min(steps // 5, 600) if self.aligned is None else self.aligned

    def _between(self, policy: Policy) -> Sequence[str]:
        """Return the names of the layers between the first and the last one."""
        net_arch = policy.network.kwargs["net_arch"]
        depth = max(map(len, net_arch.values())) if isinstance(net_arch, Mapping) else len(net_arch)
        return [f"hidden_{number}" for number in range(2, depth + 1)]


class Alignment(BaseCallback):
    """Records target steps, aligns the map at some of them, and tries it on those that follow.

    Args:
        method: Whose settings these are.
        source: The source policy.
        there: What the target shows and takes.
        space_map: Where to begin.
        when: Target steps, rising: of each alignment, and of the end of the last trial.
        pull: The anchor, which the policy along the map is to be given to, if there is one.
    """

    def __init__(
        self,
        method: Adapter,
        source: Policy,
        there: Interface,
        space_map: SpaceMap,
        when: Sequence[int],
        pull: Pull | None,
    ) -> None:
        super().__init__()
        self._method, self._source, self._there, self._when, self._pull = method, source, there, when, pull
        self._map = self._best = space_map
        self._score: float | None = None
        self._rounds = 0
        self._rewards: list[float] = []
        self._parts: list[Steps] = []
        self._before: NDArray[Any] | None = None
        self._home: Steps | None = None
        self._seen: RunningStatistics | None = None
        self._own_noise: ActionNoise | None = None

    def state(self) -> dict[str, Any]:
        """Return steps, maps and rewards; see :class:`~sim2real.training.checkpoint.Companion`."""
        return {
            "steps": joined(self._parts)._asdict() if self._parts else {},
            "map": _numbers_of(self._map),
            "best": _numbers_of(self._best),
            "score": self._score,
            "rewards": self._rewards,
            "seen": {name: np.asarray(value) for name, value in vars(self._seen).items()} if self._seen else {},
            "rounds": self._rounds,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take them up again."""
        self._parts = [Steps(**state["steps"])] if state["steps"] else []
        self._map, self._best = (_with_numbers(self._map, state[name]) for name in ("map", "best"))
        self._score, self._rewards, self._rounds = state["score"], list(state["rewards"]), state["rounds"]
        if state["seen"]:
            mean, var, count = (state["seen"][name] for name in ("mean", "var", "count"))
            self._seen = RunningStatistics(mean=mean, var=var, count=float(count))
            self._translated(0)

    def begin_segment(self, seed: int) -> None:  # noqa: ARG002
        """Look at what the target shows after its reset."""
        self._before = self._shown(self.model._last_obs)

    def close(self) -> None:
        """Nothing here is open."""

    def _on_training_start(self) -> None:
        self._own_noise = getattr(self.model, "action_noise", None)

    def _on_rollout_start(self) -> None:
        learner = self.model
        if isinstance(learner, OffPolicyAlgorithm):  # a policy that is sure of itself shows little of what actions do
            observing = learner.num_timesteps < self._when[-1]
            learner.action_noise = _noise(learner) if observing else self._own_noise

    def _on_step(self) -> bool:
        if self._rounds < len(self._when):
            after, going = self._shown(self.locals["new_obs"]), ~np.asarray(self.locals["dones"], dtype=bool)
            actions = self.locals.get("clipped_actions", self.locals["actions"])
            assert self._before is not None
            rows = (array[going].astype(np.float32) for array in (self._before, np.asarray(actions), after))
            self._parts.append(Steps(*rows))
            self._before = after
            normalize = self.model.get_vec_normalize_env()
            rewards = self.locals["rewards"] if normalize is None else normalize.get_original_reward()
            self._rewards.append(float(np.mean(rewards)))
        return True

    def _on_rollout_end(self) -> None:
        due = sum(step <= self.num_timesteps for step in self._when)
        if due == self._rounds:
            return
        tried, score = self._rounds > 0, float(np.mean(self._rewards))
        self._rounds, self._rewards = due, []
        if tried and (self._score is None or score > self._score):
            self._best, self._score = self._map, score
        self._map = self._best
        if due < len(self._when):
            self._align(derive_seed(self.model.seed or 0, f"alignment {due}"))
        self._install()

    def _align(self, seed: int) -> None:
        """Align the best map anew, with all steps so far."""
        if self._home is None:
            beginning = derive_seed(self.model.seed or 0, "source steps of alignment")
            self._home = observed(self._source, self._method.collected, beginning)
        self._parts = [joined(self._parts)]
        updates = self._method.updates
        self._map = align(self._source, self._best, self._home, self._parts[0], updates=updates, seed=seed)

    def _install(self) -> None:
        """Let the learner act along the map.

        Numbers that an encoder makes of others have statistics from which nothing like the target's own follow.
        """
        shown = joined(self._parts).observations.astype(np.float64)
        self._seen = RunningStatistics(mean=shown.mean(0), var=shown.var(0), count=float(len(shown)))
        policy = self._translated(self.model.seed or 0)
        policy.copy_into(self.model)
        carry_normalizer(policy, self.model, on=self._method.normalizer == "blend")
        normalize = self.model.get_vec_normalize_env()
        if normalize is not None:
            self.model._last_obs = normalize.normalize_obs(normalize.get_original_obs())

    def _translated(self, seed: int) -> Policy:
        """Return the policy along the map, to which learning is anchored."""
        policy = translate(self._source, self._there, self._map, seed, self._seen).policy
        if self._pull is not None:
            self._pull.teacher = policy.module
        return policy

    def _shown(self, seen: Any) -> NDArray[Any]:
        """Return observations as the env gives them; those that the learner sees may be normalized."""
        normalize = self.model.get_vec_normalize_env()
        return np.array(seen if normalize is None else normalize.get_original_obs())


def _noise(learner: OffPolicyAlgorithm) -> VectorizedActionNoise:
    shape = learner.action_space.shape
    assert shape is not None
    return VectorizedActionNoise(NormalActionNoise(np.zeros(shape), np.full(shape, _TRIAL_NOISE)), learner.n_envs)


def _numbers_of(space_map: SpaceMap) -> dict[str, Any]:
    return {part.kind: [part.matrix, part.offset] for part in (space_map.observation, space_map.action)}


def _with_numbers(space_map: SpaceMap, numbers: Mapping[str, Any]) -> SpaceMap:
    parts = []
    for part in (space_map.observation, space_map.action):
        matrix, offset = numbers[part.kind]
        parts.append(replace(part, matrix=matrix, offset=offset))
    return SpaceMap(parts[0], parts[1], space_map.warnings)


def observed(source: Policy, steps: int, seed: int) -> Steps:
    """Return steps of a source policy in its world, in the nominal domain, with noise on its actions."""
    space: Any = source.action_space
    half, rng = 0.5 * (space.high - space.low), np.random.default_rng(seed)
    parts = []
    with closing(source_env(source.described(replace(source.metadata, domains=None)))) as envs:
        envs.seed(seed)
        before: Any = envs.reset()
        for _ in range(-(-steps // envs.num_envs)):
            noise = rng.normal(0.0, _NOISE, (envs.num_envs, *space.shape)) * half
            actions = np.clip(source.predict(before) + noise, space.low, space.high).astype(np.float32)
            after, _, dones, _ = envs.step(actions)
            parts.append(Steps(*(np.asarray(array)[~dones] for array in (before, actions, after))))
            before = after
    return joined(parts)
