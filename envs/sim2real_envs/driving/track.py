"""Closed race tracks: procedurally generated, seeded, of rated difficulty, without a simulator."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real_envs.arguments import is_number

Array = NDArray[np.float64]

LENGTH = 24.0
"""Length of the centre line of every track [m]."""
WALL_HEIGHT = 0.2
"""[m]; beams and bodies are in the middle of it."""
SPACING = 0.1
"""Distance of the points of a centre line [m]."""
MIN_RADIUS = 0.9
"""Radius of the tightest bend of a centre line [m]; a race car can turn on 0.6 m."""

_GAP = 0.3
"""What is left at least between the walls of two stretches of track [m]."""
_TIGHTEST = 0.97  # of the curvature of the tightest bend, so that rounding does not exceed it
_HARMONICS = (2, 3, 4, 5, 6)
_STRONGEST = 3.0  # amplitude of the bends [1/m]; by then they are at the bound almost everywhere
_ATTEMPTS = 500


@dataclass(frozen=True, eq=False)
class Track:
    """A closed centre line of evenly spaced points, and the width of the road."""

    points: Array
    """Centre line, shape (n, 2) [m], in driving direction, about the origin; after the last comes the first."""
    width: float
    """Distance from wall to wall [m]."""
    spacing: float
    """Distance of neighbouring points along the centre line [m]."""
    tangents: Array = field(init=False)
    """Unit vectors in driving direction, shape (n, 2)."""
    curvature: Array = field(init=False)
    """Signed curvature, positive where the track bends left, shape (n,) [1/m]."""

    def __post_init__(self) -> None:
        ahead, behind = np.roll(self.points, -1, axis=0), np.roll(self.points, 1, axis=0)
        tangents = ahead - behind
        tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
        first, second = (ahead - behind) / 2, ahead - 2 * self.points + behind
        object.__setattr__(self, "tangents", tangents)
        object.__setattr__(
            self,
            "curvature",
            (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / np.linalg.norm(first, axis=1) ** 3,
        )

    @property
    def length(self) -> float:
        """Length of the centre line [m]."""
        return self.spacing * len(self.points)

    @property
    def turning(self) -> float:
        """How much the track turns in all, left or right, in full turns: 1 for a circle, more the more it winds."""
        return float(np.abs(self.curvature).sum() * self.spacing / (2 * math.pi))

    @property
    def normals(self) -> Array:
        """Unit vectors to the left of the driving direction, shape (n, 2)."""
        return np.stack((-self.tangents[:, 1], self.tangents[:, 0]), axis=1)

    def offset_line(self, offset: float) -> Array:
        """Return the line ``offset`` [m] to the left of the centre line, shape (n, 2) [m]."""
        return self.points + offset * self.normals

    def walls(self) -> tuple[Array, NDArray[np.int64]]:
        """Return both walls as thin sheets: vertices, shape (4 n, 3) [m], and the corners of triangles, (12 n,)."""
        n = len(self.points)
        heights = np.repeat([[0.0], [WALL_HEIGHT]], n, axis=0)
        here = np.arange(n)
        following = (here + 1) % n
        corners = np.stack((here, following, here + n, here + n, following, following + n), axis=1).reshape(-1)
        lines = [self.offset_line(side * self.width / 2) for side in (1, -1)]
        vertices = np.vstack([np.hstack((np.vstack((line, line)), heights)) for line in lines])
        return vertices, np.concatenate((corners, corners + 2 * n))


@lru_cache(maxsize=256)
def make_track(seed: int, *, difficulty: float = 0.5, width: float = 1.2) -> Track:
    """Draw a track: its curvature is a random Fourier series, bounded, with the circle's part solved so that it closes.

    Args:
        seed: Same seed, same track.
        difficulty: From 0, a circle, to 1; the track turns ``1 + difficulty`` full turns in all, left and right.
        width: Distance from wall to wall [m].

    Raises:
        Sim2RealError: An argument is out of range.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise Sim2RealError(f"track seed = {seed!r} must be a whole number that is not negative.")
    if not is_number(difficulty) or not 0.0 <= difficulty <= 1.0:
        raise Sim2RealError(f"difficulty = {difficulty!r} must be between 0 (a circle) and 1.")
    if not is_number(width) or not 0.8 <= width <= 1.5:
        raise Sim2RealError(f"width = {width!r} must be between 0.8 and 1.5 metres.")
    rng = np.random.default_rng(seed)
    turning = 1.0 + difficulty
    for _ in range(_ATTEMPTS):
        heading = _wind(rng.normal(size=(len(_HARMONICS), 2)), turning)
        clockwise = bool(rng.integers(2))
        if heading is None:
            continue
        points = _walk(heading)
        track = Track(points * [1.0, -1.0] if clockwise else points, width, SPACING)
        if is_drivable(track):
            return track
    raise Sim2RealError(
        f"track {seed} of difficulty {difficulty} and width {width} m: none found; "
        "take another seed or a narrower road."
    )


