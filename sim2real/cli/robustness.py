"""The command that sweeps parameters of a world."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim2real.cli import options
from sim2real.cli.learn import import_from_here
from sim2real.cli.options import EVALUATION, OUTPUT, WORLD
from sim2real.cli.output import Output

if TYPE_CHECKING:
    from rich.table import Table

    from sim2real.evaluation.robustness import Robustness


def robustness(
    policy: options.Policy,
    parameter: Annotated[
        list[str],
        typer.Option(
            metavar="NAME", help="Parameter that goes from end to end of what the world accepts; may be given twice."
        ),
    ],
    env: options.OtherEnv = None,
    env_arg: options.EnvArgs = None,
    domain: options.DomainFile = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Target that the other parameters are those of.",
            rich_help_panel=WORLD,
            show_default="nominal",
        ),
    ] = None,
    targets: options.TargetsFile = None,
    points: Annotated[
        int,
        typer.Option(parser=options.at_least(2), metavar="N", help="Values of each.", rich_help_panel=EVALUATION),
    ] = 7,
    episodes: Annotated[
        int,
        typer.Option(
            parser=options.at_least(1), metavar="N", help="Episodes at each value.", rich_help_panel=EVALUATION
        ),
    ] = 20,
    seed: options.Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for robustness.json and robustness.png.", rich_help_panel=OUTPUT),
    ] = None,
    json_file: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """See what a policy reaches as one or two parameters of its world go from end to end."""
    import_from_here()
    output = Output(json_file, quiet=quiet)
    kwargs = options.key_values(env_arg, "--env-arg")
    from sim2real.evaluation.robustness import sweep
    from sim2real.files import make_folder, write_json

    if out is not None:
        make_folder(out)
    found = sweep(
        policy,
        env,
        parameters=parameter,
        target=target,
        points=points,
        episodes=episodes,
        seed=seed,
        kwargs=kwargs,
        domain_file=domain,
        targets_file=targets,
    )
    output.show(_table(found))
    output.json(found.to_dict())
    if out is None:
        return
    from sim2real.studies.plots import write_png
    from sim2real.studies.robustness_plots import heat_maps_figure, robustness_figure

    write_json(out / "robustness.json", found.to_dict())
    draw = robustness_figure if len(parameter) == 1 else heat_maps_figure
    write_png(draw({"policy": found}), out / "robustness.png")
    output.made(out / "robustness.json", out / "robustness.png")


def _table(found: Robustness) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from sim2real.studies.numbers import interval, number
    from sim2real.studies.summary import percent

    show = percent if found.knows_success else number
    summary = f"mean {show(found.mean)}, worst tenth {show(found.worst_decile)}, worst {show(found.worst)}"
    table = Table(title=summary, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for parameter in found.parameters:
        unit = f" [{parameter.unit}]" if parameter.unit not in ("", "1") else ""
        table.add_column(f"{parameter.name}{unit}".replace("[", r"\["), justify="right")
    table.add_column("success" if found.knows_success else "return", justify="right")
    table.add_column("95 % interval", justify="right")
    for cell, score in zip(found.cells, found.scores, strict=True):
        ends = cell.success_ci95 if found.knows_success else cell.return_ci95
        table.add_row(*map(number, cell.values), show(score), interval(ends, show))
    return table
