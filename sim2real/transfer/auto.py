"""Auto: a transferred learner and one from scratch share the target, and the better of them, or neither, is returned.

Both learn from every target transition, whoever acted: one replay buffer, one target budget. The learner from scratch
makes ``scratch_updates`` updates where alone it would make one, as it has less of the budget for itself: by default all
of it is three times the computation of one learner. Who acts is decided episode by episode:

1. first the source policy as it is, for ``probe`` of the budget, deterministic;
2. then the learners, exploring: the one with the better returns lately most of the time, the other in at least
   ``share`` of the episodes, since a learner that only watches overrates what it never tries (Ostrovski et al., 2021,
   "The difficulty of passive learning in deep reinforcement learning"). The transferred one is out where its returns
   are surely less at a quarter, a half or three quarters of the budget (Welch's test on the last episodes of both,
   one-sided, 5 % for its looks together). The one from scratch never is: it comes from behind, and late;
3. in the last ``exam`` of the budget who is left acts deterministically, in turn with the source policy while that is
   not surely less.

Returns are compared less what the luck of the first state explains: an episode's return less b (V(s_0) − mean V), with
V the source critic's value of the source policy and b the slope within the episodes of each, as in an analysis of
covariance. It stands for pairs of episodes from the same state, which a machine cannot offer.

Returned is the learner with the better mean return, lately and in the exam, or the source policy, where its mean is
higher than that learner's in the exam (lately, where that has no episode), or where no learner has ended an episode.
No step beyond the budget is taken, and no evaluation of the curve is looked at.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import ttest_ind
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger

from sim2real.deployment.policy import BundleInfo, Policy
from sim2real.errors import Sim2RealError, unknown_name
from sim2real.rules import Rule, number, whole
from sim2real.seeding import derive_seed
from sim2real.training.checkpoint import Companion, learner_state, load_learner_state
from sim2real.training.learner import make_learner, normalized_env
from sim2real.training.train import TrainingConfig
from sim2real.transfer.base import METHODS, TransferMethod, find_method
from sim2real.transfer.critics import critic_values
from sim2real.transfer.scratch import Scratch
from sim2real.transfer.source import exploring
from sim2real.transfer.zero_shot import ZeroShot

Array = NDArray[Any]

_LATELY = 5
"""Episodes of a learner that its returns lately are of."""
_TESTED = 10
"""Episodes of each that a test looks at, at most; half as many at least."""
_POOL = 40
"""Episodes that say what a first state is worth, at most."""
_LOOKS = (0.25, 0.5, 0.75)
"""Shares of the budget at which one may be dropped: to look after every episode would drop one sooner or later."""
_LEVEL = 0.05 / len(_LOOKS)


@dataclass(frozen=True, kw_only=True)
class Auto(TransferMethod):
    """Lets evidence decide between a transferred learner, one from scratch, and the source policy as it is."""

    name: ClassVar[str] = "auto"
    crosses_spaces: ClassVar[bool] = True
    rules: ClassVar[Mapping[str, Rule]] = {
        "transferred": Rule(lambda value: isinstance(value, str), "the name of a method"),
        "probe": number(0.0, 0.5),
        "share": number(0.0, 0.5),
        "exam": number(0.0, 0.5),
        "scratch_updates": whole(1, 100),
    }

    transferred: str = "finetune"
    """Method of the transferred learner."""
    probe: float = 0.05
    """Share of the budget in which the source policy acts at first."""
    share: float = 0.25
    """Least share of a learner's episodes while it is in."""
    exam: float = 0.15
    """Share of the budget in which those that may be returned are compared at last."""
    scratch_updates: int = 2
    """Updates of the learner from scratch for each that it would make alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        chosen = find_method(self.transferred)
        if not chosen.learns or not chosen.uses_source or chosen is Auto:
            known = [name for name in METHODS if name not in (self.name, Scratch.name, ZeroShot.name)]
            raise unknown_name("transferred learner of auto", self.transferred, known)

    @property
    def needs_replay(self) -> bool:
        """Its learners share one."""
        return True

    def check(self, training: TrainingConfig, source: Mapping[str, Any]) -> None:
        """Check the same for the transferred learner."""
        super().check(training, source)
        find_method(self.transferred)().check(training, source)

    def source_steps(self, steps: int) -> int:
        """Return those of the transferred learner."""
        return find_method(self.transferred)().source_steps(steps)

    def prepare(
        self, learner: BaseAlgorithm, source: Policy | None, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Set the transferred learner beside the one from scratch; return what lets them take turns.

        Raises:
            Sim2RealError: The learner has no replay buffer to share.
        """
        assert source is not None
        if getattr(learner, "replay_buffer", None) is None:
            raise Sim2RealError("auto lets its learners share a replay buffer, which ppo has not; use sac, td3 or tqc.")
        method = find_method(self.transferred)()
        return [Gate(self, learner, Rival(method, learner, source, training), source, training.steps)]


