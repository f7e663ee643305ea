"""The driving worlds as they are registered: which vehicle, which tracks, what else is on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gymnasium.utils import EzPickle

from sim2real_envs.driving.env import DriveEnv
from sim2real_envs.driving.racecar import RaceCar
from sim2real_envs.driving.skid import SkidSteer

_TARGETS = Path(__file__).parent / "targets"


class RaceCarEnv(DriveEnv, EzPickle):
    """A race car of scale 1/10 drives a lap on its own.

    Args:
        kwargs: Those of :class:`~sim2real_envs.driving.env.DriveEnv`, except ``vehicle``, ``cars`` and ``obstacles``.
    """

    targets_file: str | None = str(_TARGETS / "drive.yaml")

    def __init__(self, **kwargs: Any) -> None:
        EzPickle.__init__(self, **kwargs)
        super().__init__(vehicle=RaceCar, **kwargs)


class TrafficEnv(DriveEnv, EzPickle):
    """The race car passes other cars and boxes, on a wider road.

    Args:
        cars: How many other cars there are.
        obstacles: How many boxes there are.
        track_width: Distance of the walls [m].
        kwargs: The others of :class:`~sim2real_envs.driving.env.DriveEnv`, except ``vehicle``.
    """

    targets_file: str | None = str(_TARGETS / "traffic.yaml")

    def __init__(self, *, cars: int = 2, obstacles: int = 2, track_width: float = 1.5, **kwargs: Any) -> None:
        EzPickle.__init__(self, cars=cars, obstacles=obstacles, track_width=track_width, **kwargs)
        super().__init__(vehicle=RaceCar, cars=cars, obstacles=obstacles, track_width=track_width, **kwargs)


class SkidSteerEnv(DriveEnv, EzPickle):
    """A skid-steered vehicle drives a lap on the tracks of the race car.

    Args:
        kwargs: Those of :class:`~sim2real_envs.driving.env.DriveEnv`, except ``vehicle``, ``cars`` and ``obstacles``.
    """

    targets_file: str | None = str(_TARGETS / "skid.yaml")

    def __init__(self, **kwargs: Any) -> None:
        EzPickle.__init__(self, **kwargs)
        super().__init__(vehicle=SkidSteer, **kwargs)
