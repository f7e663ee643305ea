"""A point mass that is watched: it shows where it is, and tells a teacher or a critic how strong its motor is, too."""

import gymnasium as gym
import numpy as np
from point_mass import SMALL, PointMass

from sim2real.domains.channels import Channel


class Watched(PointMass):
    """Args:
    tells_gain: Whether it tells more than it shows.
    """

    def __init__(self, tells_gain=True, **kwargs):
        super().__init__(**kwargs)
        self.observation_channels = (Channel(name="x", unit="m", low=-5.0, high=5.0, width=2),)
        told = Channel(name="gain", width=1, unit="1", low=-1.0, high=2.0)
        self.privileged_channels = (*self.observation_channels, told) if tells_gain else self.observation_channels

    def privileged_observation(self):
        told = [self._x, self._v, self.gain][: sum(channel.width for channel in self.privileged_channels)]
        return np.clip(told, -5.0, 5.0).astype(np.float32)


gym.register("tests/Watched-v0", entry_point=Watched, max_episode_steps=20)
ID = "watched:tests/Watched-v0"
ASYMMETRIC = {**SMALL, "asymmetric_critic": True}
