"""What else is on the track: cars that keep their lane and their speed, and boxes that stand in the other one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sim2real.domains.space import Domain, DomainSpace, Parameter
from sim2real.errors import Sim2RealError
from sim2real_envs.driving.course import Course
from sim2real_envs.driving.plant import Plant

CAR_HALF_EXTENTS = (0.22, 0.125, 0.05)
"""Of the other cars [m]."""
BOX_HALF_EXTENTS = (0.1, 0.1, 0.05)
"""Of the obstacles [m]."""
MAX_NUMBER = 4
"""Most cars, and most obstacles, that fit on a track."""

_TRAFFIC_DOMAIN = DomainSpace(
    {"traffic_speed": Parameter(nominal=0.8, low=0.0, high=1.5, unit="m/s", train=(0.5, 1.1))}
)
_HEADWAY = 3.0  # from the start to the first of them [m]


class Traffic:
    """Bodies that are moved along the track and that nothing can push.

    Args:
        course: The tracks.
        cars: How many other cars, each a lane's width from the wall of its side.
        obstacles: How many boxes, at the other side.

    Raises:
        Sim2RealError: A number is out of range.
    """

    def __init__(self, course: Course, *, cars: int, obstacles: int) -> None:
        for name, number in (("cars", cars), ("obstacles", obstacles)):
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_NUMBER:
                raise Sim2RealError(f"{name} = {number!r} must be a whole number from 0 to {MAX_NUMBER}.")
        self._course = course
        self.half_extents = [CAR_HALF_EXTENTS] * cars + [BOX_HALF_EXTENTS] * obstacles
        """Of all of them [m], the cars first."""
        self.cars, self.obstacles = cars, obstacles
        """How many there are."""
        self.domain_space = _TRAFFIC_DOMAIN if cars else DomainSpace()
        """The speed of the cars, if there are any."""
        self._speed = 0.0
        self._along: list[float] = []
        self._lane = 0.0
        self.poses: list[tuple[float, float, float]] = [(0.0, 0.0, 0.0)] * len(self.half_extents)
        """Positions [m] and headings [rad] in the world."""

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set the speed of the cars; ``domain`` is complete."""
        if self.cars:
            self._speed = domain["traffic_speed"]

    def get_domain(self) -> Domain:
        """Read the speed of the cars back."""
        return {"traffic_speed": self._speed} if self.cars else {}

    def reset(self, plant: Plant, start: float, rng: np.random.Generator) -> None:
        """Spread everything over the track, not too near to the start [m along the centre line]."""
        if not self.half_extents:
            return
        length, width = self._course.track.length, self._course.track.width
        side = 1.0 if rng.random() < 0.5 else -1.0
        self._lane = side * (width / 2 - CAR_HALF_EXTENTS[1] - 0.15)
        self._along = [start + place for place in self._spread(self.cars, length, rng)]
        self.step(plant, 0.0)
        aside = -side * (width / 2 - BOX_HALF_EXTENTS[1] - 0.1)
        for number, place in enumerate(self._spread(self.obstacles, length, rng)):
            self._put(plant, self.cars + number, start + place, aside)

    def _spread(self, number: int, length: float, rng: np.random.Generator) -> list[float]:
        if not number:
            return []
        room = (length - 2 * _HEADWAY) / number
        places = _HEADWAY + room * (np.arange(number) + rng.uniform(0.0, 0.7, number))
        spread: list[float] = places.tolist()
        return spread

    def step(self, plant: Plant, dt: float) -> None:
        """Drive all cars on for a time [s]."""
        for number in range(self.cars):
            self._along[number] += self._speed * dt
            self._put(plant, number, self._along[number], self._lane)

    def _put(self, plant: Plant, number: int, along: float, aside: float) -> None:
        self.poses[number] = self._course.pose(along, aside)
        plant.put(number, *self.poses[number])
