"""Which layouts there are: any number generated from level and seed, and some laid by hand in YAML."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from sim2real.errors import Sim2RealError, unknown_name
from sim2real.files import read_yaml
from sim2real_envs.labyrinth.layout import Layout, parse_layout
from sim2real_envs.labyrinth.maze import LEVELS, generate

_FOLDER = Path(__file__).parent / "layouts"


def find_layout(name: str) -> Layout:
    """Return a layout by its name: ``"<level>-<seed>"``, or one laid by hand.

    Raises:
        Sim2RealError: There is none of this name.
    """
    if not isinstance(name, str):
        raise _unknown(name)
    return _find(name)


@cache
def _find(name: str) -> Layout:
    match = re.fullmatch(r"([a-z]+)-(0|[1-9][0-9]{0,8})", name)
    if match and match[1] in LEVELS:
        return generate(match[1], int(match[2]))
    laid = _laid()
    if name not in laid:
        raise _unknown(name)
    return parse_layout(read_yaml(laid[name]), name)


def _laid() -> dict[str, Path]:
    return {path.stem: path for path in _FOLDER.glob("*.yaml")}


def _unknown(name: object) -> Sim2RealError:
    return unknown_name("layout", name, [*_laid(), *(f"{level}-<number>" for level in LEVELS)])
