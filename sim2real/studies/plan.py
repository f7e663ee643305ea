"""What a study comes to: cells, each a transfer, and the jobs they share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from sim2real.deployment.bundle import load_policy, pack
from sim2real.deployment.policy import Policy
from sim2real.domains.contract import domain_space
from sim2real.domains.randomizers import RandomizerSpec, make_randomizer
from sim2real.domains.targets import find_target
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError, unknown_name
from sim2real.evaluation.evaluate import source_world
from sim2real.evaluation.robustness import check_swept
from sim2real.studies.jobs import Film, Job, Sweep, Training, address_of
from sim2real.studies.study import Faults, Place, Source, Study
from sim2real.studies.video import check_drawn
from sim2real.training.hyperparameters import default_algorithm, resolve_hyperparameters
from sim2real.training.train import TrainingConfig, make_config
from sim2real.transfer.arms import arm_config, compared
from sim2real.transfer.base import TransferMethod, find_method, with_settings
from sim2real.transfer.crossing import acts, check_crossing, crossing
from sim2real.transfer.scratch import Scratch
from sim2real.transfer.space_map import Overrides
from sim2real.transfer.translate import carried_hyperparameters, target_algorithm
from sim2real.transfer.zero_shot import ZeroShot


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One transfer of the grid: a method beside scratch and zero-shot, with paired seeds."""

    labels: Mapping[str, Any]
    """``source``, ``randomizer``, ``algo``, ``target`` and ``method``, as the study names them, and ``steps``, the
    target budget, of which PPO takes whole rollouts."""
    method: TransferMethod
    """The method."""
    base: TrainingConfig
    """The training of a learner from scratch in the target, with the first seed."""
    arms: Mapping[str, Mapping[int, str]]
    """Addresses of the jobs, by arm and seed."""
    sources: Mapping[int, str]
    """Addresses of the source policies, by seed."""
    film: str | None = None
    """Address of its film."""
    film_episodes: int = 0
    """Episodes that it shows."""
    sweeps: tuple[Mapping[str, str], ...] = ()
    """Addresses of sweeps of the same parameters, by arm."""

    @property
    def title(self) -> str:
        """What ``--only`` is compared with: ``source/randomizer/algo/target/method/steps``, where there are such."""
        return "/".join(str(label) for label in self.labels.values() if label is not None)

    @property
    def jobs(self) -> set[str]:
        """Addresses of all that it needs."""
        arms = {address for seeds in self.arms.values() for address in seeds.values()}
        looks = {address for sweep in self.sweeps for address in sweep.values()}
        return arms | looks | set(self.sources.values()) | ({self.film} if self.film else set())


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All cells of a study and all jobs, each behind those that it needs."""

    cells: tuple[Cell, ...]
    jobs: Mapping[str, Job]
    """By address."""
    bundles: Mapping[str, bytes] = field(default_factory=dict)
    """Policies that were there, by address."""
    description: str = ""
    """Of the study."""


def make_plan(study: Study, faults: Faults | None = None) -> Plan:
    """Spell out a study.

    Args:
        study: The study.
        faults: Those that reading it has found, which are told with the others.

    Raises:
        Sim2RealError: An entry cannot be, or two are the same; the message lists all faults.
    """
    planner = _Planner(study, Faults(study.name) if faults is None else faults)
    for name, source in study.sources.items():
        if source.policy is not None:
            planner.carry(name, source)
            continue
        for randomizer, spec in study.randomizers.items():
            for algo in study.algorithms:
                planner.train(name, source, randomizer, spec, algo)
    return planner.finish()


class _Planner:
    def __init__(self, study: Study, faults: Faults) -> None:
        self._study, self._faults = study, faults
        self._read_whole = not faults
        self._jobs: dict[str, Job] = {}
        self._cells: dict[str, Cell] = {}
        self._bundles: dict[str, bytes] = {}
        self._targets: dict[str, World | None] = {}
        self._drawn: set[str] = set()
        self._algos: set[str] = set()
        self._methods: dict[str, type[TransferMethod]] = {}
        for label, (name, _) in study.methods.items():
            with faults.noted(f"methods: {label}"):
                if name in (Scratch.name, ZeroShot.name):
                    raise Sim2RealError(f"{name} is run beside every method; leave it out.")
                self._methods[label] = find_method(name)

    def finish(self) -> Plan:
        if self._read_whole:
            self._check_excluded()
        same: dict[str, str] = {}
        for title, cell in self._cells.items():
            work = json.dumps([cell.arms, cell.method.name, list(cell.sources.values())])
            with self._faults.noted():
                if work in same:
                    raise Sim2RealError(f"{same[work]} and {title} are the same work; remove one.")
            same[work] = title
        self._faults.check()
        if not self._cells:
            raise Sim2RealError(f"{self._study.name}: nothing is left to do; every combination is excluded.")
        return Plan(
            cells=tuple(self._cells.values()),
            jobs=self._jobs,
            bundles=self._bundles,
            description=self._study.description,
        )

    def _check_excluded(self) -> None:
        """Note algorithms that are excluded and that nothing learns with; the other names are known from the file."""
        for entry in self._study.exclude:
            for algo in entry.get("algo", ()):
                with self._faults.noted("exclude"):
                    if algo not in self._algos:
                        raise unknown_name("algo", str(algo), sorted(self._algos))

    def carry(self, name: str, source: Source) -> None:
        """Plan the transfers of a policy that is there."""
        with self._faults.noted(f"source {name}"):
            assert source.policy is not None
            policy = load_policy(source.policy)
            data = pack(policy)
            address = address_of(data)
            self._bundles[address] = data
            labels = {"source": name, "randomizer": None, "algo": policy.algo}
            self._algos.add(policy.algo)
            sources = dict.fromkeys(self._study.seeds, address)
            world = source_world(policy, source.world)
            self._transfers(labels, policy, world, policy.metadata.hyperparameters, sources)

    def train(self, name: str, source: Source, randomizer: str, spec: RandomizerSpec, algo: str | None) -> None:
        """Plan the trainings of a source and its transfers."""
        study, world = self._study, source.world
        assert world is not None
        with self._faults.noted(f"source {name}"):
            algo = default_algorithm(world) if algo is None else algo
            labels = {"source": name, "randomizer": randomizer, "algo": algo}
            self._algos.add(algo)
            overrides = dict(source.hyperparameters)
            self._check_each(f"source {name}", algo, world, overrides)
            with self._faults.noted(f"source {name}"), closing(world.make()) as env:
                make_randomizer(spec, domain_space(env))
            config = make_config(
                world, algo=algo, randomizer=spec, steps=source.steps, seed=study.seeds[0], hyperparameters=overrides
            )
            jobs = {
                seed: Training(
                    title=f"train {name}, {randomizer}, {algo}, seed {seed}", config=replace(config, seed=seed)
                )
                for seed in study.seeds
            }
            before = dict(self._jobs)
            self._jobs |= {job.address: job for job in jobs.values()}
            sources = {seed: job.address for seed, job in jobs.items()}
            if not self._transfers(labels, None, world, config.hyperparameters, sources):
                self._jobs = before

    def _transfers(
        self,
        labels: Mapping[str, Any],
        policy: Policy | None,
        world: World,
        hyperparameters: Mapping[str, Any],
        sources: Mapping[int, str],
    ) -> bool:
        """Plan the transfers of a source; return whether there are any."""
        study, some = self._study, False
        own = study.sources[labels["source"]].targets
        for target, place in study.targets.items():
            if own and target not in own:
                continue
            wanted = [
                {**labels, "target": target, "method": method, "steps": steps}
                for method in study.methods
                for steps in study.sources[labels["source"]].budgets or study.steps
            ]
            wanted = [cell for cell in wanted if not any(_among(cell, entry) for entry in study.exclude)]
            if not wanted:
                continue
            some = True
            with self._faults.noted(f"{labels['source']} into {target}"):
                there = self._target(world, target, place)
                if there is None:
                    continue
                seen = policy.interface if policy is not None else world.interface()
                if policy is None and not hyperparameters.get("asymmetric_critic"):
                    seen = seen._replace(privileged_channels=None)
                methods = {cell["method"]: self._methods.get(cell["method"]) for cell in wanted}
                shown = there.interface()
                maps = {
                    label: crossing(method, seen, shown, place.space_map)
                    for label, method in sorted(methods.items(), key=_for_equal_spaces_first)
                    if method is not None
                }
                self._check_looks(world, there)
                for cell in wanted:
                    if cell["method"] not in maps:
                        continue
                    with self._faults.noted(_place(cell)):
                        joined = maps[cell["method"]]
                        self._cell(cell, world, there, hyperparameters, sources, joined, acts(seen, shown, joined))
        return some

    def _target(self, world: World, name: str, place: Place) -> World | None:
        """Return the world of a target; ``None`` if parameters of its domain cannot be, which are noted then."""
        origin = place.world or world
        key = json.dumps([origin.to_dict(), place.target, str(place.targets_file)])
        if key not in self._targets:
            fits = isinstance(place.target, str) or self._check_domain(origin, name, place.target)
            self._targets[key] = find_target(origin, place.target, place.targets_file) if fits else None
        return self._targets[key]

    def _check_each(self, place: str, algo: str, world: World, overrides: Mapping[str, Any]) -> None:
        """Note every override that cannot be, of which a training would name the first."""
        for name, value in overrides.items():
            with self._faults.noted(place):
                resolve_hyperparameters(algo, world, {name: value})

    def _check_domain(self, world: World, target: str, domain: Mapping[str, float]) -> bool:
        """Note every parameter that cannot be, of which a world would name the first; return whether all can."""
        with closing(world.make()) as env:
            space = domain_space(env)
        fit = 0
        for name, value in domain.items():
            with self._faults.noted(f"target {target}"):
                space.complete({name: value})
                fit += 1
        return fit == len(domain)

    def _check_looks(self, world: World, there: World) -> None:
        """Note what cannot be swept in a target, and what cannot be filmed there or in the source."""
        study = self._study
        with closing(there.make()) as env:
            space = domain_space(env)
        for sweep in study.sweeps:
            with self._faults.noted("robustness"):
                check_swept(space, sweep)
        for filmed in (world, there) if study.film_episodes else ():
            key = json.dumps(filmed.to_dict())
            if key not in self._drawn:
                self._drawn.add(key)
                with self._faults.noted("videos"):
                    check_drawn(filmed)

    def _cell(
        self,
        labels: Mapping[str, Any],
        world: World,
        there: World,
        hyperparameters: Mapping[str, Any],
        sources: Mapping[int, str],
        space_map: Overrides | None,
        zero_shot: bool,
    ) -> None:
        study, algo = self._study, labels["algo"]
        if space_map is not None:
            algo = target_algorithm(labels["algo"], there.interface())
            hyperparameters = carried_hyperparameters(hyperparameters, labels["algo"], algo)
        method_class, (_, settings) = self._methods[labels["method"]], study.methods[labels["method"]]
        chosen, overrides = with_settings(method_class, {**study.hyperparameters, **settings}, algo)
        budget = labels["steps"]
        self._check_each(_place(labels), algo, there, overrides)
        base = make_config(
            there,
            algo=algo,
            randomizer="none",
            steps=budget,
            seed=study.seeds[0],
            hyperparameters=overrides,
            eval_every=study.eval_every,
            eval_episodes=study.eval_episodes,
        )
        chosen.check(base, hyperparameters)
        if space_map is not None:
            check_crossing(chosen)
        methods = compared(chosen, zero_shot=zero_shot)
        arms: dict[str, dict[int, str]] = {}
        for method in methods:
            arms[method.name] = {}
            for seed, source in sources.items():
                config = replace(arm_config(base, method, hyperparameters, source, space_map), seed=seed)
                title = self._title(labels, method, chosen, seed)
                origin = source if method.uses_source else None
                along = space_map if method.uses_source else None
                job = Training(title=title, config=config, method=method, source=origin, space_map=along)
                self._jobs.setdefault(job.address, job)
                arms[method.name][seed] = job.address
        labels = {**labels, "steps": base.steps}
        # What does not learn has no policy of its own, unless it was translated.
        first = study.seeds[0]
        policies = {
            method.name: arms[method.name][first] if method.learns or space_map is not None else sources[first]
            for method in methods
        }
        cell = Cell(
            labels=dict(labels),
            method=chosen,
            base=base,
            arms=arms,
            sources=dict(sources),
            film=self._film(labels, (sources[first], world), there, policies),
            film_episodes=study.film_episodes,
            sweeps=tuple(self._sweep(labels, there, policies, names) for names in study.sweeps),
        )
        if cell.title in self._cells:
            if base.steps < budget:
                raise Sim2RealError(
                    f"another budget is {base.steps} steps, too: {base.algo} learns from whole rollouts."
                )
            raise Sim2RealError(f"{cell.title} stands for two cells; give their sources or targets other names.")
        self._cells[cell.title] = cell

    def _film(
        self, labels: Mapping[str, Any], source: tuple[str, World], there: World, policies: Mapping[str, str]
    ) -> str | None:
        """Plan the film of a cell; return its address."""
        study = self._study
        if not study.film_episodes:
            return None
        target = labels["target"]
        actors = {"source policy in its source": source}
        if ZeroShot.name in policies:
            actors[f"zero-shot in {target}"] = (policies[ZeroShot.name], there)
        for name, policy in policies.items():
            if name != ZeroShot.name:
                learned = "from scratch" if name == Scratch.name else labels["method"]
                actors[f"{learned} in {target}, {labels['steps']:,} steps"] = (policy, there)
        title = f"film of {self._route(labels)}, {labels['method']}, {labels['steps']:,} steps"
        job = Film(title=title, actors=actors, episodes=study.film_episodes, seed=study.seeds[0])
        self._jobs.setdefault(job.address, job)
        return job.address

    def _sweep(
        self, labels: Mapping[str, Any], there: World, policies: Mapping[str, str], names: tuple[str, ...]
    ) -> dict[str, str]:
        """Plan a sweep of every policy of a cell; return their addresses by arm."""
        study, found = self._study, {}
        for arm, policy in policies.items():
            words = arm if arm in (Scratch.name, ZeroShot.name) else labels["method"]
            job = Sweep(
                title=f"sweep of {' and '.join(names)}, {words} of {self._route(labels)}, {labels['steps']:,} steps",
                policy=policy,
                world=there,
                parameters=names,
                points=study.sweep_points,
                episodes=study.sweep_episodes,
                seed=study.seeds[0],
            )
            self._jobs.setdefault(job.address, job)
            found[arm] = job.address
        return found

    @staticmethod
    def _route(labels: Mapping[str, Any]) -> str:
        parts = [labels["source"], *([labels["randomizer"]] if labels["randomizer"] else []), labels["algo"]]
        return f"{', '.join(parts)} in {labels['target']}"

    @staticmethod
    def _title(labels: Mapping[str, Any], method: TransferMethod, chosen: TransferMethod, seed: int) -> str:
        name = labels["method"] if method is chosen else method.name
        parts = [labels["source"], *([labels["randomizer"]] if labels["randomizer"] else []), labels["algo"]]
        origin = f" from {', '.join(parts)}" if method.uses_source else f", {labels['algo']}"
        budget = f", {labels['steps']:,} steps" if method.learns else ""
        return f"{name}{origin} in {labels['target']}{budget}, seed {seed}"


def _for_equal_spaces_first(entry: tuple[str, type[TransferMethod] | None]) -> bool:
    """Return where a method stands among others, so that the message of those that cannot cross is the one told."""
    return entry[1] is not None and entry[1].crosses_spaces


def _among(cell: Mapping[str, Any], entry: Mapping[str, Sequence[str | int]]) -> bool:
    """Return whether a cell is one of those that are excluded."""
    return all(cell[key] in values for key, values in entry.items())


def _place(labels: Mapping[str, Any]) -> str:
    """Return where in a study a fault is, for messages."""
    return f"{labels['source']} into {labels['target']}: method {labels['method']}, {labels['steps']} steps"
