"""What the vectorized envs of both kinds, in processes and on a cluster, are put through alike."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from point_mass import PointMass
from sampler_envs import Wrong
from stable_baselines3.common.vec_env import DummyVecEnv

from sim2real.errors import Sim2RealError


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


def assert_like_one_process(vec_env, factory, steps):
    """Compare a vectorized env of three envs with the one that Stable-Baselines3 steps in one process; close both."""
    one = DummyVecEnv([factory] * 3)
    assert vec_env.observation_space == one.observation_space
    assert vec_env.action_space == one.action_space
    assert_same(play(vec_env, steps), play(one, steps))
    assert_same(play(vec_env, 5, seed=6), play(one, 5, seed=6))
    one.close()
    vec_env.close()


def assert_reaches_envs(vec_env):
    """Ask three point masses for attributes and methods, and close them."""
    vec_env.seed(0)
    vec_env.reset()
    vec_env.set_attr("drift", 0.25, indices=[1])
    assert vec_env.get_attr("drift", indices=[1]) == [0.25]
    assert vec_env.get_attr("drift")[1] == 0.25
    assert vec_env.env_method("get_domain", indices=[1])[0]["drift"] == 0.25
    assert vec_env.has_attr("gain")
    assert not vec_env.has_attr("glory")
    assert vec_env.env_is_wrapped(gym.wrappers.TimeLimit) == [True] * 3
    with pytest.raises(Sim2RealError, match=r"^env 2 failed at step 0 of episode 1 since seed 2 .*AttributeError"):
        vec_env.get_attr("glory", indices=[2])
    vec_env.step_async(np.zeros((3, 1), np.float32))
    with pytest.raises(RuntimeError, match="a step is under way"):
        vec_env.get_attr("drift")
    vec_env.step_wait()
    vec_env.close()
    vec_env.close()


def begin_broken(vec_env_class, what, **kwargs):
    """Return three point masses after a reset, of which the second goes wrong at its third step."""
    vec_env = vec_env_class([PointMass, partial(Wrong, what), PointMass], workers=2, **kwargs)
    vec_env.seed(10)
    vec_env.reset()
    return vec_env


def fail_at_third_step(vec_env):
    """Take three steps of :func:`begin_broken`; return the error of the third."""
    actions = np.zeros((3, 1), np.float32)
    vec_env.step(actions)
    vec_env.step(actions)
    with pytest.raises(Sim2RealError) as caught:
        vec_env.step(actions)
    return caught.value
