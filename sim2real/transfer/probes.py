"""Probes: what a twentieth of a target budget tells about a transfer before the rest is spent.

In the target the source policy acts for three quarters of the probe's steps, and a learner from scratch takes the other
quarter; in the source, where steps cost nothing, the source policy acts for as many and more. From that:

- how much of what the source policy earns above chance in its source it still earns in the target;
- how much of the same a learner from scratch has gained by the end of its few steps. It acts by chance first, for as
  long as its hyperparameters say; a quarter that is not longer than that tells what chance earns, and no more;
- how well target is told from source: the area under the ROC curve of a classifier of (s, a, s' − s) of the source
  policy's steps, on folds that it was not fitted to; 0.5 where nothing tells them apart, 1 where everything does;
- by how much more the source's critic is surprised by the target: the ratio of the mean absolute errors of
  r + γ V(s') − Q(s, a) (for PPO r + γ V(s') − V(s)) in target and source;
- how far the target's domain is from the nominal one, where both are domains of one space.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu
from stable_baselines3.common.policies import ActorCriticPolicy
from torch.nn.functional import binary_cross_entropy_with_logits

from sim2real.deployment.policy import Policy
from sim2real.domains.contract import Env, domain_space
from sim2real.domains.randomizers import RandomizerSpec
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.evaluate import check_policy_fits
from sim2real.seeding import derive_seed
from sim2real.training.train import make_config, one_thread
from sim2real.transfer.critics import critic_values
from sim2real.transfer.models import Fitted, Standardize, mlp
from sim2real.transfer.probe_steps import Steps, learn_steps, shared_window, take_steps
from sim2real.transfer.source import check_world

Array = NDArray[Any]

SHARE = 0.05
"""Of the target budget that probes take."""
LEAST = 100
"""Steps that they need."""
_SCRATCH = 0.25
"""Of their steps, for a learner from scratch."""
_SOURCE_STEPS = 5_000
_FOLDS, _FIT_STEPS, _WEIGHT_DECAY = 3, 200, 1e-2


@dataclass(frozen=True, kw_only=True)
class Probes:
    """What was found out, and with how many steps."""

    target_steps: int
    """Steps taken in the target."""
    window: int | None
    """All returns are of so many first steps of an episode, where the probe was too short for whole episodes; of whole
    ones if ``None``."""
    zero_shot_return: float
    """Mean return of the source policy in the target."""
    zero_shot_success: float | None
    """Its success rate over whole episodes; ``None`` where the probe was too short, or the env does not say."""
    source_return: float
    """Mean return of the source policy in its source."""
    source_success: float | None
    """Its success rate there; ``None`` where :attr:`zero_shot_success` is."""
    scratch_returns: tuple[float, ...]
    """Returns of the learner from scratch in the target, episode by episode."""
    chance_return: float
    """Mean return of what it did before its first update, by chance or by an untrained network; of all of its episodes
    if none ended before that."""
    scratch_return: float | None
    """Mean return of the last third of its episodes; ``None`` where it has not begun to learn before the last third of
    its steps, so that there is nothing to tell from chance."""
    auc: float
    """How well target is told from source, 0.5 to 1 but for chance."""
    surprise: float
    """Ratio of the critic's errors, target over source."""
    domain_distance: float | None
    """Root mean square over the parameters of the distance from nominal, in halves of what the world accepts; ``None``
    where source and target are not one world, or the domain is not known."""

    @property
    def kept(self) -> float:
        """Share of what the source policy earns above chance that it keeps in the target; 0 where that is nothing."""
        return self._share(self.zero_shot_return)

    @property
    def climb(self) -> float | None:
        """Share of the same that scratch has gained; ``None`` where it has not begun to learn."""
        return None if self.scratch_return is None else self._share(self.scratch_return)

    def _share(self, ret: float) -> float:
        earned = self.source_return - self.chance_return
        return (ret - self.chance_return) / earned if earned > 0.0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, JSON-plain: the inverse of :meth:`from_dict`, but for the shares, which follow."""
        fields = {**vars(self), "scratch_returns": list(self.scratch_returns)}
        return {**fields, "kept": self.kept, "climb": self.climb}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Probes:
        """Return the probes that :meth:`to_dict` has written."""
        fields = {key: value for key, value in content.items() if key not in ("kept", "climb")}
        return cls(**{**fields, "scratch_returns": tuple(fields["scratch_returns"])})


def probe(source: Policy, target: World, steps: int, seed: int = 0) -> Probes:
    """Probe a target with a twentieth of a budget.

    Args:
        source: The source policy.
        target: The target.
        steps: The budget.
        seed: Not negative.

    Raises:
        Sim2RealError: The policy does not say its world, does not fit the target, or the budget is too small: for
            probes, or for a learner from scratch.
    """
    check_world(source)
    if source.observation_space.shape is None or len(source.observation_space.shape) > 1:
        raise Sim2RealError("probes need observations that are one row of numbers, not a dictionary or pictures.")
    if source.network.asymmetric:
        raise Sim2RealError("probes ask the source's critics, and asymmetric ones read what probes do not see.")
    training = make_config(target, algo=source.algo, randomizer="none", steps=steps, seed=seed)
    total = int(SHARE * steps)
    if total < LEAST:
        least = math.ceil(LEAST / SHARE)
        raise Sim2RealError(
            f"steps = {steps}: probes take {SHARE:.0%} of that, and {total} steps tell nothing; give a budget of at "
            f"least {least:,}."
        )
    scratch_steps = int(_SCRATCH * total)
    seeds = [derive_seed(seed, f"probe {part}") for part in ("policy", "source", "classifier")]
    with one_thread():
        with closing(target.make()) as env:
            check_policy_fits(source, env)
            acted = take_steps(env, source.predict, total - scratch_steps, seeds[0])
            distance = domain_distance(env, target) if _same_world(source, target) else None
        scratch = learn_steps(training, scratch_steps)
        with closing(_source_env(source)) as env:
            at_home = take_steps(env, source.predict, max(_SOURCE_STEPS, len(acted.rewards)), seeds[1])
        told = auc(_inputs(at_home), _inputs(acted), seeds[2])
        surprise = np.mean(np.abs(td_errors(source, acted))) / np.mean(np.abs(td_errors(source, at_home)))
    chance = scratch.by_chance
    window = shared_window(acted, at_home, chance, *([scratch] if scratch.has_learned else []))
    curve = scratch.returns(window)
    success = window is None and bool(acted.successes and at_home.successes)
    return Probes(
        target_steps=total,
        window=window,
        zero_shot_return=float(np.mean(acted.returns(window))),
        zero_shot_success=float(np.mean(acted.successes)) if success else None,
        source_return=float(np.mean(at_home.returns(window))),
        source_success=float(np.mean(at_home.successes)) if success else None,
        scratch_returns=tuple(curve),
        chance_return=float(np.mean(chance.returns(window))),
        scratch_return=float(np.mean(curve[-max(1, len(curve) // 3) :])) if scratch.has_learned else None,
        auc=told,
        surprise=float(surprise),
        domain_distance=distance,
    )


def auc(source: Array, target: Array, seed: int) -> float:
    """Return the area under the ROC curve of a classifier that tells target from source, on rows it has not seen.

    Args:
        source: Shape (n, width).
        target: Shape (m, width).
        seed: Of the folds and the classifier.
    """
    rng = np.random.default_rng(seed)
    count = min(len(source), len(target))
    rows = [part[rng.permutation(len(part))[:count]] for part in (source, target)]
    inputs = torch.from_numpy(np.concatenate(rows).astype(np.float32))
    labels = torch.cat((torch.zeros(count), torch.ones(count)))
    folds = torch.from_numpy(np.tile(np.arange(count) % _FOLDS, 2))
    scores = torch.zeros(2 * count)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for fold in range(_FOLDS):
            known = folds != fold
            scale = Standardize(inputs.shape[1])
            scale.fit(inputs[known])
            fitted = Fitted(mlp(inputs.shape[1], 1), weight_decay=_WEIGHT_DECAY)
            for _ in range(_FIT_STEPS):
                said = fitted.module(scale(inputs[known])).squeeze(1)
                fitted.step(binary_cross_entropy_with_logits(said, labels[known]))
            with torch.no_grad():
                scores[~known] = fitted.module(scale(inputs[~known])).squeeze(1)
    of_source, of_target = scores[:count].numpy(), scores[count:].numpy()
    return float(mannwhitneyu(of_target, of_source).statistic / count**2)


def td_errors(source: Policy, steps: Steps) -> Array:
    """Return the temporal difference errors of a source policy's own critic, shape (n,)."""
    module: Any = source.module
    gamma = float(source.metadata.hyperparameters.get("gamma", 0.99))
    rewards = steps.rewards
    normalizer = source.normalizer
    if normalizer is not None and normalizer.returns is not None:  # the critic was trained on scaled rewards
        rewards = rewards / np.sqrt(normalizer.returns.var + normalizer.epsilon)

    def read(observations: Array) -> Any:
        return module.obs_to_tensor(observations if normalizer is None else normalizer(observations))[0]

    seen, after = read(steps.observations), read(steps.after)
    with torch.no_grad():
        if isinstance(module, ActorCriticPolicy):
            values, following = module.predict_values(seen), module.predict_values(after)
        else:
            actions = torch.from_numpy(module.scale_action(steps.actions).astype(np.float32))
            values = critic_values(module, seen, actions)
            following = critic_values(module, after, module._predict(after, deterministic=True))
    now, later = (part.flatten().numpy() for part in (values, following))
    errors: Array = rewards + gamma * (1.0 - steps.terminated) * later - now
    return errors


