"""The route: waypoints that count only in their order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

Point = tuple[float, float]

PASS_DISTANCE = 0.02
"""A waypoint is passed when the middle of the marble comes this close to it [m]: along either side of its corridor too,
but not from the other side of a wall, where it is 24 mm away at least."""


class Route:
    """How far along its waypoints a marble is.

    Only the next waypoint can be passed, so ground gained past a shortcut counts for nothing. What is left to go is the
    distance to the next waypoint and from there along the route, so nothing is gained either by going back and forth.

    Args:
        start: Where the marble starts [m].
        waypoints: At least one; the last is the finish [m].
    """

    def __init__(self, start: Point, waypoints: Sequence[Point]) -> None:
        self.waypoints = tuple(waypoints)
        legs = [math.dist(a, b) for a, b in pairwise(self.waypoints)]
        self._after = [sum(legs[i:]) for i in range(len(self.waypoints))]
        self.length = math.dist(start, self.waypoints[0]) + self._after[0]
        """From start to finish [m]."""
        self.passed = 0
        """Waypoints passed."""
        self.finished = False
        """Whether every waypoint was passed."""
        self.remaining = self.length
        """What is left to go [m]."""

    def begin(self, position: Point) -> None:
        """Begin anew, from a position near the start [m]."""
        self.passed = 0
        self.finished = False
        self._measure(position)

    def advance(self, position: Point) -> float:
        """Follow the marble to a position [m]; return what it gained along the route [m], negative for a loss."""
        before = self.remaining
        self._measure(position)
        return before - self.remaining

    def _measure(self, position: Point) -> None:
        while not self.finished:
            distance = math.dist(position, self.waypoints[self.passed])
            if distance > PASS_DISTANCE:
                self.remaining = distance + self._after[self.passed]
                return
            self.passed += 1
            self.finished = self.passed == len(self.waypoints)
        self.remaining = 0.0

    @property
    def progress(self) -> float:
        """Share of the route that is done, in [0, 1]."""
        left = self.remaining / self.length
        return 0.0 if left > 1.0 else 1.0 - left

    def ahead(self, count: int) -> tuple[Point, ...]:
        """Return the next waypoints; the finish stands for those beyond it."""
        points = self.waypoints[self.passed : self.passed + count]
        return points + self.waypoints[-1:] * (count - len(points))


def distance_to_segment(point: Point, a: Point, b: Point) -> float:
    """Return the distance of a point from the straight way from ``a`` to ``b`` [m]."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    along = ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / (dx * dx + dy * dy or 1.0)
    along = min(1.0, max(0.0, along))
    return math.dist(point, (a[0] + along * dx, a[1] + along * dy))
