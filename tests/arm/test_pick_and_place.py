"""PickAndPlace can be solved: a hand-written picker does it; without the force of the gripper nobody does."""

import gymnasium as gym
import numpy as np
import pytest
from arm_envs import pick

from sim2real_envs.engines import ENGINES


def run(env, seed, domain=None):
    observation, _ = env.reset(seed=seed, options={"domain": domain or {}})
    closing = 0
    for _ in range(50):
        action, closing = pick(observation, closing)
        observation, *_, info = env.step(action)
    return info


@pytest.mark.parametrize("robot", ["Panda", "Kuka", "XArm6"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_careful_picker_succeeds(robot, engine):
    env = gym.make(f"sim2real_envs:sim2real/{robot}PickAndPlace-v0", engine=engine)
    assert sum(run(env, seed)["is_success"] for seed in range(10)) >= 8
    env.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_too_heavy_for_smooth_weak_fingers_is_not_lifted(engine):
    env = gym.make("sim2real_envs:sim2real/PandaPickAndPlace-v0", engine=engine)
    weak = {"gripper_force": 0.1, "gripper_friction": 0.1, "object_mass": 1.0}
    for seed in range(6):
        run(env, seed, weak)
        assert env.unwrapped.task.cube.position[2] < 0.06
    env.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_fingers_open_and_close_as_told(engine):
    env = gym.make("sim2real_envs:sim2real/PandaPickAndPlace-v0", engine=engine)
    observation, _ = env.reset(seed=0)
    assert observation[-1] == pytest.approx(0.08)
    for command, opening in ((-1.0, 0.0), (0.0, 0.04), (1.0, 0.08)):
        for _ in range(20):
            observation, *_ = env.step(np.array([0.0, 0.0, 0.3, command], np.float32))
        assert observation[-1] == pytest.approx(opening, abs=0.003)
    env.close()
