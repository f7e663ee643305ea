"""Meshes for pictures of a track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim2real_envs.bullet import pybullet as p
from sim2real_envs.driving.textures import TILE
from sim2real_envs.driving.track import Track

Array = NDArray[np.float64]
Rgba = tuple[float, float, float, float]

GRASS: Rgba = (0.36, 0.52, 0.30, 1.0)
ROAD: Rgba = (0.33, 0.34, 0.36, 1.0)
ICE: Rgba = (0.62, 0.76, 0.86, 1.0)
LINE: Rgba = (0.92, 0.92, 0.90, 1.0)
WALLS: tuple[Rgba, Rgba] = ((0.86, 0.20, 0.17, 1.0), (0.95, 0.95, 0.93, 1.0))
BOX: Rgba = (0.98, 0.62, 0.10, 1.0)
GLASS: Rgba = (0.15, 0.18, 0.22, 1.0)
OTHER_CAR: Rgba = (0.20, 0.45, 0.85, 1.0)


def strip(track: Track, one: tuple[float, float], other: tuple[float, float], *, every: int = 1) -> Array:
    """Return the quadrilaterals between two lines along a track, shape (n, 4, 3) [m].

    Args:
        track: The track; it must have a multiple of ``every`` points.
        one: One line, how far to the left of the centre line and how high [m].
        other: The other line.
        every: Of the points of the centre line one in so many is used.
    """
    lines = []
    for aside, z in (one, other):
        line = track.offset_line(aside)[::every]
        lines.append(np.column_stack((line, np.full(len(line), z))))
    return np.stack((lines[0], np.roll(lines[0], -1, axis=0), np.roll(lines[1], -1, axis=0), lines[1]), axis=1)


def lawn(track: Track) -> Array:
    """Return one quadrilateral under the whole track and far beyond it, shape (1, 4, 3) [m]."""
    reach = float(np.abs(track.points).max()) + 8.0
    return np.array([[[-reach, -reach, -0.02], [reach, -reach, -0.02], [reach, reach, -0.02], [-reach, reach, -0.02]]])


def mesh(quads: Array, colour: Rgba, client: int, *, both_sides: bool = True) -> int:
    """Return a visual shape of flat quadrilaterals, shape (n, 4, 3) [m].

    With ``both_sides`` off it has half as many triangles, and is seen from where its corners go counterclockwise.
    """
    # Textures go along the first edge of every quadrilateral, and across it; one begins where the last one ended.
    along, across = (np.linalg.norm(quads[:, i] - quads[:, 0], axis=1) / TILE for i in (1, 3))
    begin = np.concatenate(([0.0], np.cumsum(along)[:-1]))
    none = np.zeros(len(quads))
    texture = np.stack((begin, none, begin + along, none, begin + along, across, begin, across), axis=1)
    normals = np.cross(quads[:, 1] - quads[:, 0], quads[:, 3] - quads[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    order = [0, 1, 2, 0, 2, 3] + [0, 2, 1, 0, 3, 2] * both_sides
    corners = 4 * np.arange(len(quads))[:, None] + np.array(order)
    shape: int = p.createVisualShape(
        p.GEOM_MESH,
        vertices=quads.reshape(-1, 3).tolist(),
        indices=corners.reshape(-1).tolist(),
        normals=np.repeat(normals, 4, axis=0).tolist(),
        uvs=texture.reshape(-1, 2).tolist(),
        rgbaColor=colour,
        physicsClientId=client,
    )
    return shape
