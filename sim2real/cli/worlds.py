"""Commands about worlds: envs, check-env."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim2real.cli import options
from sim2real.cli.learn import import_from_here
from sim2real.cli.output import Output

if TYPE_CHECKING:
    from rich.table import Table

CHECK_FAILED = 1
"""Exit code of ``check-env`` when a world does not keep the contract."""


def envs(json_file: options.JsonFile = None) -> None:
    """List the installed worlds, their domain parameters and their targets."""
    output = Output(json_file)
    found = [_describe(env_id) for env_id in _plugged_in()]
    output.show(_table(found))
    output.json(found)
    if found:
        output.next(
            ["sim2real", "check-env", found[0]["env"]],
            ["sim2real", "train", "--env", found[0]["env"]],
        )


def check_env(
    env: Annotated[str, typer.Argument(metavar="ID", help="A world's id, or module:Name-v0 for your own.")],
    env_arg: options.EnvArgs = None,
    domain: options.DomainFile = None,
    json_file: options.JsonFile = None,
) -> None:
    """Check that a world keeps the contract: spaces, domain parameters, seeds, pickling, speed."""
    import_from_here()
    output = Output(json_file)
    kwargs = options.key_values(env_arg, "--env-arg")
    from sim2real.domains.check_env import check_env as run_checks
    from sim2real.domains.check_env import render
    from sim2real.domains.world import World

    report = run_checks(World.of(env, kwargs=kwargs, domain_file=domain))
    output.show(render(report))
    output.json(report.to_dict())
    if not report.ok:
        raise typer.Exit(CHECK_FAILED)
    given = [word for pair in env_arg or () for word in ("--env-arg", pair)]
    output.next(["sim2real", "train", "--env", env, *given, *options.words(("--domain", domain)), "--steps", "20000"])


def _plugged_in() -> list[str]:
    """Return the ids of the worlds that installed packages register."""
    import gymnasium as gym

    from sim2real.domains.world import load_plugins

    packages = load_plugins()
    return sorted(
        env_id
        for env_id, spec in gym.registry.items()
        if isinstance(spec.entry_point, str) and spec.entry_point.partition(":")[0].partition(".")[0] in packages
    )


def _describe(env_id: str) -> dict[str, Any]:
    from sim2real.domains.contract import domain_space
    from sim2real.domains.targets import list_targets
    from sim2real.domains.world import World
    from sim2real.training.hyperparameters import default_algorithm, tuned_steps

    world = World(env=env_id)
    algo = default_algorithm(world)
    with closing(world.make()) as env:
        return {
            "env": env_id,
            "what": (type(env.unwrapped).__doc__ or "-").strip().splitlines()[0].partition(";")[0].rstrip("."),
            "observation": _size(env.observation_space),
            "action": _size(env.action_space),
            "parameters": list(domain_space(env)),
            "algo": algo,
            "steps": tuned_steps(algo, world),
            "targets": {name: target.description for name, target in list_targets(world).items()},
        }


def _size(space: Any) -> str:
    return "x".join(map(str, space.shape)) if space.shape else type(space).__name__


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from sim2real.domains.targets import NOMINAL

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("world", no_wrap=True)
    for title in ("what", "observation", "action", "parameters", "learner", "targets"):
        table.add_column(title)
    for world in found:
        targets = [name for name in world["targets"] if name != NOMINAL]
        numbers = (world["observation"], world["action"], str(len(world["parameters"])))
        learner = "-" if world["steps"] is None else f"{world['algo']} {world['steps']:,}"
        table.add_row(world["env"], world["what"], *numbers, learner, ", ".join(targets))
    return table