class Rival:
    """A learner beside the one that collects: it learns from the same replay buffer, at the same times.

    Args:
        method: How it starts.
        learner: The one that collects.
        source: The source policy.
        training: Of the learner that collects, with the hyperparameters of one from scratch.
    """

    def __init__(self, method: TransferMethod, learner: Any, source: Policy, training: TrainingConfig) -> None:
        normalize = learner.get_vec_normalize_env()
        envs = learner.env if normalize is None else normalize.venv
        values = method.hyperparameters(training.hyperparameters, source.metadata.hyperparameters)
        self.hyperparameters = values
        """What it was given."""
        self.learner: Any = make_learner(
            training.algo,
            normalized_env(envs, values),
            values,
            seed=derive_seed(training.seed, "initial weights of a rival"),
            steps=training.steps,
        )
        self.learner.replay_buffer = learner.replay_buffer  # type: ignore[attr-defined,unused-ignore]
        self.learner.set_logger(Logger(None, []))
        self._callbacks = CallbackList(list(method.prepare(self.learner, source, training)))
        self._callbacks.init_callback(self.learner)

    @property
    def companions(self) -> list[Companion]:
        """What learns or collects beside it."""
        return [callback for callback in self._callbacks.callbacks if isinstance(callback, Companion)]

    def begin(self) -> None:
        """Begin where it stands."""
        self._callbacks.on_training_start({}, {})

    def before_rollout(self, step: int) -> None:
        """Let its callbacks do what they do before a rollout."""
        self.learner.num_timesteps = step
        if self.learner.use_sde:  # its own rollouts would draw it
            self.learner.actor.reset_noise(self.learner.n_envs)
        self._callbacks.on_rollout_start()

    def after_step(self, step: int, seen: dict[str, Any]) -> None:
        """Let its callbacks see a step of the envs."""
        self.learner.num_timesteps = step
        self._callbacks.update_locals(seen)
        self._callbacks.on_step()

    def after_rollout(self, step: int) -> None:
        """Learn as often as it would after a rollout of its own."""
        self.learner.num_timesteps = step
        self._callbacks.on_rollout_end()
        count = _updates_of(self.learner)
        if step > self.learner.learning_starts and count:
            self.learner.policy.set_training_mode(True)
            self.learner.train(batch_size=self.learner.batch_size, gradient_steps=count)

    def end(self) -> None:
        """End what its callbacks may have open."""
        self._callbacks.on_training_end()


class Turn(NamedTuple):
    """Who acts in an episode, and how."""

    arm: str
    deterministic: bool


_AS_IT_IS = Turn(ZeroShot.name, True)


class Episode(NamedTuple):
    """What came of one."""

    arm: str
    deterministic: bool
    ret: float
    """Its return."""
    value: float
    """What the source critic says of its first state."""
    step: int
    """Target step of its end."""


