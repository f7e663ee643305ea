"""Whether an env keeps the whole contract, in one page: what ``sim2real check-env`` prints."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from sim2real.domains import domain_checks, env_checks
from sim2real.domains.channels import Channel
from sim2real.domains.contract import action_channels, domain_space, observation_channels
from sim2real.domains.env_checks import Outcome, Status, Subject, one_line
from sim2real.domains.space import DomainSpace, Parameter
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError

if TYPE_CHECKING:
    from rich.console import Group

NO_PARAMETERS = (
    "no domain parameters; name some attributes in a domain file, like "
    "length: {path: unwrapped.length, nominal: 0.5, low: 0.25, high: 1.0}"
)

# In this order: a check may use what an earlier one found out.
_ENV_CHECKS: dict[str, Callable[[Subject], Outcome]] = {
    "Gymnasium's checker": env_checks.gymnasium_checker,
    "Stable-Baselines3's checker": env_checks.sb3_checker,
    "channels": env_checks.channels_fit,
    "targets": env_checks.targets_fit,
    "episodes end": env_checks.episodes_end,
    "same seed": env_checks.same_seed,
    "same seed, other process": env_checks.other_process,
    "same seed, after other episodes": env_checks.after_other_episodes,
}
_DOMAIN_CHECKS: dict[str, Callable[[Subject], Outcome]] = {
    "set and read back": domain_checks.read_back,
    "takes effect at reset": domain_checks.waits_for_reset,
    "domain of one episode": domain_checks.one_episode_domain,
    "domain in info": domain_checks.info_domain,
    "refuses bad values": domain_checks.refusals,
    "effect": domain_checks.effect,
}
_LAST_CHECKS: dict[str, Callable[[Subject], Outcome]] = {
    "pickle": env_checks.pickling,
    "close twice": env_checks.double_close,
    "speed": env_checks.speed,
}


@dataclass(frozen=True)
class Check:
    """One check and what came out."""

    name: str
    """What was checked, in a few words."""
    status: Status
    """A warning may be lived with, an error may not; ``skipped`` where there was nothing to check."""
    detail: str = ""
    """One line: what was shown, or what is wrong and how to mend it."""


@dataclass(frozen=True)
class ParameterRow:
    """One domain parameter and what the checks showed of it."""

    name: str
    parameter: Parameter
    read_back: Outcome
    """Whether ``get_domain`` reads what was set."""
    effect: Outcome
    """Whether it moves the trajectory, from which step on, and how far at most: in % of the range that an observed
    number has along the nominal trajectory, or absolute for a number that is constant there."""


@dataclass(frozen=True, kw_only=True)
class EnvReport:
    """What :func:`check_env` found."""

    env: str
    """Gymnasium id of the world."""
    observation_space: str
    action_space: str
    checks: tuple[Check, ...]
    parameters: tuple[ParameterRow, ...]
    observation_channels: tuple[Channel, ...] | None
    action_channels: tuple[Channel, ...] | None
    steps_per_second: float | None
    """Control steps a second in one process under random actions; ``None`` if it could not be measured."""

    @property
    def ok(self) -> bool:
        """Whether no check ended in an error."""
        return not any(check.status == "error" for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the report JSON-plain."""
        space = DomainSpace({row.name: row.parameter for row in self.parameters}).to_dict()
        found = {row.name: {"read_back": row.read_back[0], "effect": row.effect[0]} for row in self.parameters}
        return {
            "env": self.env,
            "ok": self.ok,
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "checks": [{"name": c.name, "status": c.status, "detail": c.detail} for c in self.checks],
            "parameters": {name: fields | found[name] for name, fields in space.items()},
            "observation_channels": _plain(self.observation_channels),
            "action_channels": _plain(self.action_channels),
            "steps_per_second": self.steps_per_second,
        }


