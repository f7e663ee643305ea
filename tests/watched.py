"""A point mass that is watched: it shows where it is, and tells a teacher or a critic how strong its motor is, too."""

import gymnasium as gym
import numpy as np
from point_mass import SMALL, PointMass

from sim2real.domains.channels import Channel


class Watched(PointMass):
    """Args:
    told: What it tells: ``"all"``, ``"seen"``, only what it shows, ``"turned"``, the motor first, or ``"none"``.
    as_told: What becomes of that at the end.
    """

    def __init__(self, told="all", as_told=None, **kwargs):
        super().__init__(**kwargs)
        self.observation_channels = (Channel(name="x", unit="m", low=-5.0, high=5.0, width=2),)
        gain = (Channel(name="gain", width=1, unit="1", low=-1.0, high=2.0),)
        seen = self.observation_channels
        self.privileged_channels = {"all": seen + gain, "seen": seen, "turned": gain + seen, "none": ()}[told]
        self._told, self._as_told = told, as_told

    def privileged_observation(self):
        seen, gain = [self._x, self._v], [self.gain]
        told = {"all": seen + gain, "seen": seen, "turned": gain + seen, "none": []}[self._told]
        if self._as_told is not None:
            return {"short": told[:1], "rows": [told], "text": "gain", "nan": [*told[:2], np.nan]}[self._as_told]
        return np.clip(told, -5.0, 5.0).astype(np.float32)


gym.register("tests/Watched-v0", entry_point=Watched, max_episode_steps=20)
ID = "watched:tests/Watched-v0"
ASYMMETRIC = {**SMALL, "asymmetric_critic": True}
