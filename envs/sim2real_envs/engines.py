"""The physics engines that a world may run in, and how long their steps may be."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from sim2real.errors import Sim2RealError, missing_extra, unknown_name
from sim2real_envs.arguments import is_number

ENGINES = ("pybullet", "mujoco")
"""What the argument ``engine`` of a world may be; the first is the default."""


@dataclass(frozen=True, kw_only=True)
class TimeStep:
    """Of the physics of a world in an engine."""

    usual: float
    """Unless told otherwise [s]."""
    longest: float
    """With which what happens still resembles what should [s]."""


def check_engine(engine: str) -> None:
    """Refuse an engine that is unknown or not installed, before anything is built.

    Raises:
        Sim2RealError: The message names the engines there are, or what to install.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if engine == "mujoco" and importlib.util.find_spec("mujoco") is None:
        raise missing_extra("mujoco", "engine 'mujoco'")


def choose_physics_dt(engine: str, asked: float | None, steps: Mapping[str, TimeStep]) -> float:
    """Return the time step of the physics [s].

    Args:
        engine: One of :data:`ENGINES`.
        asked: What the user wants [s]; ``None`` for the usual one.
        steps: For each engine, what suits the world.

    Raises:
        Sim2RealError: The engine is unknown or not installed, or the step is no number, not positive or too long.
    """
    check_engine(engine)
    if asked is None:
        return steps[engine].usual
    check_time("physics_dt", asked)
    longest = steps[engine].longest
    if asked > longest:
        raise Sim2RealError(
            f"physics_dt = {asked:g} s is too coarse for this world in {engine}; at most {longest:g} s."
        )
    return asked


def check_time(name: str, seconds: object) -> None:
    """Refuse what is no positive time.

    Raises:
        Sim2RealError: The message has the name and the value.
    """
    if not is_number(seconds) or not seconds > 0.0:
        raise Sim2RealError(f"{name} = {seconds!r} must be a positive time in seconds.")
