"""A planar laser scanner: where its beams go, and what real ones lose."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.space import Domain
from sim2real_envs.driving.domain import LIDAR_DOMAIN
from sim2real_envs.driving.plant import PlanarState, Plant

FIELD_OF_VIEW = math.radians(270.0)
"""Angle between the outermost beams [rad]; a Hokuyo UST-10LX has as much, and reaches 10 m."""
MAX_RANGE = 10.0
"""[m]"""


class Lidar:
    """Beams at equal angles, from the right to the left.

    Args:
        plant: The world.
        beams: How many.
        forward: How far the scanner stands in front of the middle of its vehicle [m].
    """

    domain_space = LIDAR_DOMAIN

    def __init__(self, plant: Plant, *, beams: int, forward: float) -> None:
        self._plant = plant
        self._forward = forward
        self.angles = np.linspace(-FIELD_OF_VIEW / 2, FIELD_OF_VIEW / 2, beams)
        """Of the beams, to the left of straight ahead, shape (beams,) [rad]."""
        self._directions = np.exp(1j * self.angles)
        self._range, self._noise, self._dropout = MAX_RANGE, 0.0, 0.0

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set noise, dropout and range; ``domain`` is complete."""
        self._range, self._noise, self._dropout = (domain[f"lidar_{name}"] for name in ("range", "noise", "dropout"))

    def get_domain(self) -> Domain:
        """Read back what beams are disturbed with."""
        return {"lidar_noise": self._noise, "lidar_dropout": self._dropout, "lidar_range": self._range}

    def distances(self, state: PlanarState) -> NDArray[np.float64]:
        """Return the true distance of what every beam hits, the range for none, shape (beams,) [m]."""
        start = state.x + self._forward * state.cos, state.y + self._forward * state.sin
        ends = self._directions * complex(self._range * state.cos, self._range * state.sin) + complex(*start)
        # Complex numbers lie in memory as their two parts.
        return self._range * self._plant.cast(start, ends.view(np.float64).reshape(-1, 2))

    def scan(self, state: PlanarState, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return what the scanner reads, shape (beams,) [m]: noisy, a lost beam as far as it reaches."""
        # Drawn whether they are needed or not: the same seed gives the same noise, whatever its size.
        noise, luck = rng.standard_normal(len(self.angles)), rng.random(len(self.angles))
        distances = np.minimum(self.distances(state) + self._noise * noise, self._range)
        return np.where(luck < self._dropout, self._range, np.maximum(distances, 0.0))