def is_drivable(track: Track) -> bool:
    """Whether no bend is tighter than ``MIN_RADIUS`` and no two stretches of the track touch."""
    if np.abs(track.curvature).max() > 1.0 / MIN_RADIUS:
        return False
    n, clear = len(track.points), track.width + _GAP
    apart = np.linalg.norm(track.points[:, None] - track.points[None], axis=2)
    steps = np.abs(np.arange(n)[:, None] - np.arange(n)[None])
    # A half circle leads to a place a diameter away: what is nearer along the line belongs to the same bend.
    other = np.minimum(steps, n - steps) * track.spacing > 0.5 * math.pi * clear
    return bool(apart[other].min() > clear)


def _wind(weights: Array, turning: float) -> Array | None:
    """Return the headings along a closed line of so much turning, shape (n,) [rad]; ``None`` if there is none."""
    n = round(LENGTH / SPACING)
    angle = np.arange(n) * (2 * math.pi / n)
    bends = np.zeros(n)
    for (a, b), k in zip(weights.tolist(), _HARMONICS, strict=True):
        bends += (a * np.cos(k * angle) + b * np.sin(k * angle)) / math.sqrt(k)
    # No bends at all for a circle: every convex line turns as much.
    low, high = (0.0, _STRONGEST) if turning > 1.0 else (0.0, 0.0)
    while True:
        amplitude = (low + high) / 2
        curvature = _close(amplitude * bends, angle)
        if curvature is None:
            return None
        found = float(np.abs(curvature).sum()) * SPACING / (2 * math.pi)
        if high - low < 1e-3:
            break
        low, high = (low, amplitude) if found >= turning else (amplitude, high)
    if abs(found - turning) > 0.02:
        return None
    return np.concatenate(([0.0], np.cumsum(curvature[:-1] + curvature[1:]) / 2)) * SPACING


def _close(bends: NDArray[Any], angle: NDArray[Any]) -> Array | None:
    """Return a curvature [1/m] near ``bends`` whose line ends where and as it began; bounded, so no bend is too tight.

    Newton's method for the three conditions (one full turn, back in x and y) in the three lowest harmonics.
    """
    limit = _TIGHTEST / MIN_RADIUS
    basis = np.stack((np.ones_like(angle), np.cos(angle), np.sin(angle)))
    free = np.array([2 * math.pi / LENGTH, 0.0, 0.0])
    for _ in range(12):
        soft = np.tanh((bends + free @ basis) / limit)
        curvature: Array = limit * soft
        heading = np.concatenate(([0.0], np.cumsum(curvature[:-1] + curvature[1:]) / 2)) * SPACING
        along = np.exp(1j * heading)
        end = along.sum() * SPACING
        error = np.array([curvature.sum() * SPACING - 2 * math.pi, end.real, end.imag])
        if np.abs(error).max() < 1e-9:
            return curvature
        slopes = basis * (1.0 - soft**2) * SPACING  # of the heading's steps
        turned = np.cumsum(slopes, axis=1)
        shift = (1j * along * turned).sum(axis=1) * SPACING
        jacobian = np.stack((slopes.sum(axis=1), shift.real, shift.imag))
        step = np.linalg.solve(jacobian + 1e-9 * np.eye(3), error)
        free -= step * min(1.0, 0.5 / float(np.abs(step).max()))
    return None


def _walk(heading: Array) -> Array:
    """Return the points that steps in these directions lead to, centred, shape (n, 2) [m]."""
    points = np.cumsum(np.stack((np.cos(heading), np.sin(heading)), axis=1), axis=0) * SPACING
    return np.asarray(points - points.mean(axis=0))
