"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml

from sim2real.errors import Sim2RealError

WORLD = "World"
LEARNING = "Learning"
EVALUATION = "Evaluation"
OUTPUT = "Output"
EXECUTION = "Execution"


def at_least(low: int) -> Callable[[str | int], int]:
    """Return a parser of whole numbers that are at least ``low``, for options that count something."""

    def parse(value: str | int) -> int:
        try:
            number = int(value)
        except ValueError:
            number = low - 1
        if number < low:
            raise ValueError(f"{value} must be a whole number of at least {low}")
        return number

    return parse


Policy = Annotated[
    str, typer.Argument(metavar="POLICY", help="A run folder, a policy.zip, or a pretrained policy's name.")
]
EnvArgs = Annotated[
    list[str] | None,
    typer.Option(
        "--env-arg",
        metavar="KEY=VALUE",
        help="Argument of the env, e.g. control=joint; may be repeated.",
        rich_help_panel=WORLD,
    ),
]
DomainFile = Annotated[
    Path | None,
    typer.Option(
        "--domain", metavar="FILE", help="YAML with domain parameters for an env that has none.", rich_help_panel=WORLD
    ),
]
TargetsFile = Annotated[
    Path | None,
    typer.Option("--targets", metavar="FILE", help="YAML with more targets.", rich_help_panel=WORLD),
]
OtherEnv = Annotated[
    str | None,
    typer.Option(
        "--env", metavar="ID", help="World of the policy; by default the one it was trained in.", rich_help_panel=WORLD
    ),
]
SpaceMap = Annotated[
    Path | None,
    typer.Option(
        "--map",
        metavar="FILE",
        help="YAML that says which channel of the world is which of the policy's, where names do not.",
        rich_help_panel=WORLD,
    ),
]
Randomizer = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="Where the domains of the episodes come from: none, uniform, adr, doraemon, active, or a YAML file.",
        rich_help_panel=WORLD,
    ),
]
Hyperparameters = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a tuned hyperparameter, e.g. learning_rate=1e-3; may be repeated.",
        rich_help_panel=LEARNING,
    ),
]
Seed = Annotated[
    int, typer.Option(parser=at_least(0), metavar="N", help="Same seed, same result.", rich_help_panel=LEARNING)
]
EvalEvery = Annotated[
    int | None,
    typer.Option(
        parser=at_least(1),
        metavar="N",
        help="Steps between two points of the curve.",
        rich_help_panel=EVALUATION,
        show_default="auto",
    ),
]
EvalEpisodes = Annotated[
    int,
    typer.Option(
        parser=at_least(1), metavar="N", help="Episodes behind each point of the curve.", rich_help_panel=EVALUATION
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder to write; it must be new or empty.",
        rich_help_panel=OUTPUT,
        show_default="under runs/",
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on where an interrupted run stopped, in --out.", rich_help_panel=OUTPUT)
]
JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="FILE", help="Write the result as JSON; '-' is standard output.", rich_help_panel=OUTPUT
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress bar and no closing words.", rich_help_panel=OUTPUT)
]

JobsAtATime = Annotated[
    int | None,
    typer.Option(
        "--workers",
        parser=at_least(1),
        metavar="N",
        help="Jobs at a time.",
        show_default="all cores, or what the cluster has room for",
        rich_help_panel=EXECUTION,
    ),
]
Executor = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="local: processes of this machine. ray: a Ray cluster.", rich_help_panel=EXECUTION
    ),
]
ClusterAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="Of the Ray cluster; auto finds one that this machine is part of.",
        show_default="RAY_ADDRESS, or one of this machine alone",
        rich_help_panel=EXECUTION,
    ),
]
Resources = Annotated[
    list[str] | None,
    typer.Option(
        "--resource",
        metavar="NAME=AMOUNT",
        help="What a job takes of a machine, by Ray's names: CPU, GPU, memory, your own; may be repeated.",
        show_default="CPU=1",
        rich_help_panel=EXECUTION,
    ),
]

_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def check_resume(out: Path | None, resume: bool) -> None:
    """Refuse to resume what is not there: a mistyped folder would start a new run.

    Raises:
        Sim2RealError: ``out`` is given and holds no run.
    """
    if resume and out is not None and not (out / "config.yaml").exists():
        raise Sim2RealError(f"--resume: {out} holds no run; check --out, or leave out --resume to start one.")


def key_values(pairs: Iterable[str] | None, option: str) -> dict[str, Any]:
    """Return the mapping that ``KEY=VALUE`` pairs spell, each value read as YAML.

    Args:
        pairs: What the user gave.
        option: The option it was given to, for the message.

    Raises:
        Sim2RealError: A pair has no ``=``, its value is no plain value, or a key stands twice.
    """
    values: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise Sim2RealError(f"{option} {pair!r} must be KEY=VALUE, e.g. {option} {key or 'key'}=1.")
        if key in values:
            raise Sim2RealError(f"{option} {key} is given twice, as {values[key]!r} and {text}; give it once.")
        try:
            values[key] = float(text) if _EXPONENT.fullmatch(text) else yaml.safe_load(text)  # YAML reads 1e-3 as text
            json.dumps(values[key], allow_nan=False)
        except (yaml.YAMLError, TypeError, ValueError):
            raise Sim2RealError(
                f"{option} {key}={text}: not a plain value; give a number, a word, true, false, null or [a list]."
            ) from None
    return values


def count_or_auto(text: str, option: str) -> int | Literal["auto"]:
    """Return ``"auto"`` or a count of at least 1.

    Raises:
        Sim2RealError: It is neither.
    """
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise Sim2RealError(f"{option} {text!r} must be a whole number of at least 1, or auto.")
    return int(text)


def randomizer_spec(text: str) -> str | dict[str, Any]:
    """Return a randomizer's name, or what its YAML file says."""
    from sim2real.files import read_yaml

    return read_yaml(text) if text.endswith((".yaml", ".yml")) else text


def words(*options: tuple[str, Any]) -> list[str]:
    """Return command-line words for the options that have a value: to tell the user what to type next."""
    return [word for name, value in options if value is not None for word in (name, str(value))]
