"""Which layouts there are: any number generated from level and seed, and some laid by hand in YAML."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from sim2real.errors import unknown_name
from sim2real.files import read_yaml
from sim2real_envs.labyrinth.layout import Layout, parse_layout
from sim2real_envs.labyrinth.maze import LEVELS, generate

_FOLDER = Path(__file__).parent / "layouts"


@cache
def find_layout(name: str) -> Layout:
    """Return a layout by its name: ``"<level>-<seed>"``, or one laid by hand.

    Raises:
        Sim2RealError: There is none of this name.
    """
    match = re.fullmatch(r"([a-z]+)-(\d{1,9})", str(name))
    if match and match[1] in LEVELS:
        return generate(match[1], int(match[2]))
    laid = {path.stem: path for path in _FOLDER.glob("*.yaml")}
    if name not in laid:
        raise unknown_name("layout", name, [*laid, *(f"{level}-<number>" for level in LEVELS)])
    return parse_layout(read_yaml(laid[name]), name)
