"""A search as its users write it: a training in which some values are ranges, and what is best.

::

    description: how fast can a Panda learn to reach?
    env: "sim2real_envs:sim2real/PandaReach-v0"    # also kwargs, domain_file and algo, as for a training
    steps: 4000
    hyperparameters:               # searched, or fixed; those left out are the tuned ones
      learning_rate: {low: 1.0e-4, high: 3.0e-3, log: true}
      net_arch: {choices: [[64, 64], [128, 128]]}
      batch_size: 256
    randomizer:                    # as for a training; uniform if left out
      name: uniform
      ranges:
        payload: [0.0, {low: 0.1, high: 1.5}]      # how heavy at most?
        motor_strength: {half_width: {low: 0.0, high: 0.3}}
    objective:                     # in validation worlds, which are no test worlds any more
      targets: [mild]              # as in a study; left out: the source, its parameters drawn as randomizer says
      measure: success             # or return; success if left out, where the world says so
      episodes: 50                 # in each of them
    trials: 20
    seeds: 2                       # of each trial, the same in all
    sampler: tpe                   # or random

``eval_every`` and ``eval_episodes`` are those of a training, which serve its curve alone; by default it is evaluated
before the first step and after the last. Paths are relative to the file's folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from sim2real.deployment.fit import check_fits
from sim2real.deployment.policy import Policy
from sim2real.domains.contract import domain_space
from sim2real.domains.randomizers import RandomizerSpec, check_steady, make_randomizer
from sim2real.domains.space import DomainSpace
from sim2real.domains.targets import find_target
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError, check_keys, unknown_name
from sim2real.evaluation.evaluate import evaluate
from sim2real.evaluation.rollouts import Evaluator
from sim2real.files import read_yaml
from sim2real.seeding import derive_seed
from sim2real.studies.search_space import (
    Dimension,
    corners,
    dimensions,
    fill,
    fill_randomizer,
    read_hyperparameter,
    read_randomizer,
    usual,
)
from sim2real.studies.study import Faults, Reader
from sim2real.training.hyperparameters import default_algorithm, resolve_hyperparameters
from sim2real.training.train import TrainingConfig, make_config

SAMPLERS = ("tpe", "random")
"""What chooses the values of a trial; the first is the default."""
MEASURES = ("success", "return")
"""What can be made as large as possible."""

_KEYS = (
    "description",
    "env",
    "kwargs",
    "domain_file",
    "algo",
    "steps",
    "eval_every",
    "eval_episodes",
    "hyperparameters",
    "randomizer",
    "objective",
    "trials",
    "seeds",
    "sampler",
)
_OBJECTIVE_KEYS = ("targets", "randomizer", "measure", "episodes")
_SOURCE = "source"
_EPISODES = 50


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What is made as large as possible: the mean over validation worlds, and over the seeds of a trial."""

    worlds: Mapping[str, World]
    """Validation worlds by name: targets, or the source alone."""
    randomizer: RandomizerSpec
    """Draws the domains of the source's episodes; ``"none"`` for targets."""
    measure: str
    """``"success"`` or ``"return"``."""
    episodes: int
    """In each world."""
    seed: int
    """Of the episodes, which are the same for every policy; no other evaluation of the library plays them."""

    def score(self, policy: Policy | str | Path) -> dict[str, float | None]:
        """Return the mean ``success`` and ``return`` of a policy over the worlds."""
        found = [
            evaluate(
                policy,
                world,
                target=None if world.domain is None else world,
                randomizer=self.randomizer,
                episodes=self.episodes,
                seed=self.seed,
            )
            for world in self.worlds.values()
        ]
        successes = [one.success_rate for one in found if one.success_rate is not None]
        return {
            "success": float(np.mean(successes)) if successes else None,
            "return": float(np.mean([one.return_mean for one in found])),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, JSON-plain."""
        return {**vars(self), "worlds": {name: world.to_dict() for name, world in self.worlds.items()}}


@dataclass(frozen=True, kw_only=True)
class Search:
    """A training in which some values are open, and what is best."""

    name: str
    """Of the file, for messages."""
    description: str
    """In words."""
    world: World
    """Where it trains."""
    domain_file: Path | None
    """Where its parameters come from, if not from the env."""
    algo: str
    """Of the trainings."""
    steps: int | None
    """Env steps of a training; the tuned number if ``None``."""
    eval_every: int | None
    """Steps between two points of its curve; those at its start and its end if ``None``."""
    eval_episodes: int
    """Episodes of such a point."""
    hyperparameters: Mapping[str, Any]
    """Overrides of the tuned ones; some are dimensions."""
    randomizer: Any
    """Description in which some values are dimensions."""
    space: DomainSpace
    """The domain parameters of the world."""
    objective: Objective
    """What is best."""
    trials: int
    """How many are made."""
    seeds: tuple[int, ...]
    """Of each of them."""
    sampler: str
    """What chooses their values."""

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What is searched."""
        return (*dimensions(self.hyperparameters), *dimensions(self.randomizer))

    def overrides(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyperparameters that are not the tuned ones, with values in the place of dimensions."""
        return dict(fill(self.hyperparameters, values))

    def domains(self, values: Mapping[str, Any]) -> RandomizerSpec:
        """Return the randomizer with values in the place of dimensions."""
        return fill_randomizer(self.randomizer, values, self.space)

    def config(self, values: Mapping[str, Any]) -> TrainingConfig:
        """Return the training of the first seed.

        Args:
            values: Of all dimensions, by name.

        Raises:
            Sim2RealError: The values do not go together.
        """
        config = make_config(
            self.world,
            algo=self.algo,
            randomizer=self.domains(values),
            steps=self.steps,
            seed=self.seeds[0],
            hyperparameters=self.overrides(values),
            eval_every=self.eval_every,
            eval_episodes=self.eval_episodes,
        )
        return config if self.eval_every is not None else replace(config, eval_every=config.steps)

    @property
    def training_steps(self) -> int:
        """Env steps of a training; for PPO, whose rollouts depend on what is searched, about so many."""
        return self.config({dimension.name: dimension.values[0] for dimension in self.dimensions}).steps

    def tuned(self) -> dict[str, Any]:
        """Return the labels of what one would train with unsearched, where that is among what is searched."""
        tuned = resolve_hyperparameters(self.algo, self.world)
        known = {**tuned, **usual(self.randomizer, self.space), "randomizer": "uniform"}
        found = {one.name: one.label(known[one.name]) for one in self.dimensions if one.name in known}
        return {name: label for name, label in found.items() if label is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return everything that its trials follow from, except how many they are; JSON-plain."""
        first = {dimension.name: dimension.values[0] for dimension in self.dimensions}
        content = {
            "training": {
                **self.config(first).to_dict(),
                "hyperparameters": resolve_hyperparameters(self.algo, self.world),
            },
            "hyperparameters": self.hyperparameters,
            "randomizer": self.randomizer,
            "objective": self.objective.to_dict(),
            "seeds": self.seeds,
            "sampler": self.sampler,
        }
        return dict(json.loads(json.dumps(content, default=asdict)))


def read_search(path: str | Path) -> Search:
    """Read a search and check it in its worlds.

    Raises:
        Sim2RealError: The file cannot be read, or entries in it cannot be; the message lists them all.
    """
    path = Path(path)
    content, faults = read_yaml(path), Faults(path.name)
    world: World | None = None
    with faults.noted():
        check_keys(content, _KEYS, "search")
    read = Reader(content, path.parent, faults)
    with faults.noted():
        if not isinstance(content.get("env"), str):
            raise Sim2RealError("env is missing; say where it trains.")
        if not isinstance(content.get("domain_file", ""), str):
            raise Sim2RealError(f"domain_file = {content['domain_file']!r} must be a path.")
        world = read.world(content)
    hyperparameters = {}
    for name, entry in read.mapping(content, "hyperparameters", "search").items():
        with faults.noted("hyperparameters"):
            hyperparameters[name] = read_hyperparameter(name, entry)
    randomizer = faults.attempt(lambda: read_randomizer(content.get("randomizer", "uniform")), "uniform")
    sampler, trials = content.get("sampler", SAMPLERS[0]), read.whole(content, "trials", 1, needed=True)
    with faults.noted():
        if sampler not in SAMPLERS:
            raise unknown_name("sampler", sampler, SAMPLERS)
    aims = read.mapping(content, "objective", "search")
    with faults.noted():
        check_keys(aims, _OBJECTIVE_KEYS, "objective")
        if "targets" in aims and "randomizer" in aims:
            raise Sim2RealError("objective: give targets, or the randomizer of the source, not both.")
        if aims.get("measure") not in (None, *MEASURES):
            raise unknown_name("measure", aims["measure"], MEASURES)
    episodes = read.whole(aims, "episodes", _EPISODES)
    eval_every, eval_episodes = read.whole(content, "eval_every", None), read.whole(content, "eval_episodes", 20)
    seeds = read.seeds()
    faults.check()
    with faults.noted():
        if not [*dimensions(hyperparameters), *dimensions(randomizer)]:
            raise Sim2RealError("nothing is searched; give a hyperparameter low and high, or choices.")
    assert world is not None
    space = faults.attempt(lambda: _space(world), DomainSpace())
    faults.check()
    worlds = dict(_worlds(world, Reader(aims, path.parent, faults), faults))
    objective = Objective(
        worlds=worlds or {_SOURCE: world},
        randomizer="none" if worlds else aims.get("randomizer", "uniform"),
        measure="",
        episodes=episodes,
        seed=derive_seed(seeds[0], "validation episodes of a search"),
    )
    domain_file = content.get("domain_file")
    search = Search(
        name=path.name,
        description=str(content.get("description") or ""),
        world=world,
        domain_file=None if domain_file is None else path.parent / domain_file,
        algo=content.get("algo") or default_algorithm(world),
        steps=content.get("steps"),
        eval_every=eval_every,
        eval_episodes=eval_episodes,
        hyperparameters=hyperparameters,
        randomizer=randomizer,
        space=space,
        objective=objective,
        trials=trials,
        seeds=seeds,
        sampler=sampler,
    )
    _check_values(search, faults)
    faults.check()
    measure = faults.attempt(lambda: _measure(objective, aims.get("measure")), "")
    faults.check()
    return replace(search, objective=replace(objective, measure=measure))


def _space(world: World) -> DomainSpace:
    with closing(world.make()) as env:
        return domain_space(env)


def _worlds(world: World, read: Reader, faults: Faults) -> Iterator[tuple[str, World]]:
    for name, place in read.entries("targets", read.place).items():
        with faults.noted(f"objective: target {name}"):
            there = find_target(place.world or world, place.target, place.targets_file)
            check_fits(world.interface(), there.interface())
            yield name, there


def _check_values(search: Search, faults: Faults) -> None:
    """Try the ends of every range and every choice."""
    for values in corners(search.dimensions):
        with faults.noted():
            resolve_hyperparameters(search.algo, search.world, search.overrides(values))
        with faults.noted("randomizer"):
            make_randomizer(search.domains(values), search.space)
    faults.check()
    for side in (0, -1):
        with faults.noted():
            _check_learns(search.config({dimension.name: dimension.values[side] for dimension in search.dimensions}))
    with faults.noted("objective"):
        check_steady(search.objective.randomizer)
        make_randomizer(search.objective.randomizer, search.space)


def _check_learns(config: TrainingConfig) -> None:
    """Refuse a training that ends before anything is learned, since the best of such trials would mean nothing."""
    starts = config.hyperparameters.get("learning_starts", 0)
    if config.steps <= starts:
        raise Sim2RealError(
            f"steps = {config.steps} end before anything is learned, since learning_starts = {starts}; raise steps."
        )


def _at_random(space: spaces.Space[Any], _observations: Any) -> Any:
    return np.array([space.sample()])


def _measure(objective: Objective, wanted: str | None) -> str:
    """Return what is measured: success only where an episode, played at random, says whether it succeeded."""
    if wanted == "return":
        return wanted
    for name, world in objective.worlds.items():
        with Evaluator(world, seed=0, episodes=1, randomizer=objective.randomizer) as evaluator:
            space = evaluator.env.action_space
            space.seed(0)
            episode = evaluator.run(partial(_at_random, space))[0]
        if episode.success is None:
            if wanted is None:
                return "return"
            raise Sim2RealError(f"objective: {world.env} does not say success ({name}); set measure: return.")
    return "success"
