"""Pictures of the labyrinth: a PyBullet world of its own that only shows, so that drawing cannot change the physics."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real_envs.bullet import pybullet as p
from sim2real_envs.labyrinth.board import WALL_HEIGHT
from sim2real_envs.labyrinth.domain import LABYRINTH_DOMAIN
from sim2real_envs.labyrinth.layout import HOLE_RADIUS, WALL_THICKNESS, Layout
from sim2real_envs.labyrinth.route import PASS_DISTANCE, Point
from sim2real_envs.viewer import HEIGHT, WIDTH, Viewer

PHOTO_SIZE = 84
"""Edge of what the top camera sees [pixels]."""

_WOOD, _FRAME, _WALL = (0.87, 0.72, 0.5, 1.0), (0.42, 0.26, 0.15, 1.0), (0.62, 0.36, 0.18, 1.0)
_HOLE, _LINE, _FINISH = (0.04, 0.04, 0.05, 1.0), (0.3, 0.25, 0.2, 1.0), (0.15, 0.65, 0.25, 1.0)
_STEEL = (0.75, 0.78, 0.85, 1.0)
_HIDDEN = (0.0, 0.0, 0.0, 0.0)  # the renderer skips it, so it costs no time either
# Bullet never frees all of a body, so a ball is kept for every radius that was seen, in steps of this many metres: half
# a step is less than a tenth of a pixel.
_BALL_STEP = 1e-4
_FRAME_WIDTH = 0.01
_SHOWN_HEIGHT = 0.6 * WALL_HEIGHT  # of the walls; the upper part would hide the marble
_PHOTO_FOV = 30.0  # [degrees]
_PITCH = math.radians(58.0)  # of the camera, down
_ZOOM = 1.55  # distance of the camera over the board's larger extent


class Scene(Viewer):
    """A board with its marble, seen from a camera that stands still while the board tilts.

    Args:
        layout: What is on the board.
        window: Open a window instead of drawing off screen.

    Raises:
        Sim2RealError: There is no display to open a window on.
    """

    def __init__(self, layout: Layout, *, window: bool) -> None:
        super().__init__(window=window)
        self._distance = _ZOOM * max(layout.size)
        self._half_view = 0.5 * max(layout.size) + WALL_THICKNESS + _FRAME_WIDTH
        self._build(layout)
        self._marbles: dict[int, int] = {}
        self._size = round(LABYRINTH_DOMAIN["marble_radius"].nominal / _BALL_STEP)
        self._marble = self._marbles[self._size] = self._ball(self._size)
        self._slopes: Point = (0.0, 0.0)

    def _build(self, layout: Layout) -> None:
        x, y = (extent / 2 for extent in layout.size)
        out = WALL_THICKNESS + _FRAME_WIDTH
        self._box((0.0, 0.0, -0.005), (x + out, y + out, 0.005), _WOOD)
        half = 0.5 * _SHOWN_HEIGHT
        wide = 0.5 * out
        for sign in (-1, 1):
            self._box((0.0, sign * (y + wide), half), (x + out, wide, half * 1.2), _FRAME)
            self._box((sign * (x + wide), 0.0, half), (wide, y, half * 1.2), _FRAME)
        thick = 0.5 * WALL_THICKNESS
        for x0, y0, x1, y1 in layout.walls:
            self._box(((x0 + x1) / 2, (y0 + y1) / 2, half), ((x1 - x0) / 2 + thick, (y1 - y0) / 2 + thick, half), _WALL)
        path = (layout.start, *layout.waypoints)
        for a, b in pairwise(path):
            turn = math.atan2(b[1] - a[1], b[0] - a[0])
            self._box(
                ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, 0.0), (math.dist(a, b) / 2 + 0.001, 0.001, 0.0004), _LINE, turn
            )
        # A square: Bullet shades the edge of a flat disc into its middle, which only black hides.
        self._box((*layout.waypoints[-1], 0.0), (PASS_DISTANCE, PASS_DISTANCE, 0.0005), _FINISH)
        for hole in layout.holes:
            self._disc(hole, HOLE_RADIUS, _HOLE)

    def _box(
        self, position: tuple[float, float, float], half: tuple[float, float, float], colour: Any, turn: float = 0.0
    ) -> None:
        self._add(position, colour, turn, shapeType=p.GEOM_BOX, halfExtents=half)

    def _disc(self, position: Point, radius: float, colour: Any) -> None:
        self._add((*position, 0.0), colour, shapeType=p.GEOM_CYLINDER, radius=radius, length=0.0012)

    def _ball(self, size: int) -> int:
        return self._add((0.0, 0.0, 0.0), _STEEL, shapeType=p.GEOM_SPHERE, radius=size * _BALL_STEP)

    def _add(self, position: tuple[float, float, float], colour: Any, turn: float = 0.0, **shape: Any) -> int:
        visual = p.createVisualShape(
            rgbaColor=colour, specularColor=[0.3, 0.3, 0.3], physicsClientId=self._client, **shape
        )
        body: int = p.createMultiBody(
            baseVisualShapeIndex=visual,
            basePosition=position,
            baseOrientation=p.getQuaternionFromEuler([0.0, 0.0, turn]),
            physicsClientId=self._client,
        )
        return body

    def show(self, position: Point, radius: float, slopes: Point) -> None:
        """Put the marble where it is, and tilt the board.

        Args:
            position: Of the marble [m].
            radius: Of the marble [m].
            slopes: Of the board along x and y [rad].
        """
        size = round(radius / _BALL_STEP)
        if size != self._size:
            p.changeVisualShape(self._marble, -1, rgbaColor=_HIDDEN, physicsClientId=self._client)
            if size not in self._marbles:
                self._marbles[size] = self._ball(size)
            self._marble, self._size = self._marbles[size], size
            p.changeVisualShape(self._marble, -1, rgbaColor=_STEEL, physicsClientId=self._client)
        p.resetBasePositionAndOrientation(
            self._marble, (*position, radius), (0.0, 0.0, 0.0, 1.0), physicsClientId=self._client
        )
        self._slopes = slopes
        if self._window:
            p.resetDebugVisualizerCamera(
                self._distance, 0.0, -math.degrees(_PITCH), (0.0, 0.0, 0.0), physicsClientId=self._client
            )

    def picture(self) -> NDArray[np.uint8]:
        """Return what the camera sees, shape (HEIGHT, WIDTH, 3)."""
        back = np.array([0.0, -math.cos(_PITCH), math.sin(_PITCH)]) * self._distance
        return self._draw(back, WIDTH, HEIGHT, fov=40.0, shadow=1)

    def photo(self) -> NDArray[np.uint8]:
        """Return what a camera right above the board sees, shape (PHOTO_SIZE, PHOTO_SIZE).

        It looks through a blue filter, in which steel is brighter than wood.
        """
        above = np.array([0.0, 0.0, self._half_view / math.tan(math.radians(_PHOTO_FOV / 2))])
        return self._draw(above, PHOTO_SIZE, PHOTO_SIZE, fov=_PHOTO_FOV, shadow=0)[:, :, 2].copy()

    def _draw(self, eye: NDArray[np.float64], width: int, height: int, *, fov: float, shadow: int) -> NDArray[np.uint8]:
        """Return a picture of the middle of the board from a point in the world's frame [m]."""
        # The board stands still in this world; camera and light turn about it instead.
        to_board = _rotation(*self._slopes).T
        image = p.getCameraImage(
            width,
            height,
            viewMatrix=p.computeViewMatrix(
                (to_board @ eye).tolist(), (0.0, 0.0, 0.0), (to_board @ [0.0, 1.0, 0.0]).tolist()
            ),
            projectionMatrix=p.computeProjectionMatrixFOV(fov=fov, aspect=width / height, nearVal=0.05, farVal=2.0),
            lightDirection=(to_board @ [0.6, -0.8, 2.0]).tolist(),
            shadow=shadow,
            renderer=p.ER_TINY_RENDERER,
            flags=p.ER_NO_SEGMENTATION_MASK,
            physicsClientId=self._client,
        )
        return np.asarray(image[2], dtype=np.uint8).reshape(height, width, 4)[:, :, :3].copy()


def _rotation(slope_x: float, slope_y: float) -> NDArray[np.float64]:
    """Return the rotation from the board's frame to the world's; with positive slopes the board falls along x and y."""
    cx, sx, cy, sy = math.cos(slope_x), math.sin(slope_x), math.cos(slope_y), math.sin(slope_y)
    about_y = np.array([[cx, 0.0, sx], [0.0, 1.0, 0.0], [-sx, 0.0, cx]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cy, sy], [0.0, -sy, cy]])
    return np.asarray(about_y @ about_x)
