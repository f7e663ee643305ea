"""The camera above the board as a sensor: the last few pictures, each as old as the latency says."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.channels import Channel
from sim2real_envs.labyrinth.domain import CAMERA_DOMAIN
from sim2real_envs.labyrinth.route import Point
from sim2real_envs.labyrinth.scene import PHOTO_SIZE, Scene

PICTURES = 3
"""Newest last; a single one does not show which way the marble rolls."""

CAMERA_CHANNELS = (
    Channel(name="pictures", width=PHOTO_SIZE * PHOTO_SIZE * PICTURES, unit="1", low=0.0, high=255.0, noise=4.0),
)


class Camera:
    """Pictures of the board as it was a while ago, between two control steps as it was on the way.

    Args:
        scene: What it looks at.
        control_dt: Time between two pictures [s].
    """

    def __init__(self, scene: Scene, control_dt: float) -> None:
        self._scene = scene
        self._control_dt = control_dt
        self.latency = 0.0
        """Age of the newest picture [s]."""
        self._poses: deque[NDArray[np.float64]] = deque(
            maxlen=math.ceil(CAMERA_DOMAIN["camera_latency"].high / control_dt) + 2
        )
        self._pictures: deque[NDArray[np.uint8]] = deque(maxlen=PICTURES)

    def begin(self, position: Point, slopes: Point, radius: float) -> None:
        """Forget the past: all has always stood as it stands now."""
        self._poses.clear()
        self._pictures.clear()
        for _ in range(self._poses.maxlen or 0):
            self._poses.append(np.array((*position, *slopes)))
        picture = self._look(radius)
        self._pictures.extend([picture] * PICTURES)

    def see(self, position: Point, slopes: Point, radius: float) -> None:
        """Take the picture of a control step.

        Args:
            position: Of the marble [m].
            slopes: Of the board [rad].
            radius: Of the marble [m].
        """
        self._poses.append(np.array((*position, *slopes)))
        self._pictures.append(self._look(radius))

    def pictures(self) -> NDArray[np.uint8]:
        """Return the last pictures, shape (PHOTO_SIZE, PHOTO_SIZE, PICTURES)."""
        return np.stack(self._pictures, axis=-1)

    def _look(self, radius: float) -> NDArray[np.uint8]:
        steps, share = divmod(self.latency / self._control_dt, 1.0)
        newer = -1 - int(steps)
        x, y, slope_x, slope_y = ((1.0 - share) * self._poses[newer] + share * self._poses[newer - 1]).tolist()
        self._scene.show((x, y), radius, (slope_x, slope_y))
        return self._scene.photo()
