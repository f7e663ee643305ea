import gymnasium as gym
import numpy as np
import pytest
from tiny_envs import Echo, GoalDict, Sound, WrongChannels

from sim2real.domains.contract import get_domain, set_domain
from sim2real.domains.randomize import RandomizeDomain
from sim2real.domains.randomizers import Uniform
from sim2real.domains.signals import ActionDelay, ObservationNoise
from sim2real.errors import Sim2RealError


def applied(env, delay, actions):
    env.reset(options={"domain": {"action_delay": delay}})
    for action in actions:
        env.step(np.array([action], np.float32))
    return env.unwrapped.applied


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (0.0, [0.1, 0.2, 0.3, 0.4, 0.5]),
        (1.0, [0.0, 0.1, 0.2, 0.3, 0.4]),
        (2.0, [0.0, 0.0, 0.1, 0.2, 0.3]),
        (3.0, [0.0, 0.0, 0.0, 0.1, 0.2]),
        # (1 - f) a[t-k] + f a[t-k-1]
        (0.25, [0.075, 0.175, 0.275, 0.375, 0.475]),
        (1.5, [0.0, 0.05, 0.15, 0.25, 0.35]),
        (2.9, [0.0, 0.0, 0.01, 0.11, 0.21]),
    ],
)
def test_actions_arrive_late_by_the_closed_form(delay, expected):
    np.testing.assert_allclose(applied(ActionDelay(Echo()), delay, [0.1, 0.2, 0.3, 0.4, 0.5]), expected, atol=1e-7)


def test_no_delay_hands_on_the_very_action():
    class Keeps(Echo):
        def step(self, action):
            self.last = action
            return super().step(action)

    env = ActionDelay(Keeps())
    env.reset(seed=0)
    action = np.array([0.5], np.float32)
    env.step(action)
    assert env.unwrapped.last is action


@pytest.mark.parametrize(("low", "high", "neutral"), [(0.2, 1.0, 0.2), (-1.0, -0.5, -0.5), (-1.0, 1.0, 0.0)])
def test_the_neutral_action_is_the_one_next_to_zero(low, high, neutral):
    assert applied(ActionDelay(Echo(low=low, high=high)), 1.0, [high])[0] == pytest.approx(neutral)


def test_a_reset_forgets_the_actions_under_way():
    env = ActionDelay(Echo())
    set_domain(env, {"action_delay": 2.0})
    env.reset(seed=0)
    env.step(np.array([0.9], np.float32))
    env.reset()
    env.step(np.array([0.1], np.float32))
    env.step(np.array([0.2], np.float32))
    env.step(np.array([0.3], np.float32))
    np.testing.assert_allclose(env.unwrapped.applied, [0.0, 0.0, 0.1], atol=1e-7)


def test_an_agent_may_reuse_its_action_array():
    env = ActionDelay(Echo())
    env.reset(options={"domain": {"action_delay": 1.0}})
    action = np.array([0.5], np.float32)
    env.step(action)
    action[:] = -0.5
    env.step(action)
    assert env.unwrapped.applied == [0.0, 0.5]


def test_a_delayed_action_keeps_type_and_bounds():
    class Keeps(Echo):
        def step(self, action):
            assert action in self.action_space
            return super().step(action)

    applied(ActionDelay(Keeps()), 1.3, [1.0, -1.0, 1.0, 1.0])


def test_a_delay_needs_box_actions():
    with pytest.raises(Sim2RealError) as error:
        ActionDelay(gym.make("CartPole-v1"))
    assert str(error.value) == ("action_delay needs a Box action space, the env has Discrete(2); leave the signal out.")


def noisy(env, factor, seed=0, steps=0, **options):
    env = ObservationNoise(env, **options)
    observations = [env.reset(seed=seed, options={"domain": {"observation_noise": factor}})[0]]
    observations += [env.step(np.zeros(1, np.float32))[0] for _ in range(steps)]
    return np.array(observations)


def test_the_noise_has_the_standard_deviation_asked_for():
    class Still(Echo):
        def reset(self, **kwargs):
            super().reset(**kwargs)
            return np.array([3.0, -2.0]), {}

        def step(self, action):
            return np.array([3.0, -2.0]), 0.0, False, False, {}

    count = 4000
    values = noisy(Still(), 2.0, steps=count - 1, std=0.1)
    for column, mean in ((0, 3.0), (1, -2.0)):
        drawn = values[:, column]
        assert drawn.mean() == pytest.approx(mean, abs=4 * 0.2 / np.sqrt(count))
        assert drawn.std() == pytest.approx(0.2, abs=4 * 0.2 / np.sqrt(2 * count))
    white = values - values.mean(axis=0)
    for a, b in ((white[1:, 0], white[:-1, 0]), (white[:, 0], white[:, 1])):
        assert abs(np.mean(a * b)) < 4 * 0.04 / np.sqrt(count)