def check_env(world: World | str, *, seed: int = 0, steps: int = 100) -> EnvReport:
    """Check that an env keeps Gymnasium's interface and the contract of domain parameters.

    The trajectories that are compared are bitwise digests of observations, rewards and flags. A check that raises is
    an error with the message; the others go on.

    Args:
        world: The world, or the Gymnasium id of its env.
        seed: Seed of resets and actions.
        steps: Length of the trajectories that are compared [control steps].

    Raises:
        Sim2RealError: The env is unknown or cannot be made, its domain space is none, or ``seed`` or ``steps`` is out
            of range.
    """
    if steps < 1:
        raise Sim2RealError(f"steps = {steps} must be at least 1.")
    if seed < 0:
        raise Sim2RealError(f"seed = {seed} must not be negative.")
    world = World.of(world)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the two checkers are collected there
        subject, description = _describe(world, seed, steps)
        checks = [_run(name, check, subject) for name, check in _ENV_CHECKS.items()]
        if subject.space:
            checks += [_run(name, check, subject) for name, check in _DOMAIN_CHECKS.items()]
        else:
            checks += [Check(name, "skipped", NO_PARAMETERS) for name in _DOMAIN_CHECKS]
        checks += [_run(name, check, subject) for name, check in _LAST_CHECKS.items()]
    unknown: Outcome = ("skipped", "not checked")
    rows = (
        ParameterRow(name, parameter, subject.read_back.get(name, unknown), subject.effect.get(name, unknown))
        for name, parameter in subject.space.items()
    )
    return EnvReport(
        env=world.env,
        checks=tuple(checks),
        parameters=tuple(rows),
        steps_per_second=subject.steps_per_second,
        **description,
    )


def _describe(world: World, seed: int, steps: int) -> tuple[Subject, dict[str, Any]]:
    try:
        env = world.make()
    except Sim2RealError:
        raise
    except Exception as error:
        raise Sim2RealError(f"env {world.env!r} cannot be made: {one_line(error)}") from error
    space = domain_space(env)
    if not isinstance(space, DomainSpace):
        raise Sim2RealError(f"env {world.env!r}: domain_space must be a DomainSpace, got {space!r}.")
    channels = {"observation_channels": observation_channels(env), "action_channels": action_channels(env)}
    description: dict[str, Any] = {
        "observation_space": _short(env.observation_space),
        "action_space": _short(env.action_space),
        **{side: named if _are_channels(named) else None for side, named in channels.items()},
    }
    with suppress(Exception):  # closing has a check of its own
        env.close()
    return Subject(world=world, seed=seed, steps=steps, space=space), description


def _short(space: gym.Space[Any]) -> str:
    if isinstance(space, gym.spaces.Dict):
        return f"Dict({', '.join(f'{key}: {_short(part)}' for key, part in space.items())})"
    return f"Box{space.shape} {space.dtype}" if isinstance(space, gym.spaces.Box) else str(space)


def _are_channels(named: tuple[Any, ...] | None) -> bool:
    return named is not None and all(isinstance(channel, Channel) for channel in named)


def _run(name: str, check: Callable[[Subject], Outcome], subject: Subject) -> Check:
    try:
        return Check(name, *check(subject))
    except Exception as error:  # whatever the env raises is a finding
        return Check(name, "error", one_line(error))


def _plain(channels: tuple[Channel, ...] | None) -> list[dict[str, Any]] | None:
    if channels is None:
        return None
    return [{"name": c.name, "width": c.width, "unit": c.unit} for c in channels]


_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "error": "[bold red]ERROR[/]", "skipped": "[dim]–[/]"}


def render(report: EnvReport) -> Group:
    """Return the report as one page for a terminal, to be printed with rich."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    spaces = Table.grid(padding=(0, 2))
    for side, space, channels in (
        ("observation", report.observation_space, report.observation_channels),
        ("action", report.action_space, report.action_channels),
    ):
        spaces.add_row(side, escape(space))
        if channels is not None:
            spaces.add_row("", escape(", ".join(map(str, channels))))
    checks = Table("check", "", "what was found", box=SIMPLE_HEAD)
    for check in report.checks:
        if check.detail != NO_PARAMETERS:
            checks.add_row(check.name, _MARKS[check.status], escape(check.detail))
    parts: list[Any] = [Text(report.env, style="bold"), spaces, checks]
    if report.parameters:
        table = Table(
            "parameter", "nominal", "bounds", "training", "unit", "read back", "effect from step, size", box=SIMPLE_HEAD
        )
        for row in report.parameters:
            p = row.parameter
            table.add_row(
                escape(row.name),
                f"{p.nominal:g}",
                f"[{p.low:g}, {p.high:g}]",
                f"{p.operator}U({p.train_range[0]:g}, {p.train_range[1]:g})",
                escape(p.unit),
                _MARKS[row.read_back[0]],
                f"{_MARKS[row.effect[0]]} {escape(row.effect[1])}",
            )
        parts.append(table)
    else:
        parts.append(Text(f"{NO_PARAMETERS[0].upper()}{NO_PARAMETERS[1:]}.\n"))
    errors = sum(check.status == "error" for check in report.checks)
    counted = f"{errors} error{'s' if errors > 1 else ''}"
    parts.append(
        Text.from_markup("[bold green]The env keeps the contract.[/]")
        if report.ok
        else Text.from_markup(f"[bold red]The env does not keep the contract: {counted}.[/]")
    )
    return Group(*parts)
