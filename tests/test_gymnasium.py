"""Gymnasium's vector envs work on every world, and see what single envs see."""

import multiprocessing
from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import sim2real_envs  # noqa: F401 - registers the worlds

IDS = sorted(env_id for env_id in gym.registry if env_id.startswith("sim2real/"))
LANES, STEPS = 2, 12
LIMIT = 5
"""Steps of an episode: the test sees it end twice."""


def actions_for(env_id):
    """Return random actions of every step and lane."""
    with closing(gym.make(env_id)) as env:
        space = env.action_space
    shape = (STEPS, LANES, *space.shape)
    return np.random.default_rng(0).uniform(space.low, space.high, shape).astype(space.dtype)


def alone(env_id, seed, actions):
    """Return what one env sees that is stepped as a lane is: the step after the end of an episode is a reset."""
    with closing(gym.make(env_id, max_episode_steps=LIMIT)) as env:
        seen = [(env.reset(seed=seed)[0], 0.0, False, False)]
        for action in actions:
            over = seen[-1][2] or seen[-1][3]
            seen.append((env.reset()[0], 0.0, False, False) if over else env.step(action)[:4])
    return seen


def assert_lanes_see_what_one_env_sees(env_id, name, mode, **kwargs):
    actions = actions_for(env_id)
    with closing(gym.make_vec(name, LANES, mode, vector_kwargs=kwargs, max_episode_steps=LIMIT)) as envs:
        assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
        seen = [(envs.reset(seed=7)[0], *np.zeros((3, LANES)))] + [envs.step(both)[:4] for both in actions]
    for lane in range(LANES):
        expected = alone(env_id, 7 + lane, actions[:, lane])
        assert sum(moment[3] for moment in expected) == STEPS // (LIMIT + 1)
        for moment, expected_moment in zip(seen, expected, strict=True):
            for part, expected_part in zip(moment, expected_moment, strict=True):
                np.testing.assert_array_equal(part[lane], expected_part)


@pytest.mark.parametrize("env_id", IDS)
def test_the_lanes_of_a_vector_env_see_what_one_env_sees(env_id):
    assert_lanes_see_what_one_env_sees(env_id, env_id, "sync")


@pytest.mark.parametrize("context", multiprocessing.get_all_start_methods())
def test_lanes_in_processes_of_their_own_see_the_same(context):
    env_id = "sim2real/PandaReach-v0"
    # A process that starts afresh registers the world by the module that stands in front.
    assert_lanes_see_what_one_env_sees(env_id, f"sim2real_envs:{env_id}", "async", context=context)
