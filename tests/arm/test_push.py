"""Push can be solved: a hand-written pusher does it with every robot, and what a target changes can be seen."""

import gymnasium as gym
import numpy as np
import pytest
from arm_envs import push

from sim2real_envs.engines import ENGINES


def run(env, seed, domain=None):
    observation, _ = env.reset(seed=seed, options={"domain": domain or {}})
    for _ in range(50):
        observation, _, _, truncated, info = env.step(push(observation))
    assert truncated
    return info


@pytest.mark.parametrize("robot", ["Panda", "Kuka", "XArm6"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_careful_pusher_succeeds(robot, engine):
    env = gym.make(f"sim2real_envs:sim2real/{robot}Push-v0", engine=engine)
    assert sum(run(env, seed)["is_success"] for seed in range(6)) >= 5
    env.close()


def test_no_pusher_moves_what_it_cannot_hold():
    env = gym.make("sim2real_envs:sim2real/PandaPush-v0")
    ice = {"object_friction": 0.15, "table_friction": 0.15, "gravity_tilt": 0.1}
    infos = [run(env, seed, ice) for seed in range(6)]
    assert np.mean([info["is_success"] for info in infos]) < 0.5
    env.close()


def test_the_hand_does_not_go_through_the_table():
    for control, action in (("ee", [0.0, 0.0, -1.0]), ("joint", [0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0])):
        env = gym.make("sim2real_envs:sim2real/PandaPush-v0", control=control)
        env.reset(seed=0)
        lowest = min(env.step(np.array(action, np.float32))[0][2] for _ in range(25))
        assert lowest > -0.01
        env.close()
