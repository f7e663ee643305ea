"""The Typer app: one command per module-level function of the sibling modules."""

from __future__ import annotations

from typing import Annotated

import typer

from sim2real.cli import advise, learn, play, robustness, study, worlds

_LEARN, _JUDGE, _WORLDS = "Learn", "Judge", "Worlds"

app = typer.Typer(
    name="sim2real",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train a policy in a cheap simulated world, carry it into one that differs, and judge whether that paid.",
    epilog="Start with: sim2real envs",
)


def _version(wanted: bool) -> None:
    if wanted:
        from sim2real import __version__

        typer.echo(f"sim2real {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


app.command("train", rich_help_panel=_LEARN)(learn.train)
app.command("transfer", rich_help_panel=_LEARN)(learn.transfer)
app.command("map", rich_help_panel=_LEARN)(learn.map_)
app.command("study", rich_help_panel=_LEARN)(study.study)
app.command("search", rich_help_panel=_LEARN)(study.search)
app.command("advise", rich_help_panel=_JUDGE)(advise.advise)
app.command("evaluate", rich_help_panel=_JUDGE)(learn.evaluate)
app.command("robustness", rich_help_panel=_JUDGE)(robustness.robustness)
app.command("report", rich_help_panel=_JUDGE)(learn.report)
app.command("play", rich_help_panel=_JUDGE)(play.play)
app.command("envs", rich_help_panel=_WORLDS)(worlds.envs)
app.command("check-env", rich_help_panel=_WORLDS)(worlds.check_env)
