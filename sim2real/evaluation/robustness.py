"""Robustness: how a policy does as one or two parameters of its world go from one end of their range to the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim2real.deployment.bundle import load_policy
from sim2real.deployment.policy import Policy
from sim2real.domains.contract import domain_space
from sim2real.domains.randomizers import Adaptive, make_randomizer
from sim2real.domains.space import DomainSpace, Parameter, finite_number
from sim2real.domains.targets import find_target
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError, unknown_name
from sim2real.evaluation.evaluate import Interval, check_policy_fits, intervals, source_world
from sim2real.evaluation.rollouts import Evaluator, Score

_TAIL = 0.1  # of the cells, for the worst decile


@dataclass(frozen=True, kw_only=True)
class Swept:
    """One parameter of a sweep."""

    name: str
    """The parameter."""
    unit: str
    """Its unit."""
    values: tuple[float, ...]
    """What it is set to, evenly spaced from the smallest that the world accepts to the largest."""
    nominal: float
    """Its nominal value."""
    train: tuple[float, float] | None
    """What the training of the policy drew from; ``None`` where that is not known, or was one value only."""
    target: float
    """Its value in the world whose other parameters stay as they are."""


@dataclass(frozen=True, kw_only=True)
class SweptCell:
    """What a policy reaches at one value of the parameter, or at one pair of values."""

    values: tuple[float, ...]
    """Of the parameters, in their order."""
    return_mean: float
    """Mean return."""
    return_ci95: Interval
    """Its 95 % interval over episodes; ``None`` for one episode."""
    returns: tuple[float, ...]
    """Return of each episode; the same position is the same initial state in every cell."""
    success_rate: float | None
    """Success rate; ``None`` where the env does not say."""
    success_ci95: Interval
    """Wilson's 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """A sweep: every value of one parameter, or every pair of values of two, the last running fastest."""

    env: str
    """Id of the env."""
    target: str | None
    """Name of the target; ``None`` for the nominal world."""
    parameters: tuple[Swept, ...]
    """One or two."""
    episodes: int
    """In each cell."""
    seed: int
    """From which those of the episodes derive."""
    cells: tuple[SweptCell, ...]
    """Every value or pair of values."""

    @property
    def scores(self) -> list[float]:
        """Success rate of every cell, or its mean return where the env knows no success."""
        rates = [cell.success_rate for cell in self.cells]
        return [cell.return_mean if rate is None else rate for cell, rate in zip(self.cells, rates, strict=True)]

    @property
    def knows_success(self) -> bool:
        """Whether the scores are success rates."""
        return all(cell.success_rate is not None for cell in self.cells)

    @property
    def mean(self) -> float:
        """Mean score over the cells."""
        return float(np.mean(self.scores))

    @property
    def worst_decile(self) -> float:
        """Mean score over the worst tenth of the cells, one at least: the conditional value at risk at 10 %."""
        count = max(1, math.floor(_TAIL * len(self.cells)))
        return float(np.mean(sorted(self.scores)[:count]))

    @property
    def worst(self) -> float:
        """The smallest score."""
        return min(self.scores)

    def to_dict(self) -> dict[str, Any]:
        """Return it JSON-plain, with its summary; the inverse of :meth:`from_dict`."""
        summary = {"mean": self.mean, "worst_decile": self.worst_decile, "worst": self.worst}
        return {**asdict(self), "measure": "success" if self.knows_success else "return", **summary}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Robustness:
        """Return what :meth:`to_dict` described.

        Raises:
            Sim2RealError: Something is missing or of the wrong type.
        """
        try:
            parameters = [
                Swept(**{**entry, "values": tuple(entry["values"]), "train": _pair(entry["train"])})
                for entry in content["parameters"]
            ]
            cells = [
                SweptCell(
                    values=tuple(finite_number(value, "values") for value in entry["values"]),
                    return_mean=finite_number(entry["return_mean"], "return_mean"),
                    return_ci95=_pair(entry["return_ci95"]),
                    returns=tuple(entry["returns"]),
                    success_rate=entry["success_rate"],
                    success_ci95=_pair(entry["success_ci95"]),
                )
                for entry in content["cells"]
            ]
            fields = {name: content[name] for name in ("env", "target", "episodes", "seed")}
        except (KeyError, TypeError, ValueError) as error:
            raise Sim2RealError(f"no sweep: {type(error).__name__}: {error}.") from None
        if not cells or len(cells) != math.prod(len(parameter.values) for parameter in parameters):
            raise Sim2RealError(f"no sweep: {len(cells)} cells do not fill its values.")
        return cls(**fields, parameters=tuple(parameters), cells=tuple(cells))


