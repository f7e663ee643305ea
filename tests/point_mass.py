"""A world small enough to learn in seconds: push a point to the origin against a steady drift."""

import gymnasium as gym
import numpy as np

from sim2real.domains.space import DomainSpace, Parameter


class PointMass(gym.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    domain_space = DomainSpace(
        {
            "gain": Parameter(nominal=1.0, low=-1.0, high=2.0, unit="1", train=(0.8, 1.2)),
            "drift": Parameter(nominal=0.0, low=-0.5, high=0.5, unit="m", train=(-0.1, 0.1)),
        }
    )

    def __init__(self, width=2, nan_at=None, blind_from=None, render_mode=None):
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Box(-5.0, 5.0, (width,), np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self._width, self._nan_at, self._blind_from = width, nan_at, blind_from
        self._domain = self.domain_space.nominal()
        self.gain, self.drift = 1.0, 0.0

    def set_domain(self, domain):
        self._domain = self.domain_space.complete(domain)

    def get_domain(self):
        return {"gain": self.gain, "drift": self.drift}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        domain = self._domain
        if options and "domain" in options:
            domain = self.domain_space.complete(options["domain"])
        self.gain, self.drift = domain["gain"], domain["drift"]
        self._x, self._v, self._t = self.np_random.uniform(-2.0, 2.0), 0.0, 0
        return self._observe(), {"domain": self.get_domain()}

    def _observe(self):
        return np.clip([self._x, self._v, *[0.0] * (self._width - 2)], -5.0, 5.0).astype(np.float32)

    def render(self):
        if self._blind_from is not None and self._t >= self._blind_from:
            raise RuntimeError("the lamp is out")
        picture = np.full((20, 40, 3), 255, np.uint8)
        picture[10, int(20 + 19 * np.tanh(self._x / 5))] = 0
        return picture

    def step(self, action):
        self._t += 1
        self._v = 0.5 * self.gain * float(np.clip(action[0], -1.0, 1.0)) + self.drift
        self._x += self._v
        if self._t == self._nan_at:
            self._x = float("nan")
        info = {"is_success": abs(self._x) < 0.25, "domain": self.get_domain(), "reward/distance": -abs(self._x)}
        return self._observe(), -abs(self._x), False, False, info


gym.register("tests/PointMass-v0", entry_point=PointMass, max_episode_steps=20)
ID = "point_mass:tests/PointMass-v0"
SMALL = {"net_arch": [32, 32], "learning_starts": 60, "batch_size": 64, "learning_rate": 3e-3, "gamma": 0.9}