class Gate(BaseCallback):
    """Says who acts, keeps what came of it, and chooses; a companion of the checkpoints.

    Args:
        settings: Of the method.
        learner: The learner from scratch, which collects.
        rival: The transferred one.
        source: The source policy.
        steps: Target budget.
    """

    def __init__(self, settings: Auto, learner: Any, rival: Rival, source: Policy, steps: int) -> None:
        super().__init__()
        self._settings, self._learner, self._rival, self._source = settings, learner, rival, source
        self._budget = steps
        self._learners = [settings.transferred, Scratch.name]
        self.turns: list[Turn] = []
        """Of all episodes that have begun, in their order."""
        self.episodes: list[Episode] = []
        """All that have ended."""
        self.out: dict[str, int] = {}
        """Learners that are out, and since which step."""
        self._looks = 0
        self._acting: list[tuple[Turn, float]] = []
        self._known: tuple[int, dict[Turn, list[float]]] = (-1, {})
        self._own_action = learner._sample_action
        learner.gradient_steps = settings.scratch_updates * _updates_of(learner)

    @property
    def chosen(self) -> str:
        """Who would be returned now."""
        returns = self._returns()
        lately = {arm: returns[Turn(arm, False)][-_LATELY:] for arm in self._living}
        shown = {arm: both for arm in lately if (both := [*lately[arm], *returns[Turn(arm, True)]])}
        if not shown:
            return ZeroShot.name
        best = max(shown, key=lambda arm: float(np.mean(shown[arm])))
        as_it_is = returns[_AS_IT_IS]
        if as_it_is and np.mean(as_it_is) > np.mean(returns[Turn(best, True)] or lately[best]):
            return ZeroShot.name
        return best

    def policy(self) -> Policy:
        """Return the policy that would be returned now."""
        if self.chosen == ZeroShot.name:
            return self._source
        return Policy.from_sb3(self._learner if self.chosen == Scratch.name else self._rival.learner)

    def describe(self, info: BundleInfo) -> BundleInfo:
        """Return what the bundle of the chosen policy says: the source's keeps its world and its hyperparameters.

        Its provenance says under ``gate`` who was chosen, who was out from which step on, and who acted how often.
        """
        acted = Counter(episode.arm for episode in self.episodes)
        told = {"chosen": self.chosen, "out": dict(self.out), "episodes": dict(acted)}
        info = replace(info, provenance={**info.provenance, "gate": told})
        if self.chosen == ZeroShot.name:
            return replace(self._source.metadata, provenance=info.provenance)
        return info if self.chosen == Scratch.name else replace(info, hyperparameters=self._rival.hyperparameters)

    def close(self) -> None:
        """Close what the rival has open."""
        for companion in self._rival.companions:
            companion.close()

    def state(self) -> dict[str, Any]:
        """Return what came of it so far, and the rival; see :class:`~sim2real.training.checkpoint.Companion`."""
        return {
            "turns": self.turns,
            "episodes": self.episodes,
            "out": self.out,
            "looks": self._looks,
            "rival": learner_state(self._rival.learner),
            "companions": [companion.state() for companion in self._rival.companions],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take it up again."""
        self.turns = [Turn(*fields) for fields in state["turns"]]
        self.episodes = [Episode(*fields) for fields in state["episodes"]]
        self.out, self._looks = dict(state["out"]), state["looks"]
        load_learner_state(self._rival.learner, state["rival"])
        for companion, own in zip(self._rival.companions, state["companions"], strict=True):
            companion.load(own)

    def begin_segment(self, seed: int) -> None:
        """Give every env someone to act in its new episode."""
        for index, companion in enumerate(self._rival.companions):
            companion.begin_segment(derive_seed(seed, "companion of a rival", index))
        values = self._values(self._originals(self._learner._last_obs))
        self._acting = [(self._next(), float(value)) for value in values]

    @property
    def _living(self) -> list[str]:
        return [arm for arm in self._learners if arm not in self.out]

    def _returns(self) -> dict[Turn, list[float]]:
        """Return the returns of all kinds of turns, less what the first states explain."""
        if self._known[0] == len(self.episodes):
            return self._known[1]
        kinds = itertools.product((*self._learners, ZeroShot.name), (False, True))
        found: dict[Turn, list[float]] = {Turn(*kind): [] for kind in kinds}
        for episode, ret in zip(self.episodes, adjusted(self.episodes), strict=True):
            found[Turn(episode.arm, episode.deterministic)].append(ret)
        self._known = len(self.episodes), found
        return found

    def _next(self) -> Turn:
        """Return who acts in the next episode, and how."""
        if self.num_timesteps < self._settings.probe * self._budget:
            turn = _AS_IT_IS
        elif self.num_timesteps < (1.0 - self._settings.exam) * self._budget:
            turn = Turn(self._explorer(), False)
        else:
            turn = Turn(self._examined(), True)
        self.turns.append(turn)
        return turn

    def _explorer(self) -> str:
        living, returns = self._living, self._returns()
        lately = {arm: returns[Turn(arm, False)][-_LATELY:] for arm in living}
        before = [turn.arm for turn in self.turns if turn.arm in living]
        if not all(lately.values()):
            return min(living, key=before.count)
        *worse, better = sorted(living, key=lambda arm: float(np.mean(lately[arm])))
        if worse and self._settings.share and worse[0] not in before[-(int(1.0 / self._settings.share) - 1) :]:
            return worse[0]
        return better

    def _examined(self) -> str:
        candidates, returns = self._living, self._returns()
        best = max((self._latest(returns, arm) for arm in candidates), key=lambda found: np.mean(found or [-np.inf]))
        if not surely_less(returns[_AS_IT_IS][-_TESTED:], best):
            candidates = [*candidates, ZeroShot.name]
        before = [turn.arm for turn in self.turns if turn.deterministic]
        return min(candidates, key=before.count)

    def _latest(self, returns: Mapping[Turn, list[float]], arm: str) -> list[float]:
        return [*returns[Turn(arm, False)], *returns[Turn(arm, True)]][-_TESTED:]

    def _on_training_start(self) -> None:
        self._learner._sample_action = self._sample_action
        self._rival.begin()

    def _on_rollout_start(self) -> None:
        if self._settings.transferred not in self.out:
            self._rival.before_rollout(self.num_timesteps)

    def _on_step(self) -> bool:
        if self._settings.transferred not in self.out:
            self._rival.after_step(self.num_timesteps, self.locals)
        ended = [env for env, info in enumerate(self.locals["infos"]) if "episode" in info]
        if ended:
            values = self._values(self._originals(self.locals["new_obs"]))
        for env in ended:
            turn, value = self._acting[env]
            ret = float(self.locals["infos"][env]["episode"]["r"])
            self.episodes.append(Episode(*turn, ret, value, self.num_timesteps))
            self._drop()
            self._acting[env] = self._next(), float(values[env])
        return True

    def _on_rollout_end(self) -> None:
        if self._settings.transferred not in self.out:
            self._rival.after_rollout(self.num_timesteps)
        for turn, returns in self._returns().items():
            kind = "exam" if turn.deterministic else "exploring"
            self.logger.record(f"auto/{kind}_episodes_{turn.arm}", len(returns))

    def _on_training_end(self) -> None:
        self._rival.end()

    def _drop(self) -> None:
        """At a look, drop the transferred learner if it is surely worse."""
        looks = sum(share * self._budget <= self.num_timesteps for share in _LOOKS)
        if looks == self._looks or len(self._living) < 2:
            return
        self._looks = looks
        returns = self._returns()
        transferred, scratch = (self._latest(returns, arm) for arm in self._learners)
        if surely_less(transferred, scratch):
            self.out[self._settings.transferred] = self.num_timesteps

    def _sample_action(self, learning_starts: int, action_noise: Any = None, n_envs: int = 1) -> tuple[Array, Array]:
        """Return the actions of whoever acts in each env, and the same scaled to [-1, 1]."""
        learner = self._learner
        scaled = np.zeros((n_envs, *learner.action_space.shape), np.float32)
        turns = [turn for turn, _ in self._acting]
        for turn in sorted(set(turns)):
            rows = [env for env, acting in enumerate(turns) if acting == turn]
            scaled[rows] = self._actions(turn, learning_starts, action_noise, n_envs)[rows]
        return learner.policy.unscale_action(scaled), scaled

    def _actions(self, turn: Turn, learning_starts: int, action_noise: Any, n_envs: int) -> Array:
        learner, rival = self._learner, self._rival.learner
        if turn.arm == Scratch.name:
            if turn.deterministic:
                return deterministic(learner, learner._last_obs)
            found: Array = self._own_action(learning_starts, action_noise, n_envs)[1]
            return found
        originals = self._originals(learner._last_obs)
        if turn.arm == ZeroShot.name:
            scaled: Array = learner.policy.scale_action(self._source.predict(originals))
            return scaled
        if not turn.deterministic:
            return exploring(rival)(originals)
        normalize = rival.get_vec_normalize_env()
        return deterministic(rival, originals if normalize is None else normalize.normalize_obs(originals))

    def _originals(self, observations: Any) -> Any:
        """Return the present observations as the envs gave them."""
        normalize = self._learner.get_vec_normalize_env()
        return observations if normalize is None else normalize.get_original_obs()

    def _values(self, originals: Any) -> Array:
        """Return the source critic's values of the source policy, shape (n,)."""
        module: Any = self._source.module
        normalizer = self._source.normalizer
        seen = module.obs_to_tensor(originals if normalizer is None else normalizer(originals))[0]
        with torch.no_grad():
            found: Array = critic_values(module, seen, module._predict(seen, deterministic=True)).numpy()
        return found


def _updates_of(learner: Any) -> int:
    """Return how many updates a learner makes after a rollout."""
    count: int = learner.gradient_steps
    return count if count >= 0 else learner.train_freq.frequency * learner.n_envs


def deterministic(learner: Any, observations: Any) -> Array:
    """Return a learner's most likely actions, scaled to [-1, 1], for observations as it sees them."""
    with torch.no_grad():
        drawn = learner.policy._predict(learner.policy.obs_to_tensor(observations)[0], deterministic=True).numpy()
    found: Array = drawn.reshape(-1, *learner.action_space.shape)
    return found


def adjusted(episodes: Sequence[Episode]) -> list[float]:
    """Return the returns of episodes, less b (V(s_0) − mean V), with b from the last of them."""
    last: dict[Turn, list[Episode]] = {}
    for episode in episodes[-_POOL:]:
        last.setdefault(Turn(episode.arm, episode.deterministic), []).append(episode)
    centred = [
        np.array([(e.value, e.ret) for e in group]) - np.mean([(e.value, e.ret) for e in group], axis=0)
        for group in last.values()
    ]
    values, returns = np.concatenate(centred).T if centred else np.zeros((2, 0))
    freedom = len(values) - len(centred)
    slope = float(values @ returns / (values @ values)) if freedom >= _LATELY and values @ values > 0.0 else 0.0
    mean = float(np.mean([episode.value for episode in episodes])) if episodes else 0.0
    return [episode.ret - slope * (episode.value - mean) for episode in episodes]


def surely_less(returns: Sequence[float], than: Sequence[float]) -> bool:
    """Return whether the mean is less by Welch's one-sided test, with enough episodes of both."""
    if min(len(returns), len(than)) < _TESTED // 2:
        return False
    if np.ptp(returns) == np.ptp(than) == 0.0:  # the test has nothing to go by
        return returns[0] < than[0]
    return bool(ttest_ind(returns, than, equal_var=False, alternative="less").pvalue < _LEVEL)