def sweep(
    policy: Policy | str | Path,
    env: str | World | None = None,
    *,
    parameters: Sequence[str],
    target: str | Mapping[str, float] | World | None = None,
    points: int = 7,
    episodes: int = 20,
    seed: int = 0,
    kwargs: Mapping[str, Any] | None = None,
    domain_file: str | Path | None = None,
    targets_file: str | Path | None = None,
    listener: Callable[[int], None] | None = None,
) -> Robustness:
    """Run a policy, deterministic, at every value of one parameter or every pair of values of two.

    Args:
        policy: The policy, or the path of its bundle or run folder.
        env: Where; the policy's own source world if ``None``.
        parameters: One or two names; they go from the smallest to the largest value that the world accepts.
        target: What the other parameters are; the nominal domain if ``None``. A world with a domain has them already.
        points: Values of each parameter, at least 2: both ends are among them.
        episodes: In each cell, at least 1.
        seed: The same seed gives the same episodes, in every cell and for every policy.
        kwargs: Keyword arguments of the env.
        domain_file: Domain parameters for an env that has none of its own.
        targets_file: YAML file with more targets.
        listener: Told how many episodes are done.

    Raises:
        Sim2RealError: Something given is unknown or out of range, or the policy does not fit the env.
    """
    for name, number, least in (("points", points, 2), ("episodes", episodes, 1), ("seed", seed, 0)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise Sim2RealError(f"{name} = {number!r} must be a whole number of at least {least}.")
    policy = policy if isinstance(policy, Policy) else load_policy(policy)
    world = source_world(policy, env, kwargs=kwargs, domain_file=domain_file)
    if target is not None:
        world = find_target(world, target, targets_file)
    with closing(world.make()) as made:
        check_policy_fits(policy, made)
        space = domain_space(made)
    here = {**space.nominal(), **(world.domain or {})}
    trained = _training_ranges(policy)
    swept = [_swept(space[name], name, points, here[name], trained) for name in check_swept(space, parameters)]
    cells = []
    for values in itertools.product(*(parameter.values for parameter in swept)):
        cells.append(_cell(policy, world, dict(zip(parameters, values, strict=True)), episodes, seed))
        if listener is not None:
            listener(episodes * len(cells))
    return Robustness(
        env=world.env,
        target=world.target,
        parameters=tuple(swept),
        episodes=episodes,
        seed=seed,
        cells=tuple(cells),
    )


def check_swept(space: DomainSpace, parameters: Sequence[str]) -> Sequence[str]:
    """Return the names of one or two different parameters that can be swept.

    Raises:
        Sim2RealError: They are not that; the message names what is wrong.
    """
    if isinstance(parameters, str) or not 1 <= len(parameters) <= 2:
        raise Sim2RealError(f"parameters = {parameters!r} must be one name or two, in a list.")
    if len(set(parameters)) < len(parameters):
        raise Sim2RealError(f"parameters = {list(parameters)!r}: a name stands twice.")
    for name in parameters:
        if name not in space:
            raise unknown_name("parameter", name, space)
        if space[name].low == space[name].high:
            raise Sim2RealError(f"parameter {name!r} can only be {space[name].low:g}; there is nothing to sweep.")
    return parameters


def _training_ranges(policy: Policy) -> dict[tuple[str, str], tuple[float, float]]:
    """Return what the training of a policy drew each parameter from, at its end, by its name and unit."""
    spec, described, state = ((policy.metadata.domains or {}).get(name) for name in ("randomizer", "space", "state"))
    if spec is None or described is None:
        return {}
    space = DomainSpace(described)
    randomizer = make_randomizer(spec, space)
    if isinstance(randomizer, Adaptive):
        if state is None:
            return {}
        randomizer.load(state)
    ranges = randomizer.ranges
    return {(name, space[name].unit): (low, high) for name, (low, high) in ranges.items() if low < high}


def _swept(
    parameter: Parameter,
    name: str,
    points: int,
    target: float,
    trained: Mapping[tuple[str, str], tuple[float, float]],
) -> Swept:
    return Swept(
        name=name,
        unit=parameter.unit,
        values=tuple(float(value) for value in np.linspace(parameter.low, parameter.high, points)),
        nominal=parameter.nominal,
        train=trained.get((name, parameter.unit)),
        target=target,
    )


def _cell(policy: Policy, world: World, values: Mapping[str, float], episodes: int, seed: int) -> SweptCell:
    there = world.with_domain({**(world.domain or {}), **values}, world.target or "swept")
    with Evaluator(there, seed=seed, episodes=episodes) as evaluator:
        played = evaluator.run(policy.predict)
    score = Score.of(played)
    returns, success = intervals(played)
    return SweptCell(
        values=tuple(values.values()),
        return_mean=score.return_mean,
        return_ci95=returns,
        returns=tuple(episode.ret for episode in played),
        success_rate=score.success_rate,
        success_ci95=success,
    )


def _pair(value: Any) -> Interval:
    return None if value is None else (finite_number(value[0], "interval"), finite_number(value[1], "interval"))
