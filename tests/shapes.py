"""The point mass with other observations and actions, and fresh policies for each."""

import gymnasium as gym
import numpy as np
import torch
from point_mass import PointMass
from stable_baselines3.common.utils import set_random_seed

from sim2real.deployment.policy import BundleInfo, Policy
from sim2real.domains.channels import Channel
from sim2real.domains.contract import interface
from sim2real.domains.world import World
from sim2real.training.hyperparameters import resolve_hyperparameters
from sim2real.training.learner import make_learner, make_training_env

SCALES = {"m": 1.0, "mm": 1000.0, "km": 0.001}


class Shaped(PointMass):
    """Which channels there are, in which order and unit, is up to the caller."""

    def __init__(self, order=("position", "velocity"), unit="m", beacons=0, push="push", choices=None, named=True):
        super().__init__()
        scale = SCALES.get(unit, 1.0)
        widths = {"position": 1, "velocity": 1, "beacons": beacons, "temperature": 1}
        units = {"position": unit, "velocity": "m/s", "beacons": "m", "temperature": "degC"}
        self._scale, self._order = scale, [name for name in order if widths[name]]
        channels = [
            Channel(
                name=name,
                width=widths[name],
                unit=units[name],
                low=-5.0 * (scale if name == "position" else 1.0),
                high=5.0 * (scale if name == "position" else 1.0),
                sampled=name == "beacons",
            )
            for name in self._order
        ]
        bounds = [np.concatenate([np.full(c.width, getattr(c, side)) for c in channels]) for side in ("low", "high")]
        self.observation_space = gym.spaces.Box(*(side.astype(np.float32) for side in bounds), dtype=np.float32)
        self._beacons, self._choices = np.linspace(-1.0, 1.0, beacons), choices
        if choices:
            self.action_space = gym.spaces.Discrete(choices)
        if named:
            self.observation_channels = tuple(channels)
            self.action_channels = (Channel(name=push, width=1, unit="1", low=-1.0, high=1.0),)

    def _observe(self):
        parts = {
            "position": [self._x * self._scale],
            "velocity": [self._v],
            "beacons": self._beacons + self._x,
            "temperature": [0.1],
        }
        return np.concatenate([parts[name] for name in self._order]).astype(np.float32)

    def step(self, action):
        if self._choices:
            action = [np.linspace(-1.0, 1.0, self._choices)[int(action)]]
        return super().step(action)


gym.register("tests/Shaped-v0", entry_point=Shaped, max_episode_steps=20)
ID = "shapes:tests/Shaped-v0"


def shaped(**kwargs):
    """Return the world of some shape."""
    return World.of(ID, kwargs=kwargs)


def face(**kwargs):
    """Return the interface of some shape."""
    return interface(shaped(**kwargs).make())


def fresh_policy(algo, world, seed=0, normalize=True, gain=1.0, **hyperparameters):
    """Return a policy for a world with random weights and statistics; its last layer speaks louder by a gain."""
    given = {"net_arch": [8, 8], "normalize_observation": normalize, **hyperparameters}
    values = resolve_hyperparameters(algo, world, given)
    vec_env = make_training_env(world, "none", values, 1)
    learner = make_learner(algo, vec_env, values, seed=seed, steps=100)
    set_random_seed(seed)
    with torch.no_grad():
        for name, parameter in learner.policy.named_parameters():
            if name in ("action_net.weight", "actor.mu.weight", "actor.mu.0.weight", "actor.mu.4.weight"):
                parameter.mul_(gain)
    there = interface(world.make())
    if normalize:
        rng = np.random.default_rng(seed)
        statistics = learner.get_vec_normalize_env().obs_rms
        statistics.mean, statistics.var = (
            rng.normal(size=there.observation.shape),
            rng.uniform(0.5, 3.0, there.observation.shape),
        )
        statistics.count = 500.0
    info = BundleInfo(
        hyperparameters=values,
        observation_channels=there.observation_channels,
        action_channels=there.action_channels,
        world=world.to_dict(),
    )
    return Policy.from_sb3(learner, info=info)


def observations(space, count=200, seed=1):
    """Return observations that are all over a space."""
    return np.random.default_rng(seed).uniform(space.low, space.high, (count, *space.shape)).astype(np.float32)


class TwoJoints(gym.Env):
    """A hand that two joints drive to the origin; in the other body they are swapped, and one turns the other way."""

    TURN = np.array([[0.0, -1.0], [1.0, 0.0]])

    def __init__(self, turned=False):
        self._turn = self.TURN if turned else np.eye(2)
        self.observation_space = gym.spaces.Box(-3.0, 3.0, (4,), np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_channels = (
            Channel(name="hand", width=2, unit="m", low=-3.0, high=3.0),
            Channel(name="joint_position", width=2, unit="rad", low=-3.0, high=3.0, of_body=True),
        )
        self.action_channels = (Channel(name="joints", width=2, unit="1", low=-1.0, high=1.0, of_body=True),)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._joints = self.np_random.uniform(-1.0, 1.0, 2)
        return self._observe(), {}

    def _observe(self):
        return np.concatenate((self._turn @ self._joints, self._joints)).astype(np.float32)

    def step(self, action):
        self._joints = np.clip(self._joints + 0.3 * np.clip(action, -1.0, 1.0), -3.0, 3.0)
        return self._observe(), -float(np.linalg.norm(self._joints)), False, False, {}


gym.register("tests/TwoJoints-v0", entry_point=TwoJoints, max_episode_steps=10)
JOINTS = "shapes:tests/TwoJoints-v0"
