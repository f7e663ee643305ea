"""What hindsight asks of the arms: the reward of a goal, from what is observed."""

from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest

import sim2real_envs  # noqa: F401 - registers the worlds


@pytest.mark.parametrize("engine", ["pybullet", "mujoco"])
@pytest.mark.parametrize("task", ["Reach", "Push", "PickAndPlace"])
@pytest.mark.parametrize("control", ["ee", "joint"])
def test_the_goal_reward_of_an_observation_is_that_of_the_step(engine, task, control):
    with closing(gym.make(f"sim2real/Panda{task}-v0", control=control, engine=engine)) as env:
        env.action_space.seed(0)
        env.reset(seed=0)
        for _ in range(20):
            observation, reward, _, _, info = env.step(env.action_space.sample())
            others = [info[f"reward/{name}"] for name in env.unwrapped.task.other_names]
            expected = reward - sum(others)
            goal_reward = env.unwrapped.goal_reward(observation[None])
            assert goal_reward.shape == (1,)
            np.testing.assert_allclose(goal_reward[0], expected, atol=1e-4)


def test_the_column_of_the_goal_is_where_the_channels_say():
    env = gym.make("sim2real/PandaPush-v0")
    names = [channel.name for channel in env.unwrapped.observation_channels for _ in range(channel.width)]
    assert names[6:9] == ["goal_offset"] * 3
    assert names[9:12] == ["object_offset"] * 3
    env.close()
