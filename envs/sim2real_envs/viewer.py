"""What the pictures of all worlds share: a PyBullet world that only shows, on screen or off."""

from __future__ import annotations

import os
import sys
import weakref
from abc import ABC, abstractmethod

import numpy as np
import pybullet_data
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real_envs.bullet import pybullet as p

WIDTH, HEIGHT = 480, 360
"""Size of a picture [pixels]."""


class Viewer(ABC):
    """A world without physics, in which a subclass builds a scene.

    Args:
        window: Open a window instead of drawing off screen.

    Raises:
        Sim2RealError: There is no display to open a window on.
    """

    def __init__(self, *, window: bool) -> None:
        # Without an X server Bullet ends the whole process instead of raising.
        if window and sys.platform == "linux" and not os.environ.get("DISPLAY"):
            raise Sim2RealError("render_mode 'human' needs a display and there is none; use render_mode 'rgb_array'.")
        self._window = window
        self._client: int = p.connect(p.GUI if window else p.DIRECT)
        self.close = weakref.finalize(self, _disconnect, self._client)
        p.configureDebugVisualizer(p.COV_ENABLE_GUI, 0, physicsClientId=self._client)
        p.setAdditionalSearchPath(pybullet_data.getDataPath(), physicsClientId=self._client)

    @abstractmethod
    def picture(self) -> NDArray[np.uint8]:
        """Return what its camera sees, shape (HEIGHT, WIDTH, 3)."""


def _disconnect(client: int) -> None:
    if p.isConnected(client):  # the user may have closed the window
        p.disconnect(client)
