"""Probes: what a twentieth of a target budget tells about a transfer before the rest is spent.

In the target the source policy acts for three quarters of the probe's steps and chance for one quarter; in the source,
where steps cost nothing, the source policy acts for as many and more. From that:

- how much of what the source policy earns above chance in its source it still earns in the target;
- how well target is told from source: the area under the ROC curve of a classifier of (s, a, s' − s) of the source
  policy's steps, on folds that it was not fitted to; 0.5 where nothing tells them apart, 1 where everything does;
- by how much more the source's critic is surprised by the target: the ratio of the mean absolute errors of
  r + γ V(s') − Q(s, a) (for PPO r + γ V(s') − V(s)) in target and source;
- how far the target's domain is from the nominal one, where both are domains of one space.
"""

from __future__ import annotations

from collections.abc import Callable
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
from sim2real.seeding import derive_seed
from sim2real.transfer.critics import critic_values
from sim2real.transfer.models import Fitted, Standardize, mlp
from sim2real.transfer.source import check_world

Array = NDArray[Any]

SHARE = 0.05
"""Of the target budget that probes take."""
_CHANCE = 0.25
"""Of these, for random actions."""
_SOURCE_STEPS = 2_000
_FOLDS, _FIT_STEPS, _WEIGHT_DECAY = 3, 200, 1e-2


@dataclass(frozen=True, kw_only=True)
class Probes:
    """What was found out, and with how many steps."""

    target_steps: int
    """Steps taken in the target."""
    zero_shot_return: float
    """Mean return of the source policy in the target, over the episodes that ended."""
    zero_shot_success: float | None
    """Its success rate; ``None`` where the env does not say."""
    chance_return: float
    """Mean return of random actions in the target."""
    source_return: float
    """Mean return of the source policy in its source."""
    auc: float
    """How well target is told from source, 0.5 to 1 but for chance."""
    surprise: float
    """Ratio of the critic's errors, target over source."""
    domain_distance: float | None
    """Root mean square over the parameters of the distance from nominal, in halves of what the world accepts; ``None``
    where the domain is not known."""

    @property
    def kept(self) -> float:
        """Share of what the source policy earns above chance that it keeps in the target; 0 where that is nothing."""
        earned = self.source_return - self.chance_return
        return (self.zero_shot_return - self.chance_return) / earned if earned > 0.0 else 0.0


@dataclass(frozen=True)
class Steps:
    """Steps of a policy in a world, in their order."""

    observations: Array
    """Shape (n, observation), as the env gives them."""
    actions: Array
    """Shape (n, action)."""
    after: Array
    """The next observations, shape (n, observation)."""
    rewards: Array
    """Shape (n,)."""
    terminated: Array
    """Whether the episode ended by itself, shape (n,)."""
    returns: tuple[float, ...]
    """Of the episodes that ended."""
    successes: tuple[bool, ...]
    """Of the same, where the env says."""


def probe(source: Policy, target: World, steps: int, seed: int = 0) -> Probes:
    """Probe a target with a twentieth of a budget.

    Args:
        source: The source policy.
        target: The target.
        steps: The budget.
        seed: Not negative.

    Raises:
        Sim2RealError: The policy does not say its world, or a twentieth of the budget is less than two episodes.
    """
    check_world(source)
    if source.observation_space.shape is None or len(source.observation_space.shape) > 1:
        raise Sim2RealError("probes need observations that are one row of numbers, not a dictionary or pictures.")
    total = int(SHARE * steps)
    chance_steps = int(_CHANCE * total)
    seeds = [derive_seed(seed, f"probe {part}") for part in ("policy", "chance", "source", "classifier")]
    with closing(target.make()) as env:
        acted = take_steps(env, source.predict, total - chance_steps, seeds[0])
        env.action_space.seed(seeds[1])
        by_chance = take_steps(env, lambda _: env.action_space.sample(), chance_steps, seeds[1])
        distance = domain_distance(env, target)
    if not acted.returns or not by_chance.returns:
        raise Sim2RealError(
            f"steps = {steps}: {SHARE:.0%} of that are {total} steps, in which no episode ends; give a larger budget."
        )
    with closing(_source_env(source)) as env:
        at_home = take_steps(env, source.predict, max(_SOURCE_STEPS, len(acted.rewards)), seeds[2])
    return Probes(
        target_steps=total,
        zero_shot_return=float(np.mean(acted.returns)),
        zero_shot_success=float(np.mean(acted.successes)) if acted.successes else None,
        chance_return=float(np.mean(by_chance.returns)),
        source_return=float(np.mean(at_home.returns)) if at_home.returns else float("nan"),
        auc=auc(_inputs(at_home), _inputs(acted), seeds[3]),
        surprise=float(np.mean(np.abs(td_errors(source, acted))) / np.mean(np.abs(td_errors(source, at_home)))),
        domain_distance=distance,
    )


def take_steps(env: Env, act: Callable[[Any], Any], steps: int, seed: int) -> Steps:
    """Take so many steps in an env, from one episode into the next."""
    columns: list[tuple[Any, ...]] = []
    returns, successes, ret = [], [], 0.0
    observation, _ = env.reset(seed=seed)
    for _ in range(steps):
        action = act(observation)
        after, reward, terminated, truncated, info = env.step(action)
        columns.append((observation, action, after, float(reward), terminated))
        ret += float(reward)
        observation = after
        if terminated or truncated:
            returns.append(ret)
            if "is_success" in info:
                successes.append(bool(info["is_success"]))
            ret = 0.0
            observation, _ = env.reset()
    seen: list[Array] = [np.array(column) for column in zip(*columns, strict=True)] or [np.zeros(0)] * 5
    return Steps(seen[0], seen[1], seen[2], seen[3], seen[4], tuple(returns), tuple(successes))


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


def _source_env(source: Policy) -> Env:
    assert source.metadata.world is not None
    domains: Any = source.metadata.domains or {}
    randomizer: RandomizerSpec = domains.get("randomizer", "none")
    env = World.from_dict(source.metadata.world).make(randomizer=randomizer)
    if "state" in domains:
        env.get_wrapper_attr("load_randomizer")(domains["state"])
    return env
