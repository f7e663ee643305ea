"""A world that is seen, small enough to learn in seconds: say on which side a bright spot is."""

import gymnasium as gym
import numpy as np

from sim2real.domains.channels import Channel, channel_box
from sim2real.domains.space import DomainSpace, Parameter

SIDE = (Channel(name="side", width=1, unit="1", low=-1.0, high=1.0),)


class Spot(gym.Env):
    """Gives (36, 40, 1), the smallest picture that the convolutions read; the action is the side, in [-1, 1].

    Args:
        form: ``"picture"``, ``"first"`` with the channels first, ``"dict"`` with a number beside it, or ``"state"``,
            the side itself, which the others tell a teacher.
        height: Of the picture, 36 at least for convolutions.
    """

    domain_space = DomainSpace(
        {"brightness": Parameter(nominal=200.0, low=50.0, high=255.0, unit="1", train=(150.0, 250.0))}
    )

    def __init__(self, form="picture", height=36):
        self.form, self._height = form, height
        shape = (1, height, 40) if form == "first" else (height, 40, 1)
        picture = gym.spaces.Box(0, 255, shape, np.uint8)
        number = gym.spaces.Box(-9.0, 9.0, (1,), np.float32)
        self.observation_space = gym.spaces.Dict({"view": picture, "clock": number}) if form == "dict" else picture
        if form == "state":
            self.observation_space = channel_box(SIDE)
            self.observation_channels = SIDE
        else:
            self.privileged_channels = SIDE
        self.action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self._domain = self.domain_space.nominal()

    def set_domain(self, domain):
        self._domain = self.domain_space.complete(domain)

    def get_domain(self):
        return dict(self._domain)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if options and "domain" in options:
            self.set_domain(options["domain"])
        self._steps = 0
        return self._look(), {"domain": self.get_domain()}

    def _look(self):
        self._side = int(self.np_random.integers(2))
        picture = np.zeros((self._height, 40, 1), np.uint8)
        row, column = self.np_random.integers(4, 24), self.np_random.integers(2, 10) + 20 * self._side
        picture[row : row + 8, column : column + 8] = int(self._domain["brightness"])
        if self.form == "state":
            return self.privileged_observation()
        if self.form == "dict":
            return {"view": picture, "clock": np.array([self._steps - 4.0], np.float32)}
        return picture.transpose(2, 0, 1) if self.form == "first" else picture

    def privileged_observation(self):
        return np.array([2.0 * self._side - 1.0], np.float32)

    def step(self, action):
        self._steps += 1
        reward = float(np.clip(action[0], -1.0, 1.0)) * (2 * self._side - 1)
        info = {"is_success": reward > 0.5, "domain": self.get_domain()}
        return self._look(), reward, False, False, info


gym.register("tests/Spot-v0", entry_point=Spot, max_episode_steps=8)
ID = "spot:tests/Spot-v0"
SMALL = {
    "net_arch": [16],
    "features_dim": 16,
    "learning_starts": 30,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "gamma": 0.5,
}
SMALL_PPO = {
    "net_arch": [16],
    "features_dim": 16,
    "n_steps": 32,
    "n_envs": 2,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "gamma": 0.5,
}
SMALL_SOFT = {**SMALL, "ent_coef": "auto_0.1"}
SMALL_OF = {"sac": SMALL_SOFT, "td3": SMALL, "tqc": SMALL_SOFT, "ppo": SMALL_PPO}