def test_named_channels_say_how_noisy_each_number_is():
    quiet, loud = (noisy(Sound(), factor, steps=40) for factor in (0.0, 1.0))
    np.testing.assert_array_equal(loud[:, 1], quiet[:, 1])  # velocity: noise = 0
    difference = loud[:, 0] - quiet[:, 0]
    assert difference.std() == pytest.approx(0.1, rel=0.5)
    assert loud.dtype == np.float32


def test_of_a_dict_only_what_is_measured_is_disturbed():
    env = ObservationNoise(GoalDict())
    observation, _ = env.reset(seed=0, options={"domain": {"observation_noise": 3.0}})
    true, _ = GoalDict().reset(seed=0)
    assert observation["observation"][0] != true["observation"][0]
    np.testing.assert_array_equal(observation["achieved_goal"], true["achieved_goal"])
    np.testing.assert_array_equal(observation["desired_goal"], true["desired_goal"])
    assert observation in env.observation_space
    assert list(observation) == list(true)


def test_noise_stays_inside_the_observation_space():
    env = gym.make("Pendulum-v1")
    values = noisy(env, 3.0, steps=50, std=5.0)
    assert all(value in env.observation_space for value in values)
    assert np.abs(values[:, 0]).max() == 1.0


def test_no_noise_hands_on_the_very_observation():
    np.testing.assert_array_equal(noisy(Echo(), 0.0, steps=5), noisy(Echo(), 0.0, steps=5, std=7.0))


def test_noise_is_repeated_by_its_seed_and_leaves_the_stream_of_the_env_alone():
    clean = noisy(Echo(), 0.0, seed=1, steps=20)
    first, again, other = (noisy(Echo(), 1.0, seed=seed, steps=20) - clean for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)

    class DrawsMore(Echo):
        def step(self, action):
            self.np_random.normal(size=7)
            return super().step(action)

    shifted = noisy(DrawsMore(), 1.0, seed=1, steps=20) - noisy(DrawsMore(), 0.0, seed=1, steps=20)
    np.testing.assert_allclose(shifted, first, atol=1e-12)  # what the env draws does not shift the noise


def test_a_zero_dimensional_or_matrix_observation_is_disturbed_in_its_shape():
    class Matrix(Echo):
        def __init__(self):
            super().__init__()
            self.observation_space = gym.spaces.Box(-9.0, 9.0, (2, 3), np.float32)

        def reset(self, **kwargs):
            gym.Env.reset(self, **kwargs)
            return np.zeros((2, 3), np.float32), {}

    observation = noisy(Matrix(), 1.0)[0]
    assert observation.shape == (2, 3)
    assert len(np.unique(observation)) == 6


def test_channels_that_do_not_cover_the_observation_are_refused():
    with pytest.raises(Sim2RealError) as error:
        ObservationNoise(WrongChannels())
    assert str(error.value) == "observation_channels are 1 wide and the observation 2; name every number once."


@pytest.mark.parametrize("std", [-1.0, 0.0, "abc", float("nan")])
def test_a_standard_deviation_must_be_positive(std):
    with pytest.raises(Sim2RealError) as error:
        ObservationNoise(Echo(), std=std)
    assert str(error.value) == f"observation_noise: std = {std!r} must be a positive number."


def test_noise_needs_box_observations():
    with pytest.raises(Sim2RealError) as error:
        ObservationNoise(gym.make("FrozenLake-v1"))
    assert str(error.value) == (
        "observation_noise needs a Box observation space, the env has Discrete(16); leave the signal out."
    )


@pytest.mark.parametrize("wrapper", [ActionDelay, ObservationNoise])
def test_training_range_and_bound_are_the_users(wrapper):
    (_, parameter), *_ = wrapper(Echo(), high=2.0, train=(0.0, 0.5)).domain_space.items()
    assert (parameter.low, parameter.nominal, parameter.high, parameter.train) == (0.0, 0.0, 2.0, (0.0, 0.5))
    with pytest.raises(Sim2RealError, match="train = "):
        wrapper(Echo(), high=2.0, train=(0.0, 2.5))


def test_one_randomizer_draws_physics_and_signals_together():
    inner = ObservationNoise(ActionDelay(Sound()))
    env = RandomizeDomain(inner, Uniform(inner.domain_space))
    for episode in range(3):
        _, info = env.reset(seed=4 if episode == 0 else None)
        assert list(info["domain"]) == ["gain", "drag", "action_delay", "observation_noise"]
        assert get_domain(env) == info["domain"]


def test_a_run_in_a_domain_repeats_bitwise_after_other_episodes():
    def run(env):
        env.reset(seed=9, options={"domain": {"action_delay": 1.5, "observation_noise": 1.0, "gain": 2.0}})
        return [env.step(np.full(1, 0.3, np.float32))[0].tobytes() for _ in range(20)]

    env, fresh = (ObservationNoise(ActionDelay(Sound())) for _ in range(2))
    for seed in range(3):
        env.reset(seed=seed, options={"domain": {"observation_noise": 2.0}})
        env.step(np.ones(1, np.float32))
    assert run(env) == run(fresh)
