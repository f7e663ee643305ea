"""What a camera on a vehicle sees: a PyBullet world of its own, of few triangles, drawn by TinyRenderer in 1.5 ms."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.space import Domain
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.driving.body import PlanarState
from sim2real_envs.driving.course import WALL_HEIGHT, Course
from sim2real_envs.driving.domain import CAMERA_DOMAIN
from sim2real_envs.driving.meshes import BOX, GRASS, OTHER_CAR, ROAD, WALLS, Rgba, lawn, mesh, strip
from sim2real_envs.driving.traffic import BOX_HALF_EXTENTS, CAR_HALF_EXTENTS, Traffic

SIZE = 84
"""Of a picture [pixels]."""
FIELD_OF_VIEW = 90.0
"""Angle between the left and the right edge [degrees]."""

_EVERY = 3  # points of the centre line per triangle pair
_BLOCK = 2  # of these per block of one colour
_LIGHT = np.array([4.0, -5.0, 9.0])


class Camera:
    """A camera above the middle of a vehicle, looking ahead and down.

    Args:
        course: The tracks; their pictures are built when they are driven for the first time, and kept.
        traffic: What else is to be seen.
        forward: How far the camera stands in front of the middle of its vehicle [m].
    """

    domain_space = CAMERA_DOMAIN

    def __init__(self, course: Course, traffic: Traffic, *, forward: float) -> None:
        self._course, self._traffic, self._forward = course, traffic, forward
        self._client: int = p.connect(p.DIRECT)
        self.close = weakref.finalize(self, p.disconnect, self._client)
        self._tracks: dict[int, list[tuple[int, Rgba]]] = {}
        sizes = [CAR_HALF_EXTENTS] * traffic.cars + [BOX_HALF_EXTENTS] * traffic.obstacles
        colours = [OTHER_CAR] * traffic.cars + [BOX] * traffic.obstacles
        shapes = [
            p.createVisualShape(p.GEOM_BOX, halfExtents=size, rgbaColor=colour, physicsClientId=self._client)
            for size, colour in zip(sizes, colours, strict=True)
        ]
        self._others = [self._body(shape) for shape in shapes]
        self._projection = p.computeProjectionMatrixFOV(fov=FIELD_OF_VIEW, aspect=1.0, nearVal=0.05, farVal=15.0)
        self._light = _LIGHT
        self.set_domain(CAMERA_DOMAIN.nominal())

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set pose and look; ``domain`` is complete."""
        self._pitch, self._height = domain["camera_pitch"], domain["camera_height"]
        self._variation = domain["look_variation"]

    def get_domain(self) -> Domain:
        """Read back what the pictures are taken with."""
        return {"camera_pitch": self._pitch, "camera_height": self._height, "look_variation": self._variation}

    def begin_episode(self, rng: np.random.Generator) -> None:
        """Go to the track of the episode, and draw its colours and its light."""
        number = self._course.number
        if number not in self._tracks:
            self._tracks[number] = self._build()
        for other, bodies in self._tracks.items():
            place = [0.0, 0.0, 0.0 if other == number else -1000.0]  # far below: out of sight, and cut off early
            for body, _ in bodies:
                p.resetBasePositionAndOrientation(body, place, [0.0, 0.0, 0.0, 1.0], physicsClientId=self._client)
        # Drawn whether they are needed or not, so that what is drawn later does not depend on it.
        shifts = rng.uniform(-0.5, 0.5, (len(self._tracks[number]), 3))
        self._light = _LIGHT + self._variation * rng.uniform(-8.0, 8.0, 3) * [1.0, 1.0, 0.7]
        for (body, usual), shift in zip(self._tracks[number], shifts, strict=True):
            colour = [*np.clip(np.array(usual[:3]) + self._variation * shift, 0.0, 1.0).tolist(), 1.0]
            p.changeVisualShape(body, -1, rgbaColor=colour, physicsClientId=self._client)

    def picture(self, state: PlanarState) -> NDArray[np.uint8]:
        """Return what the camera sees, shape (84, 84, 3)."""
        for body, (x, y, yaw) in zip(self._others, self._traffic.poses, strict=True):
            turn = p.getQuaternionFromEuler([0.0, 0.0, yaw])
            place = [x - self._course.origin, y, BOX_HALF_EXTENTS[2]]
            p.resetBasePositionAndOrientation(body, place, turn, physicsClientId=self._client)
        x = state.x - self._course.origin + self._forward * state.cos
        y = state.y + self._forward * state.sin
        down = math.tan(self._pitch)
        image = p.getCameraImage(
            SIZE,
            SIZE,
            viewMatrix=p.computeViewMatrix(
                [x, y, self._height], [x + state.cos, y + state.sin, self._height - down], [0.0, 0.0, 1.0]
            ),
            projectionMatrix=self._projection,
            lightDirection=self._light.tolist(),
            shadow=0,
            renderer=p.ER_TINY_RENDERER,
            flags=p.ER_NO_SEGMENTATION_MASK,
            physicsClientId=self._client,
        )
        return np.asarray(image[2], dtype=np.uint8).reshape(SIZE, SIZE, 4)[:, :, :3].copy()

    def _build(self) -> list[tuple[int, Rgba]]:
        track = self._course.track
        half = track.width / 2
        walls = np.stack(
            (
                strip(track, (half, 0.0), (half, WALL_HEIGHT), every=_EVERY),
                strip(track, (-half, WALL_HEIGHT), (-half, 0.0), every=_EVERY),
            ),
            axis=1,
        )
        first = np.arange(len(walls)) // _BLOCK % 2 == 0
        parts = [
            (lawn(track), GRASS),
            (strip(track, (-half, 0.0), (half, 0.0), every=_EVERY), ROAD),
            (walls[first].reshape(-1, 4, 3), WALLS[0]),
            (walls[~first].reshape(-1, 4, 3), WALLS[1]),
        ]
        return [(self._body(mesh(quads, colour, self._client, both_sides=False)), colour) for quads, colour in parts]

    def _body(self, shape: int) -> int:
        body: int = p.createMultiBody(baseVisualShapeIndex=shape, physicsClientId=self._client)
        return body
