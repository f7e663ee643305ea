"""What is seen in envs that are stepped at random, and how it is compared."""

import gymnasium as gym
import numpy as np


def assert_same(one, other):
    """Compare what two vectorized envs return, infos and all."""
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert type(one) is type(other) or isinstance(one, np.int64)  # how a number of an observation is kept
        np.testing.assert_array_equal(one, other)


def play(vec_env, steps, seed=5):
    """Return all that is seen in some steps of random actions."""
    rng = np.random.default_rng(seed)
    vec_env.seed(seed)
    vec_env.set_options({"why": "first"})
    seen = [vec_env.reset(), list(vec_env.reset_infos)]
    space = vec_env.action_space
    for _ in range(steps):
        if isinstance(space, gym.spaces.Discrete):
            actions = rng.integers(space.n, size=vec_env.num_envs)
        else:
            actions = rng.uniform(-1, 1, (vec_env.num_envs, *space.shape)).astype(np.float32)
        seen += [*vec_env.step(actions), [dict(info) for info in vec_env.reset_infos]]
    return seen
