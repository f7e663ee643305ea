"""Hindsight: what is relabelled is what would have been seen and earned, had the goal been where things went."""

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

from sim2real.domains.channels import Channel
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.hindsight import HindsightReplayBuffer
from sim2real.training.learner import make_learner, make_training_env
from sim2real.training.train import make_config


class Line(gym.Env):
    """A point on a line; it is seen with the goal relative to it, and pays for the distance and for its effort."""

    observation_space = gym.spaces.Box(-99.0, 99.0, (2,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    observation_channels = tuple(
        Channel(name=name, width=1, unit="m", low=-99.0, high=99.0) for name in ("position", "goal_offset")
    )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.goal = self.np_random.normal(size=2)
        return self._observe(), {}

    def step(self, action):
        self.x += float(action[0])
        reward = float(self.goal_reward(self._observe()[None])[0]) - 0.1 * abs(float(action[0]))
        return self._observe(), reward, False, False, {}

    def goal_reward(self, observations):
        return -np.abs(observations[:, 1])

    def _observe(self):
        return np.array([self.x, self.goal - self.x], np.float32)


def make_buffer(fraction, *, size=40, steps=100, seam=None):
    """Return a buffer of two envs with episodes of 7 steps, that has been filled more than twice."""
    env = DummyVecEnv([lambda: gym.wrappers.TimeLimit(Line(), 7)] * 2)
    buffer = HindsightReplayBuffer(
        size * 2, env.observation_space, env.action_space, n_envs=2, offset=(1, 2), fraction=fraction
    )
    buffer.set_env(env.envs[0])
    env.seed(0)
    observations = env.reset()
    rng = np.random.default_rng(0)
    for step in range(steps):
        if step == seam:
            buffer.truncate_last_trajectory()
            observations = env.reset()
        actions = rng.uniform(-1, 1, (2, 1)).astype(np.float32)
        after, rewards, dones, infos = env.step(actions)
        real_after = after.copy()
        for i in np.flatnonzero(dones):
            real_after[i] = infos[i]["terminal_observation"]
        buffer.add(observations, real_after, actions, rewards, dones, infos)
        observations = after
    return buffer


def draw(buffer, count):
    """Return rows and envs of transitions; what the buffer draws itself is seeded, too."""
    np.random.seed(0)  # noqa: NPY002
    rng = np.random.default_rng(0)
    return rng.integers(0, buffer.size(), count), rng.integers(0, 2, count)


def episodes_of(buffer):
    """Return the set of positions reached in each episode that the buffer holds, by its goal."""
    reached = {}
    for row in range(buffer.size()):
        for env in range(2):
            x, offset = buffer.next_observations[row, env]
            reached.setdefault((env, round(float(x + offset), 4)), []).append(float(x))
    return reached


@pytest.mark.parametrize("steps", [5, 30, 100])
@pytest.mark.parametrize("seam", [None, 3])
def test_a_relabelled_step_is_what_would_have_been_seen_and_earned(steps, seam):
    buffer = make_buffer(1.0, steps=steps, seam=seam)
    reached = episodes_of(buffer)
    rows, envs = draw(buffer, 500)
    before, after = buffer.observations[rows, envs], buffer.next_observations[rows, envs]
    goals = (after[:, 0] + after[:, 1]).copy()
    rewards = buffer.relabel(rows, envs, before, after, buffer.rewards[rows, envs])
    new_goals = after[:, 0] + after[:, 1]
    np.testing.assert_allclose(before[:, 0] + before[:, 1], new_goals, atol=1e-5)
    efforts = 0.1 * np.abs(buffer.actions[rows, envs, 0])
    np.testing.assert_allclose(rewards, -np.abs(after[:, 1]) - efforts, atol=1e-5)
    for env, goal, new_goal in zip(envs, goals, new_goals, strict=True):
        assert np.min(np.abs(np.subtract(reached[env, round(float(goal), 4)], new_goal))) < 1e-5
    assert np.mean(np.abs(new_goals - goals) > 1e-4) > 0.9


def test_new_goals_lie_in_the_future_and_reach_to_the_end_of_the_episode():
    buffer = make_buffer(1.0, size=14, steps=14)
    rows, envs = np.full(400, 2), np.zeros(400, int)
    before, after = buffer.observations[rows, envs], buffer.next_observations[rows, envs]
    buffer.relabel(rows, envs, before, after, buffer.rewards[rows, envs])
    positions = buffer.next_observations[2:7, 0, 0]
    steps = np.argmin(np.abs(positions - (after[:, 0] + after[:, 1])[:, None]), axis=1)
    assert set(steps) == {0, 1, 2, 3, 4}


def test_the_fraction_is_kept_and_none_means_the_plain_buffer():
    for fraction in (0.0, 0.3):
        buffer = make_buffer(fraction)
        rows, envs = draw(buffer, 4000)
        before, after = buffer.observations[rows, envs], buffer.next_observations[rows, envs]
        buffer.relabel(rows, envs, before, after, buffer.rewards[rows, envs])
        changed = np.mean(np.abs(after - buffer.next_observations[rows, envs]).max(1) > 1e-6)
        assert abs(changed - fraction) < 0.04
        if fraction == 0.0:
            np.testing.assert_array_equal(before, buffer.observations[rows, envs])


def test_sampling_as_sb3_does_and_as_the_fast_learner_does_obey_the_same_rule():
    data = make_buffer(1.0).sample(300)
    efforts = 0.1 * data.actions.abs()
    expected = -data.next_observations[:, 1:].abs() - efforts
    np.testing.assert_allclose(data.rewards, expected, atol=1e-5)


def settings(algo, hindsight):
    world, hyperparameters = World.of("Pendulum-v1"), {"hindsight": hindsight}
    config = make_config(world, algo=algo, randomizer="none", steps=100, seed=0, hyperparameters=hyperparameters)
    return config.hyperparameters


def test_an_env_without_the_channel_is_refused_and_ppo_has_no_hindsight():
    env = DummyVecEnv([lambda: gym.make("Pendulum-v1")])
    with pytest.raises(Sim2RealError) as error:
        make_learner("sac", env, settings("sac", 0.8), seed=0, steps=100)
    assert str(error.value) == (
        "hyperparameter hindsight = 0.8 needs an env with a channel 'goal_offset' and a method goal_reward(); "
        "set it to 0."
    )
    with pytest.raises(Sim2RealError, match="unknown ppo hyperparameter 'hindsight'"):
        settings("ppo", 0.8)
    with pytest.raises(Sim2RealError, match=r"hindsight = 1\.5 must be a number of at least 0 and at most 1"):
        settings("sac", 1.5)


def test_with_goals_in_the_observation_learning_waits_for_the_end_of_an_episode():
    world = World.of("sim2real_envs:sim2real/PandaReach-v0", kwargs={"observation": "goal"})
    small = {"learning_starts": 10, "n_envs": 2, "batch_size": 16, "net_arch": [8], "gradient_steps": 1}
    config = make_config(world, algo="sac", randomizer="none", steps=200, seed=0, hyperparameters=small)
    vec_env = make_training_env(world, "none", config.hyperparameters, config.n_envs)
    learner = make_learner("sac", vec_env, config.hyperparameters, seed=0, steps=config.steps)
    learner.learn(98)  # of episodes of 50 steps in two envs
    assert learner._n_updates == 0
    learner.learn(20, reset_num_timesteps=False)
    assert learner._n_updates == 10
    vec_env.close()
