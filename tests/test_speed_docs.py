"""What docs/speed.md says was measured, and measured as it says."""

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from sim2real_envs.bullet import pybullet

REPO = Path(__file__).parent.parent
PAGE = (REPO / "docs/speed.md").read_text(encoding="utf-8")
RESULTS = json.loads((REPO / "docs/results/envs.json").read_text(encoding="utf-8"))
pytestmark = pytest.mark.usefixtures("scripts")


def test_the_page_is_rendered_from_the_figures_that_are_kept():
    import benchmark_envs

    assert benchmark_envs.rendered(PAGE, RESULTS) == PAGE


def test_a_missed_goal_is_shown_as_missed():
    from speed.figures import figure, table_lines

    found = figure("arms", "Reach", [2.0, 3.0, 9.0], "×", least=4.5)
    assert (found.value, found.low, found.high) == (3.0, 2.0, 9.0)
    assert table_lines([found]) == [
        "|  | measured | goal |  |",
        "| --- | --- | --- | --- |",
        "| Reach | 3.00 [2.00, 9.00] × | ≥ 4.5 | **missed** |",
    ]
    assert figure("arms", "Reach", [4.5], "×", least=4.5).verdict == "met"
    assert figure("floors", "Reach", [1.5], "×", most=1.45).verdict == "missed"
    assert figure("mujoco", "Reach", [1.5], "×").verdict == ""


def test_every_world_is_measured():
    from env_speed.worlds import ALL

    assert {"sim2real/PandaReach-v0", "sim2real/Drive-v0", "sim2real/Labyrinth-v0"} < set(ALL)
    names = {env_id.removeprefix("sim2real/") for env_id in ALL}
    for part in ("floors", "resets", "memory"):
        measured = {entry["name"].split(",")[0] for entry in RESULTS["figures"] if entry["part"] == part}
        assert measured == names, part
    assert all(entry["value"] > 0.0 or entry["part"] in ("memory", "fidelity") for entry in RESULTS["figures"])


def test_figures_that_are_kept_come_from_enough_rounds():
    assert RESULTS["rounds"] >= 5
    assert f"over {RESULTS['resets']:,} resets" in PAGE


class Counting(gym.Env):
    """Ends every third step; counts."""

    action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self):
        self.steps, self.seeds, self.actions = 0, [], []

    def reset(self, *, seed=None, options=None):
        self.seeds.append(seed)
        return 0, {}

    def step(self, action):
        self.steps += 1
        self.actions.append(action)
        return 0, 0.0, self.steps % 3 == 0, False, {}


def test_the_same_seed_makes_the_same_steps():
    from env_speed.timing import step_times

    first, second = Counting(), Counting()
    assert len(step_times(first, 7, seed=5)) == 7
    step_times(second, 7, seed=5)
    np.testing.assert_array_equal(first.actions, second.actions)
    assert first.actions[0].dtype == np.float32
    assert first.seeds == second.seeds == [5, 7, 10]


def test_the_floor_is_that_of_the_same_motion_and_leaves_the_engine_as_it_was():
    from env_speed.worlds import engine_times

    env, original = gym.make("sim2real_envs:sim2real/PandaReach-v0"), pybullet.stepSimulation
    calls = []

    class Watched(gym.Wrapper):
        def step(self, action):
            calls.append(pybullet.stepSimulation is not original)
            return super().step(action)

    times = engine_times(Watched(env), 5, 0, "stepSimulation")
    assert calls == [True] * 5
    assert pybullet.stepSimulation is original
    assert len(times) == 5
    assert min(times) > 0.0
    env.close()


@pytest.mark.parametrize("robot", ["panda", "kuka", "xarm6"])
def test_the_lean_model_alone_moves_as_the_stock_robot_does(robot):
    from env_speed.fidelity import deviations

    most, rms = deviations(robot)["the lean model alone"]
    assert most < 0.2  # mm
    assert rms < 0.05
