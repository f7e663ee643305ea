"""Envs that go wrong, for the tests of the sampler; at the top of a module, where worker processes find them."""

import os
import time

import gymnasium as gym
import numpy as np
from point_mass import PointMass

from sim2real.domains.world import World


class Wrong(PointMass):
    """A point mass that does something wrong at a step of its first episode, in the process it was not made to test."""

    def __init__(self, what, at=3):
        super().__init__()
        self._what, self._at, self._steps = what, at, 0

    def step(self, action):
        self._steps += 1
        if self._steps == self._at:
            if self._what == "raise":
                raise ZeroDivisionError("by a mass of zero")
            if self._what == "die":
                os._exit(7)
            if self._what == "hang":
                time.sleep(1000)
        return super().step(action)


class Stubborn(PointMass):
    """A point mass that refuses its first reset."""

    refused = False

    def reset(self, *, seed=None, options=None):
        if not self.refused:
            self.refused = True
            raise ValueError("not yet")
        return super().reset(seed=seed, options=options)


class Dicts(gym.Env):
    """Dict observations, discrete actions, and infos of every kind, drawn at random."""

    def __init__(self):
        self.observation_space = gym.spaces.Dict(
            {"a": gym.spaces.Box(-9, 9, (2, 3), np.float32), "b": gym.spaces.Discrete(5)}
        )
        self.action_space = gym.spaces.Discrete(3)

    def observe(self):
        return {"a": self.np_random.normal(size=(2, 3)).astype(np.float32), "b": int(self.np_random.integers(5))}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        self.shared = {"nested": [0]}
        return self.observe(), {"began": True, "options": options}

    def step(self, action):
        self.t += 1
        self.shared["nested"][0] += self.t % 2  # an env that goes on changing what it has handed out
        rng = self.np_random
        info = {
            "whole": int(rng.integers(9)),
            "flag": bool(rng.random() < 0.5),
            "nan": float("nan"),
            "huge": 2**60 + self.t,
            "numpy": np.float32(rng.random()),
            "small": rng.normal(size=3).astype(np.float32),
            "mask": rng.random((2, 2)) < 0.5,
            "large": rng.normal(size=100),
            "word": "even" if self.t % 2 else "odd",
            "none": None,
            "shared": self.shared,
        }
        if self.t % 3 == 0:
            info["sometimes"] = self.t
        return self.observe(), float(action), rng.random() < 0.2, rng.random() < 0.1, info


def make_point():
    return World.of("point_mass:tests/PointMass-v0").make(randomizer="uniform")


def make_reach():
    return World.of("sim2real_envs:sim2real/PandaReach-v0").make(randomizer="uniform")


class Placed(PointMass):
    """A point mass that knows on which node of a Ray cluster it steps."""

    def node(self):
        import ray

        return ray.get_runtime_context().get_node_id()
