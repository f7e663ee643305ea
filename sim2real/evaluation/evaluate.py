"""Evaluation of one policy in one world, with intervals."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim2real.deployment.bundle import load_policy
from sim2real.deployment.fit import check_fits
from sim2real.deployment.policy import Policy
from sim2real.domains.contract import Env, domain_space, interface
from sim2real.domains.randomizers import RandomizerSpec
from sim2real.domains.targets import find_target
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.rollouts import Episode, Evaluator, Score
from sim2real.evaluation.statistics import mean_interval, proportion_interval
from sim2real.evaluation.trajectories import Trajectory, TrajectoryRecorder, check_dataset, write_minari

Interval = tuple[float, float] | None
"""Ends of a 95 % interval; ``None`` where there is none."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a policy reaches in a world."""

    env: str
    """Gymnasium id."""
    target: str | None
    """Name of the target, ``None`` for a source."""
    domain: Mapping[str, float] | None
    """The domain of every episode; ``None`` where a randomizer drew them."""
    randomizer: RandomizerSpec
    """Where the domains came from, for a source."""
    episodes: int
    """How many episodes."""
    seed: int
    """From which their seeds derive."""
    return_mean: float
    """Mean over episodes of the sum of rewards."""
    return_ci95: Interval
    """Its 95 % interval over episodes."""
    returns: tuple[float, ...]
    """Of each episode; with the same seed, those of two policies or two targets can be compared in pairs."""
    success_rate: float | None
    """Share of episodes that end in success; ``None`` where the env does not say."""
    success_ci95: Interval
    """Its 95 % Wilson interval."""
    length_mean: float
    """Mean control steps of an episode."""
    steps_per_second: float
    """Control steps of policy and env together, on this machine."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, JSON-plain."""
        return asdict(self)


def evaluate(
    policy: Policy | str | Path,
    env: str | World | None = None,
    *,
    target: str | Mapping[str, float] | World | None = None,
    episodes: int = 100,
    seed: int = 0,
    randomizer: RandomizerSpec = "none",
    kwargs: Mapping[str, Any] | None = None,
    domain_file: str | Path | None = None,
    targets_file: str | Path | None = None,
    dataset: str | None = None,
) -> Evaluation:
    """Run a policy, deterministic, and say what it reaches.

    Args:
        policy: The policy, or the path of its bundle or run folder.
        env: Where; the policy's own source world if ``None``.
        target: Name of a target, or a domain; the nominal domain if ``None``.
        episodes: At least 1.
        seed: The same seed gives the same episodes, whatever the policy.
        randomizer: Draws the domains, where there is no target: ``"uniform"`` evaluates in the randomized source.
        kwargs: Keyword arguments of the env.
        domain_file: Domain parameters for an env that has none of its own.
        targets_file: YAML file with more targets.
        dataset: Id of a Minari dataset to write with the episodes, see
            :func:`~sim2real.evaluation.trajectories.write_minari`.

    Raises:
        Sim2RealError: Something given is unknown or out of range, the policy does not fit the env, or the dataset
            exists.
    """
    if dataset is not None:
        check_dataset(dataset)
    recorder = None if dataset is None else TrajectoryRecorder()
    policy, world = _setting(policy, env, target, episodes, seed, randomizer, kwargs, domain_file, targets_file)
    with Evaluator(world, seed=seed, episodes=episodes, randomizer=randomizer) as evaluator:
        check_policy_fits(policy, evaluator.env)
        start = time.perf_counter()
        results = evaluator.run(policy.predict, recorder)
        seconds = time.perf_counter() - start
        domain = dict(world.domain) if world.domain is not None else None
        if domain is None and randomizer == "none":
            domain = domain_space(evaluator.env).nominal()
    if dataset is not None and recorder is not None:
        write_minari(recorder.trajectories, dataset, world, algorithm=policy.algo)
    score = Score.of(results)
    interval, success_interval = intervals(results)
    return Evaluation(
        env=world.env,
        target=world.target,
        domain=domain,
        randomizer=randomizer,
        episodes=episodes,
        seed=seed,
        return_mean=score.return_mean,
        return_ci95=interval,
        returns=tuple(episode.ret for episode in results),
        success_rate=score.success_rate,
        success_ci95=success_interval,
        length_mean=float(np.mean([episode.length for episode in results])),
        steps_per_second=sum(episode.length for episode in results) / seconds,
    )


