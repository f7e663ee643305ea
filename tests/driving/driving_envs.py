"""What the tests of the driving worlds share: their ids, digests of episodes, random domains."""

import hashlib
import os
import sys

import numpy as np
from driving_plants import ENGINES

from sim2real.domains.contract import domain_space

IDS = [f"sim2real_envs:sim2real/{name}-v0" for name in ("Drive", "DriveTraffic", "SkidDrive")]
WORLDS = [(env_id, engine) for env_id in IDS for engine in ENGINES]


def digest(env, seed, domain=None, steps=60):
    """Return a hash of all that an episode of random actions shows, bit by bit."""
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed, options={"domain": domain or {}})
    result = hashlib.sha256(observation.tobytes())
    for _ in range(steps):
        action = rng.uniform(-0.3, 1, env.action_space.shape).astype(np.float32)
        observation, reward, terminated, *_ = env.step(action)
        result.update(observation.tobytes() + np.float64(reward).tobytes())
        if terminated:
            observation, _ = env.reset()
    return result.hexdigest()


def random_domain(env, rng, *, corners=False):
    space = domain_space(env)
    draws = {name: rng.uniform(p.low, p.high) for name, p in space.items()}
    if corners:
        draws = {name: float(rng.choice([p.low, p.high, draws[name]])) for name, p in space.items()}
    return draws


def user_environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
