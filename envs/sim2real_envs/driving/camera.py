"""What a camera on a vehicle sees: a PyBullet world of its own, of few triangles, drawn by TinyRenderer in 1.5 ms.

TinyRenderer looks whether a pixel is hidden before it works out its colour: what is in front is made first.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.space import Domain
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.driving.course import Course
from sim2real_envs.driving.domain import CAMERA_DOMAIN
from sim2real_envs.driving.meshes import BOX, GRASS, OTHER_CAR, ROAD, WALLS, Rgba, lawn, mesh, strip
from sim2real_envs.driving.plant import PlanarState
from sim2real_envs.driving.textures import CONTRASTS, PATTERNS, load_textures
from sim2real_envs.driving.track import WALL_HEIGHT
from sim2real_envs.driving.traffic import BOX_HALF_EXTENTS, Traffic

SIZE = 84
"""Of a picture [pixels]."""
FIELD_OF_VIEW = 90.0
"""Angle between the left and the right edge [degrees]."""

_EVERY = 3  # points of the centre line per triangle pair
_BLOCK = 2  # of these per block of one colour
_LIGHT = np.array([4.0, -5.0, 9.0])
_INVISIBLE = [0.0] * 4  # TinyRenderer leaves such a body out; one that is merely far away costs time


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
        colours = [OTHER_CAR] * traffic.cars + [BOX] * traffic.obstacles
        shapes = [
            p.createVisualShape(p.GEOM_BOX, halfExtents=size, physicsClientId=self._client)
            for size in traffic.half_extents
        ]
        self._others = [(self._body(shape), colour) for shape, colour in zip(shapes, colours, strict=True)]
        self._tracks: dict[int, list[tuple[int, Rgba]]] = {}
        self._shown: list[tuple[int, Rgba]] = []
        self._textures = load_textures(self._client)
        self._projection = p.computeProjectionMatrixFOV(fov=FIELD_OF_VIEW, aspect=1.0, nearVal=0.05, farVal=15.0)
        self._light = _LIGHT
        self.set_domain(CAMERA_DOMAIN.nominal())

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set pose and look; ``domain`` is complete."""
        self._pitch, self._yaw, self._height = (domain[f"camera_{name}"] for name in ("pitch", "yaw", "height"))
        self._variation = domain["look_variation"]

    def get_domain(self) -> Domain:
        """Read back what the pictures are taken with."""
        pose = {"camera_pitch": self._pitch, "camera_yaw": self._yaw, "camera_height": self._height}
        return pose | {"look_variation": self._variation}

    def begin_episode(self, rng: np.random.Generator) -> None:
        """Go to the track of the episode, and draw its colours, its textures and its light."""
        number = self._course.number
        if number not in self._tracks:
            self._tracks[number] = self._build()
        for body, _ in self._shown:
            p.changeVisualShape(body, -1, rgbaColor=_INVISIBLE, physicsClientId=self._client)
        self._shown = self._tracks[number]
        surfaces = [*self._shown, *self._others]
        # Drawn whether they are needed or not, so that what is drawn later does not depend on it.
        shifts = self._variation * rng.uniform(-0.5, 0.5, (len(surfaces), 3))
        contrasts = np.rint(self._variation * (len(CONTRASTS) - 1) * rng.random(len(surfaces))).astype(int).tolist()
        patterns = rng.integers(PATTERNS, size=len(surfaces)).tolist()
        self._light = _LIGHT + self._variation * rng.uniform(-8.0, 8.0, 3) * [1.0, 1.0, 0.7]
        for (body, usual), shift, contrast, pattern in zip(surfaces, shifts, contrasts, patterns, strict=True):
            p.changeVisualShape(
                body,
                -1,
                rgbaColor=[*np.clip(np.array(usual[:3]) + shift, 0.0, 1.0).tolist(), 1.0],
                textureUniqueId=self._textures[contrast][pattern],
                physicsClientId=self._client,
            )

    def picture(self, state: PlanarState) -> NDArray[np.uint8]:
        """Return what the camera sees, shape (84, 84, 3)."""
        for (body, _), (x, y, yaw) in zip(self._others, self._traffic.poses, strict=True):
            turn = p.getQuaternionFromEuler([0.0, 0.0, yaw])
            place = [x - self._course.origin, y, BOX_HALF_EXTENTS[2]]
            p.resetBasePositionAndOrientation(body, place, turn, physicsClientId=self._client)
        x = state.x - self._course.origin + self._forward * state.cos
        y = state.y + self._forward * state.sin
        ahead, aside = math.cos(state.yaw + self._yaw), math.sin(state.yaw + self._yaw)
        down = math.tan(self._pitch)
        image = p.getCameraImage(
            SIZE,
            SIZE,
            viewMatrix=p.computeViewMatrix(
                [x, y, self._height], [x + ahead, y + aside, self._height - down], [0.0, 0.0, 1.0]
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
        # The lawn comes last: it is under everything.
        parts = [
            (walls[first].reshape(-1, 4, 3), WALLS[0]),
            (walls[~first].reshape(-1, 4, 3), WALLS[1]),
            (strip(track, (-half, 0.0), (half, 0.0), every=_EVERY), ROAD),
            (lawn(track), GRASS),
        ]
        return [(self._body(mesh(quads, colour, self._client, both_sides=False)), colour) for quads, colour in parts]

    def _body(self, shape: int) -> int:
        body: int = p.createMultiBody(baseVisualShapeIndex=shape, physicsClientId=self._client)
        return body