def intervals(episodes: Sequence[Episode]) -> tuple[Interval, Interval]:
    """Return the 95 % intervals of the mean return and, where the env knows success, of its rate (Wilson's)."""
    mean = mean_interval([episode.ret for episode in episodes])
    returns = (mean.low, mean.high) if mean.low is not None and mean.high is not None else None
    if Score.of(episodes).success_rate is None:
        return returns, None
    rate = proportion_interval(sum(bool(episode.success) for episode in episodes), len(episodes))
    assert rate.low is not None
    assert rate.high is not None
    return returns, (rate.low, rate.high)


def record_trajectories(
    policy: Policy | str | Path,
    env: str | World | None = None,
    *,
    target: str | Mapping[str, float] | World | None = None,
    episodes: int = 10,
    seed: int = 0,
    randomizer: RandomizerSpec = "none",
    kwargs: Mapping[str, Any] | None = None,
    domain_file: str | Path | None = None,
    targets_file: str | Path | None = None,
) -> list[Trajectory]:
    """Run a policy, deterministic, and return everything it saw and did: the episodes of :func:`evaluate`.

    Args:
        policy: See :func:`evaluate`, as for all others.
        env: Where.
        target: Name of a target, or a domain.
        episodes: At least 1.
        seed: The same seed gives the same episodes.
        randomizer: Draws the domains, where there is no target.
        kwargs: Keyword arguments of the env.
        domain_file: Domain parameters for an env that has none of its own.
        targets_file: YAML file with more targets.

    Raises:
        Sim2RealError: See :func:`evaluate`.
    """
    policy, world = _setting(policy, env, target, episodes, seed, randomizer, kwargs, domain_file, targets_file)
    recorder = TrajectoryRecorder()
    with Evaluator(world, seed=seed, episodes=episodes, randomizer=randomizer) as evaluator:
        check_policy_fits(policy, evaluator.env)
        evaluator.run(policy.predict, recorder)
    return recorder.trajectories


def _setting(
    policy: Policy | str | Path,
    env: str | World | None,
    target: str | Mapping[str, float] | World | None,
    episodes: int,
    seed: int,
    randomizer: RandomizerSpec,
    kwargs: Mapping[str, Any] | None,
    domain_file: str | Path | None,
    targets_file: str | Path | None,
) -> tuple[Policy, World]:
    """Check what an evaluation is given, and return the policy and the world it is judged in."""
    if episodes < 1:
        raise Sim2RealError(f"episodes = {episodes} must be at least 1.")
    if seed < 0:
        raise Sim2RealError(f"seed = {seed} must not be negative.")
    policy = policy if isinstance(policy, Policy) else load_policy(policy)
    world = source_world(policy, env, kwargs=kwargs, domain_file=domain_file)
    if target is not None:
        if randomizer != "none":
            raise Sim2RealError(f"target {target!r} is one domain; leave out the randomizer {randomizer!r}.")
        world = find_target(world, target, targets_file)
    return policy, world


def source_world(
    policy: Policy,
    env: str | World | None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    domain_file: str | Path | None = None,
) -> World:
    """Return the world a user names, or the one that the policy was trained in.

    Where the env is the policy's own, its keyword arguments and domain file hold unless others are given.
    """
    recorded = policy.metadata.world
    if isinstance(env, World):
        return env
    if recorded is None:
        if env is None:
            raise Sim2RealError("the policy's bundle names no world; give --env.")
        return World.of(env, kwargs=kwargs, domain_file=domain_file)
    own = World.from_dict(recorded)
    if env is not None and env.rpartition(":")[2] != own.env.rpartition(":")[2]:
        return World.of(env, kwargs=kwargs, domain_file=domain_file)
    given = World.of(env or own.env, kwargs={**own.kwargs, **(kwargs or {})}, domain_file=domain_file)
    if given.domain_file is None and own.domain_file is not None:
        given = World(env=given.env, kwargs=given.kwargs, domain_file=own.domain_file)
    return given


def check_policy_fits(policy: Policy, env: Env) -> None:
    """Refuse an env whose spaces or channels differ from the policy's.

    Raises:
        Sim2RealError: The message names each differing channel and the heterogeneous route.
    """
    check_fits(policy.interface, interface(env))
