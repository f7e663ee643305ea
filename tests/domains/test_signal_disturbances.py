"""Pushes and missed control steps, against what they say they do."""

import gymnasium as gym
import numpy as np
import pytest
from tiny_envs import Echo, Sound

from sim2real.domains.signals import MissedSteps, Pushes
from sim2real.errors import Sim2RealError

ACTION = np.zeros(1, np.float32)


class Pushed(Sound):
    length = 4000
    push_space = gym.spaces.Box(-np.array([2.0, 2.0]), np.array([2.0, 2.0]), dtype=np.float64)

    def reset(self, **arguments):
        self.impulses = []
        return super().reset(**arguments)

    def push(self, impulse):
        self.impulses.append((self.steps, np.array(impulse)))


def test_pushes_come_as_often_and_as_strong_as_they_say_from_all_sides():
    env = Pushes(Pushed(), every=10)
    env.reset(seed=0, options={"domain": {"push": 0.5}})
    for _ in range(Pushed.length):
        env.step(ACTION)
    impulses = np.array([impulse for _, impulse in env.unwrapped.impulses])
    assert len(impulses) == pytest.approx(400, abs=4 * np.sqrt(400 * 0.9))
    np.testing.assert_allclose(np.linalg.norm(impulses, axis=1), 1.0)
    assert np.abs(impulses.mean(axis=0)).max() < 4 * np.sqrt(0.5 / len(impulses))
    gaps = np.diff([step for step, _ in env.unwrapped.impulses])
    assert gaps.mean() == pytest.approx(10, rel=0.2)
    assert gaps.std() == pytest.approx(10, rel=0.25)  # as random moments have it


def test_an_env_that_cannot_be_pushed_is_refused():
    with pytest.raises(Sim2RealError) as error:
        Pushes(Echo())
    assert str(error.value) == "pushes needs an env with push_space and push(impulse); leave the signal out."


@pytest.mark.parametrize(
    ("signal", "options", "message"),
    [
        (Pushes, {"every": 0.5}, "pushes: every = 0.5 must be a number of at least 1."),
        (Pushes, {"high": 2}, "pushes: high = 2 must be a number between 0 and 1."),
        (MissedSteps, {"high": 1.5}, "missed_steps: high = 1.5 must be a number between 0 and 1."),
    ],
)
def test_a_wrong_option_is_refused(signal, options, message):
    with pytest.raises(Sim2RealError) as error:
        signal(Pushed(), **options)
    assert str(error.value) == message


class Counts(Sound):
    """Rewards with the number of the step."""

    def step(self, action):
        observation, _, terminated, truncated, info = super().step(action)
        info["reward/count"] = float(self.steps)
        return observation, float(self.steps), terminated, truncated, info


def test_a_missed_step_repeats_the_action_and_the_return_stays_what_it_is():
    env = MissedSteps(Counts(), high=0.5)
    env.reset(seed=0, options={"domain": {"missed_steps": 0.3}})
    rewards, terms, taken, over = [], [], [], False
    while not over:
        before = env.unwrapped.steps
        _, reward, terminated, truncated, info = env.step(ACTION)
        rewards.append(reward)
        terms.append(info["reward/count"])
        taken.append(env.unwrapped.steps - before)
        over = terminated or truncated
    assert set(taken) == {1, 2}
    assert sum(taken) == Sound.length
    assert sum(rewards) == sum(terms) == Sound.length * (Sound.length + 1) / 2
    assert np.mean(np.array(taken) == 2) == pytest.approx(0.3, abs=0.2)


def test_the_end_of_an_episode_is_not_stepped_over():
    env = MissedSteps(Counts(), high=1.0)
    env.reset(seed=0, options={"domain": {"missed_steps": 1.0}})
    steps = 0
    while True:
        steps += 1
        *_, terminated, truncated, _ = env.step(ACTION)
        if terminated or truncated:
            break
    assert steps == Sound.length // 2
    assert env.unwrapped.steps == Sound.length
