"""A layout of the labyrinth: data, whether generated or laid by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sim2real.errors import Sim2RealError, check_keys
from sim2real_envs.labyrinth.route import Point, distance_to_segment

Wall = tuple[float, float, float, float]
"""A straight wall from (x, y) to (x, y), along an axis [m]."""

CORRIDOR = 0.045
"""Width of a corridor, from the middle of one wall to the middle of the next [m]."""
WALL_THICKNESS = 0.005
"""Of every wall [m]."""
HOLE_RADIUS = 0.008
"""Of every hole [m]; no marble is larger."""
HOLES_NEARBY = 2
"""The marble is told of so many holes, so a layout has as many at least."""
DANGER_DISTANCE = 0.025
"""A hole this close to the route makes it harder [m]."""

_KEYS = ("size", "start", "waypoints", "walls", "holes")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A board seen from above; the origin is its middle."""

    name: str
    """``"easy-1"``, ``"classic"``."""
    size: Point
    """Extent inside the frame [m]."""
    start: Point
    """Where the marble starts [m]."""
    waypoints: tuple[Point, ...]
    """To be passed in this order; the last is the finish [m]."""
    walls: tuple[Wall, ...]
    """Inside the frame [m]."""
    holes: tuple[Point, ...]
    """Their middles [m]."""

    def __post_init__(self) -> None:
        where = f"layout {self.name!r}"
        if not self.waypoints:
            raise Sim2RealError(f"{where}: it has no waypoints; the last one is the finish.")
        if len(self.holes) < HOLES_NEARBY:
            raise Sim2RealError(f"{where}: it has {len(self.holes)} holes; give at least {HOLES_NEARBY}.")
        for kind, points in (("start", [self.start]), ("waypoint", self.waypoints), ("hole", self.holes)):
            for point in points:
                if any(abs(value) > extent / 2 for value, extent in zip(point, self.size, strict=True)):
                    raise Sim2RealError(f"{where}: {kind} {point} is outside of the board of {self.size} m.")
        for wall in self.walls:
            if (wall[0] != wall[2]) == (wall[1] != wall[3]):
                raise Sim2RealError(f"{where}: wall {wall} must go along the x or the y axis.")
        for point in (self.start, *self.waypoints):
            if any(math.dist(point, hole) <= HOLE_RADIUS for hole in self.holes):
                raise Sim2RealError(f"{where}: the route leads over a hole at {point}; move one of them.")

    @property
    def frame(self) -> tuple[Wall, ...]:
        """The four walls round the board; their inner faces are ``size`` apart."""
        x, y = ((extent + WALL_THICKNESS) / 2 for extent in self.size)
        return ((-x, -y, x, -y), (-x, y, x, y), (-x, -y, -x, y), (x, -y, x, y))

    @property
    def difficulty(self) -> float:
        """Rating: the length of the route in corridors' widths, and two for every hole beside it."""
        path = (self.start, *self.waypoints)
        length = sum(math.dist(a, b) for a, b in pairwise(path))
        near = sum(self.clearance(hole) < DANGER_DISTANCE for hole in self.holes)
        return length / CORRIDOR + 2.0 * near

    def clearance(self, point: Point) -> float:
        """Return the distance of a point from the route [m]."""
        path = (self.start, *self.waypoints)
        return min(distance_to_segment(point, a, b) for a, b in pairwise(path))


def parse_layout(content: Mapping[str, Any], name: str) -> Layout:
    """Return the layout of a mapping as read from YAML.

    Raises:
        Sim2RealError: A key is missing or unknown, a value no list of numbers, or the layout cannot be.
    """
    where = f"layout {name!r}"
    fields = check_keys(content, _KEYS, where)
    for key in _KEYS:
        if key not in fields:
            raise Sim2RealError(f"{where}: {key!r} is missing.")

    def numbers(key: str, value: Any, width: int) -> tuple[float, ...]:
        if not isinstance(value, list) or len(value) != width or not all(isinstance(v, (int, float)) for v in value):
            raise Sim2RealError(f"{where}: {key}: {value!r} must be a list of {width} numbers in metres.")
        return tuple(float(v) for v in value)

    values: dict[str, Any] = {key: numbers(key, fields[key], 2) for key in ("size", "start")}
    for key, width in (("waypoints", 2), ("walls", 4), ("holes", 2)):
        if not isinstance(fields[key], list):
            raise Sim2RealError(f"{where}: {key}: {fields[key]!r} must be a list.")
        values[key] = tuple(numbers(key, value, width) for value in fields[key])
    return Layout(name=name, **values)
