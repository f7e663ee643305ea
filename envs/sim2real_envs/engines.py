"""The physics engines that a world may run in."""

from __future__ import annotations

import importlib.util

from sim2real.errors import Sim2RealError, unknown_name

ENGINES = ("pybullet", "mujoco")
"""What the argument ``engine`` of a world may be; the first is the default."""


def check_engine(engine: str) -> None:
    """Refuse an engine that is unknown or not installed, before anything is built.

    Raises:
        Sim2RealError: The message names the engines there are, or what to install.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if engine == "mujoco" and importlib.util.find_spec("mujoco") is None:
        raise Sim2RealError("engine 'mujoco' is not installed; install it with: pip install 'sim2real[mujoco]'.")
