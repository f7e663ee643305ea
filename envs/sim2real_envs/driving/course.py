"""Tracks side by side: where on a track a vehicle is, where it starts, and how slippery it is there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from sim2real.domains.space import Domain
from sim2real_envs.driving.track import Track

PATCH_SHARE = 0.2
"""Part of the track that has less grip, if any has."""

_DISTANCE = 40.0  # of neighbouring tracks [m]: farther than any sensor reaches
_PATCHES = 4


class Course:
    """All tracks of a world, side by side; an episode takes place on one of them.

    Args:
        tracks: At least one.
    """

    def __init__(self, tracks: Sequence[Track]) -> None:
        self.tracks = tuple(tracks)
        self.origins = [number * _DISTANCE for number in range(len(self.tracks))]
        """Where on the x axis the middle of every track is [m]."""
        self._rows = [_rows(track) for track in self.tracks]
        self._patch_starts: list[float] = []
        self._grip_loss = 0.0
        self.choose(0)

    def choose(self, number: int) -> None:
        """Go to a track."""
        self.number = number
        self.track = self.tracks[number]
        self.origin = self.origins[number]
        """Where on the x axis its middle is [m]."""
        self._row = self._rows[number]
        self._index = 0

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set the grip; ``domain`` is complete."""
        self._grip_loss = domain["grip_patches"]

    def get_domain(self) -> Domain:
        """Read back the grip that is lost on patches."""
        return {"grip_patches": self._grip_loss}

    def draw(self, rng: np.random.Generator) -> tuple[float, float, float]:
        """Draw a track, its patches and a start on it: near the centre line, about straight ahead.

        Returns:
            Position [m] and heading [rad] in the world.
        """
        self.choose(int(rng.integers(len(self.tracks))))
        length = self.track.length
        # One patch in each of as many equal stretches.
        places = rng.uniform(0.0, 1.0 - PATCH_SHARE, _PATCHES)
        self._patch_starts = ((np.arange(_PATCHES) + places) * (length / _PATCHES)).tolist()
        start = int(rng.integers(len(self._row)))
        aside, turn = rng.uniform(-0.1, 0.1, 2).tolist()
        x, y, tx, ty = self._row[start]
        self._index = start
        return self.origin + x - aside * ty, y + aside * tx, math.atan2(ty, tx) + turn

    def pose(self, along: float, aside: float) -> tuple[float, float, float]:
        """Return the place ``along`` the centre line and ``aside`` to its left [m], and its heading [rad].

        Returns:
            Position [m] and heading [rad] in the world.
        """
        place = along / self.track.spacing
        index = math.floor(place)
        part, n = place - index, len(self._row)
        x, y, tx, ty = (
            a + part * (b - a) for a, b in zip(self._row[index % n], self._row[(index + 1) % n], strict=True)
        )
        return self.origin + x - aside * ty, y + aside * tx, math.atan2(ty, tx)

    def locate(self, x: float, y: float) -> float:
        """Return how far along the centre line a place of the world is, from where the line begins [m].

        The search goes on from the place asked for last and walks downhill, so that the answer never jumps to another
        stretch of the track that happens to be near.
        """
        x -= self.origin
        row, n, index = self._row, len(self._row), self._index
        px, py, tx, ty = row[index]
        along = (x - px) * tx + (y - py) * ty
        for _ in range(n):
            if abs(along) <= self.track.spacing:
                break
            following = (index + (1 if along > 0.0 else -1)) % n
            px, py, tx, ty = row[following]
            index, along = following, (x - px) * tx + (y - py) * ty
        self._index = index
        return (index * self.track.spacing + along) % self.track.length

    def grip(self, along: float) -> float:
        """Return the grip at a place of the centre line [m], 1 being that of the road without patches."""
        if self._grip_loss == 0.0:
            return 1.0
        size = self.track.length * PATCH_SHARE / _PATCHES
        slippery = any(0.0 <= along - start < size for start in self._patch_starts)
        return 1.0 - self._grip_loss if slippery else 1.0

    def patches(self) -> list[tuple[float, float]]:
        """Return begin and end of the stretches with less grip [m along the centre line]; none where there are none."""
        size = self.track.length * PATCH_SHARE / _PATCHES
        return [(start, start + size) for start in self._patch_starts] if self._grip_loss else []


def _rows(track: Track) -> list[tuple[float, float, float, float]]:
    # Plain floats: the search looks at one point at a time, where numpy would take ten times as long.
    return [tuple(row) for row in np.hstack((track.points, track.tangents)).tolist()]