def domain_distance(env: Env, target: World) -> float | None:
    """Return how far a target's domain is from nominal; ``None`` where it has none or the env has no domains."""
    space = domain_space(env)
    if target.domain is None or not space:
        return None
    domain = space.complete(target.domain)
    parts = [
        (domain[name] - parameter.nominal) / (0.5 * (parameter.high - parameter.low))
        for name, parameter in space.items()
        if parameter.high > parameter.low
    ]
    return float(np.sqrt(np.mean(np.square(parts)))) if parts else None


def _inputs(steps: Steps) -> Array:
    actions = steps.actions.reshape(len(steps.actions), -1)
    return np.concatenate((steps.observations, actions, steps.after - steps.observations), axis=1)


def _same_world(source: Policy, target: World) -> bool:
    """Return whether a target is the source's own world, but for the domain."""
    assert source.metadata.world is not None
    own, there = (dict(world, domain=None, target=None) for world in (source.metadata.world, target.to_dict()))
    for world in (own, there):
        world["env"] = world["env"].rpartition(":")[2]
    return own == there


def _source_env(source: Policy) -> Env:
    assert source.metadata.world is not None
    domains: Any = source.metadata.domains or {}
    randomizer: RandomizerSpec = domains.get("randomizer", "none")
    env = World.from_dict(source.metadata.world).make(randomizer=randomizer)
    if "state" in domains:
        env.get_wrapper_attr("load_randomizer")(domains["state"])
    return env
