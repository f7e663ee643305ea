"""What the tests of the arm worlds share: digests of episodes, random domains, a hand-written pusher."""

import hashlib

import numpy as np


def parts(observation):
    return list(observation.values()) if isinstance(observation, dict) else [observation]


def digest(env, seed, domain=None, steps=50):
    """Return a hash of all that an episode of random actions shows, bit by bit."""
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed, options={"domain": domain or {}})
    result = hashlib.sha256(b"".join(part.tobytes() for part in parts(observation)))
    for _ in range(steps):
        action = rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        observation, reward, *_ = env.step(action)
        result.update(b"".join(part.tobytes() for part in parts(observation)) + np.float64(reward).tobytes())
    return result.hexdigest()


def push(observation, reach=0.0525):
    """Return the action of a slow and careful pusher: over the cube, down behind it, forward.

    Args:
        observation: Flat observation of a Push world with end-effector control.
        reach: Distance of the end effector from the cube's middle where it goes down [m].
    """
    height, goal, cube = observation[2], observation[6:8], observation[9:11]
    distance = np.linalg.norm(goal)
    ahead = goal / max(distance, 1e-6)
    across = cube @ ahead * ahead - cube
    lift = 0.02 - height
    if distance < 0.015:
        return np.clip([*(-0.25 * ahead), 0.0], -1, 1).astype(np.float32)
    if cube @ ahead < reach - 0.015 - 0.02 * (np.linalg.norm(across) < 0.015):
        aim = cube - (reach + 0.02) * ahead
        return np.clip([*(25 * aim), 25 * (0.1 - height if np.linalg.norm(aim) > 0.03 else lift)], -1, 1).astype(
            np.float32
        )
    if height > 0.035:
        return np.clip([*(25 * (cube - (reach + 0.02) * ahead)), 25 * lift], -1, 1).astype(np.float32)
    step = 33 * (ahead * min(0.012, 0.3 * distance + 0.004) - 0.5 * across)
    return np.clip([*step, 3 * lift], -1, 1).astype(np.float32)


def pick(observation, closing):
    """Return the action of a careful picker, and for how many steps it has been closing the fingers.

    Args:
        observation: Flat observation of a PickAndPlace world with end-effector control.
        closing: What this function returned before; 0 at the start.
    """
    goal, cube = observation[6:9], observation[9:12]
    if closing == 0:
        aside = np.linalg.norm(cube[:2])
        down = cube[2] if aside < 0.02 else max(cube[2], 0.07 - observation[2])
        action = [*(20 * cube[:2]), 20 * down, 1.0]
        closing = int(aside < 0.01 and abs(cube[2]) < 0.008)
    else:
        closing += 1
        action = [0.0, 0.0, 0.0, -1.0] if closing < 6 else [*(13 * goal), -1.0]
    return np.clip(action, -1, 1).astype(np.float32), closing
