"""What the tests of the driving worlds share: their ids, digests of episodes, random domains."""

import hashlib

import numpy as np
from driving_plants import ENGINES

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
