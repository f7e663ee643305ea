"""A trajectory holds what happened in an episode; tests/ecosystem writes them with Minari."""

import sys
from contextlib import closing

import numpy as np
import pytest
from point_mass import ID

from sim2real.domains.targets import find_target
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.evaluate import evaluate, record_trajectories
from sim2real.evaluation.rollouts import Evaluator
from sim2real.evaluation.trajectories import Trajectory, TrajectoryRecorder, check_dataset, read_minari


def test_playing_the_actions_again_gives_the_trajectory_again(source):
    trajectories = record_trajectories(source.policy, episodes=7, seed=3, randomizer="uniform")
    with closing(World.of(ID).make()) as env:
        for trajectory in trajectories:
            observation, info = env.reset(seed=trajectory.seed, options={"domain": trajectory.domain})
            np.testing.assert_array_equal(observation, trajectory.observations[0])
            for step, action in enumerate(trajectory.actions):
                observation, reward, terminated, truncated, info = env.step(action)
                np.testing.assert_array_equal(observation, trajectory.observations[step + 1])
                assert reward == trajectory.rewards[step]
            assert len(trajectory) == 20
            assert (terminated, truncated) == (trajectory.terminated, trajectory.truncated) == (False, True)
            assert info["is_success"] == trajectory.is_success


def test_the_trajectories_are_the_episodes_of_the_evaluation(source):
    target = {"drift": 0.4}
    trajectories = record_trajectories(source.policy, target=target, episodes=7, seed=5)
    evaluation = evaluate(source.policy, target=target, episodes=7, seed=5)
    assert [sum(trajectory.rewards.tolist()) for trajectory in trajectories] == list(evaluation.returns)
    assert np.mean([trajectory.is_success for trajectory in trajectories]) == evaluation.success_rate
    assert {tuple(trajectory.domain.items()) for trajectory in trajectories} == {(("gain", 1.0), ("drift", 0.4))}


def test_what_an_env_writes_into_its_arrays_later_is_not_in_the_trajectory():
    class Reused:
        """An env that gives the same array every time."""

        def __init__(self):
            self.array = np.zeros(2)

        def reset(self, seed=None):
            self.array[:] = 0.0
            return self.array, {}

        def step(self, action):
            self.array += 1.0
            return self.array, 0.0, self.array[0] == 3.0, False, {}

        def close(self):
            pass

    class Somewhere:
        def make(self, randomizer):
            return Reused()

    recorder = TrajectoryRecorder()
    with Evaluator(Somewhere(), seed=0, episodes=2) as evaluator:
        evaluator.run(lambda observations: observations, recorder)
    for trajectory in recorder.trajectories:
        assert trajectory.observations[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
        assert trajectory.actions[:, 0].tolist() == [0.0, 1.0, 2.0]
        assert (trajectory.terminated, trajectory.domain, trajectory.is_success) == (True, {}, None)


def test_goal_observations_are_a_dict_of_arrays():
    world = find_target(World.of("sim2real/PandaReach-v0", kwargs={"observation": "goal"}), "mild")
    recorder = TrajectoryRecorder()
    with Evaluator(world, seed=0, episodes=1) as evaluator:
        evaluator.run(lambda observations: np.zeros((1, 3), np.float32), recorder)
        space = evaluator.env.observation_space
    (trajectory,) = recorder.trajectories
    assert {key: part.shape for key, part in trajectory.observations.items()} == {
        key: (len(trajectory) + 1, *part.shape) for key, part in space.items()
    }


def test_numbers_that_do_not_go_together_are_refused():
    arrays = {"actions": np.zeros((3, 1)), "rewards": np.zeros(3), "terminated": True, "truncated": False}
    assert len(Trajectory(observations=np.zeros((4, 2)), **arrays)) == 3
    with pytest.raises(Sim2RealError) as caught:
        Trajectory(observations=np.zeros((3, 2)), **arrays)
    assert str(caught.value) == (
        "a trajectory of 3 actions and 3 rewards has 3 observations; it needs as many rewards as actions, and one "
        "observation more."
    )
    with pytest.raises(Sim2RealError, match="has 2 observations 'goal'; it needs"):
        Trajectory(observations={"state": np.zeros((4, 2)), "goal": np.zeros((2, 2))}, **arrays)


@pytest.mark.parametrize("use", [read_minari, check_dataset, lambda name: evaluate("PandaReach", dataset=name)])
def test_without_minari_the_extra_is_named(use, monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(Sim2RealError) as caught:
        use("panda/worn-v0")
    assert str(caught.value) == "Minari is not installed; install it with: pip install 'sim2real[minari]'."
