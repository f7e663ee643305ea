import gymnasium as gym
import numpy as np
import pytest
from tiny_envs import Echo, GoalDict, Sound, Tape, WrongChannels

from sim2real.domains.contract import get_domain, set_domain
from sim2real.domains.randomize import RandomizeDomain
from sim2real.domains.randomizers import Uniform
from sim2real.domains.signals import ActionDelay, ObservationDelay, ObservationNoise
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


RAMP = np.arange(1, 3001) / 3000.0  # read linearly between its steps, it tells how old what arrives is


def delays_of_actions(delay, jitter, seed=0):
    env = ActionDelay(Tape(), jitter=2.0)
    env.reset(seed=seed, options={"domain": {"action_delay": delay, "action_delay_jitter": jitter}})
    for action in RAMP:
        env.step(np.array([action]))
    return (RAMP - np.ravel(env.unwrapped.actions))[10:] * 3000.0


def delays_of_observations(delay, jitter, seed=0):
    env = ObservationDelay(Tape(np.array([0.0, *RAMP])[:, None]), jitter=2.0)
    env.reset(seed=seed, options={"domain": {"observation_delay": delay, "observation_delay_jitter": jitter}})
    return (RAMP - [env.step(np.zeros(1))[0][0] for _ in RAMP])[10:] * 3000.0


@pytest.mark.parametrize("delays", [delays_of_actions, delays_of_observations])
def test_jitter_is_uniform_around_the_delay_and_new_in_every_step(delays):
    drawn = delays(1.5, 1.0)
    assert 0.5 - 1e-9 <= drawn.min() < 0.51
    assert 2.49 < drawn.max() <= 2.5 + 1e-9
    assert drawn.mean() == pytest.approx(1.5, abs=4 * np.sqrt(1 / 3 / len(drawn)))
    assert drawn.var() == pytest.approx(1 / 3, rel=0.1)
    centred = drawn - drawn.mean()
    assert abs(np.mean(centred[1:] * centred[:-1])) < 4 / 3 / np.sqrt(len(drawn))
    np.testing.assert_array_equal(delays(1.5, 1.0), drawn)
    assert not np.array_equal(delays(1.5, 1.0, seed=1), drawn)


@pytest.mark.parametrize("delays", [delays_of_actions, delays_of_observations])
def test_jitter_never_lets_anything_arrive_early_and_reaches_beyond_the_longest_delay(delays):
    assert delays(0.5, 2.0).min() == pytest.approx(0.0, abs=1e-9)
    assert np.mean(delays(0.0, 2.0) < 1e-9) == pytest.approx(0.5, abs=0.05)
    assert 4.99 < delays(3.0, 2.0).max() <= 5.0 + 1e-9
    np.testing.assert_allclose(delays(2.0, 0.0), 2.0, atol=1e-9)


@pytest.mark.parametrize(("wrapper", "name"), [(ActionDelay, "action_delay"), (ObservationDelay, "observation_delay")])
def test_jitter_is_a_parameter_where_it_is_asked_for(wrapper, name):
    assert list(wrapper(Echo()).domain_space) == [name]
    space = wrapper(Echo(), jitter=0.5).domain_space
    jitter = space[f"{name}_jitter"]
    assert list(space) == [name, f"{name}_jitter"]
    assert (jitter.nominal, jitter.low, jitter.high, jitter.unit) == (0.0, 0.0, 0.5, "steps")
    for bad in (-1.0, "abc", float("inf")):
        with pytest.raises(Sim2RealError) as error:
            wrapper(Echo(), jitter=bad)
        assert str(error.value) == f"{name}: jitter = {bad!r} must be a number of at least 0."


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (0.0, [1.0, 2.0, 3.0, 4.0, 5.0]),
        (1.0, [1.0, 1.0, 2.0, 3.0, 4.0]),
        (3.0, [1.0, 1.0, 1.0, 1.0, 2.0]),
        # (1 - f) o[t-k] + f o[t-k-1]
        (0.25, [1.0, 1.75, 2.75, 3.75, 4.75]),
        (1.5, [1.0, 1.0, 1.5, 2.5, 3.5]),
    ],
)
def test_observations_arrive_late_by_the_closed_form(delay, expected):
    env = ObservationDelay(Tape(np.arange(1.0, 6.0)[:, None]))
    observed = [env.reset(options={"domain": {"observation_delay": delay}})[0]]
    observed += [env.step(np.zeros(1))[0] for _ in range(4)]
    np.testing.assert_allclose(np.ravel(observed), expected)


def test_a_late_picture_is_an_older_one_or_a_mixture_of_two_of_the_same_type():
    pictures = np.array([[[10, 11], [12, 13]], [[20, 22], [24, 26]], [[99, 99], [99, 99]]], np.uint8)
    space = gym.spaces.Box(0, 255, (2, 2), np.uint8)
    for delay, expected in ((1.0, pictures[1]), (1.5, [[15, 16], [18, 20]])):  # halves go to the even number
        env = ObservationDelay(Tape(pictures, space))
        env.reset(options={"domain": {"observation_delay": delay}})
        env.step(np.zeros(1))
        late = env.step(np.zeros(1))[0]
        np.testing.assert_array_equal(late, expected)
        assert late.dtype == np.uint8


def test_of_a_dict_only_what_is_measured_is_late():
    env, true = ObservationDelay(GoalDict()), GoalDict()
    env.reset(seed=0, options={"domain": {"observation_delay": 1.0}})
    before, _ = true.reset(seed=0)
    push = np.ones(1, np.float32)
    late, now = env.step(push)[0], true.step(push)[0]
    np.testing.assert_array_equal(late["observation"], before["observation"])
    np.testing.assert_array_equal(late["achieved_goal"], now["achieved_goal"])
    assert late["achieved_goal"][1] != before["achieved_goal"][1]


def test_an_env_may_reuse_its_observation_array():
    class Reuses(Tape):
        array = np.zeros(1)

        def show(self):
            self.array[:] = len(self.actions)
            return self.array

    env = ObservationDelay(Reuses())
    env.reset(options={"domain": {"observation_delay": 2.0}})
    assert [float(env.step(np.zeros(1))[0][0]) for _ in range(4)] == [0.0, 0.0, 1.0, 2.0]


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


def test_a_bias_is_drawn_once_an_episode_with_the_standard_deviation_asked_for():
    count = 500
    env = ObservationNoise(Tape(), std=0.1, bias=2.0)
    episodes = []
    for episode in range(count):
        domain = {"observation_bias": 2.0}
        observed = [env.reset(seed=5 if episode == 0 else None, options={"domain": domain})[0]]
        observed += [env.step(np.zeros(1))[0] for _ in range(3)]
        assert len(np.unique(observed)) == 1
        episodes.append(observed[0])
    assert np.mean(episodes) == pytest.approx(0.0, abs=4 * 0.2 / np.sqrt(count))
    assert np.std(episodes) == pytest.approx(0.2, abs=4 * 0.2 / np.sqrt(2 * count))


def test_bias_and_noise_add_up_and_follow_the_channels():
    def run(**domain):
        env = ObservationNoise(Sound(), bias=2.0)
        observed = [env.reset(seed=1, options={"domain": domain})[0]]
        return np.array([*observed, *(env.step(np.zeros(1, np.float32))[0] for _ in range(200))])

    clean, biased, both = run(), run(observation_bias=1.0), run(observation_bias=1.0, observation_noise=0.5)
    offset = (biased - clean)[0]
    assert offset[0] != 0.0
    assert offset[1] == 0.0  # velocity: noise = 0
    np.testing.assert_allclose((both - clean).mean(axis=0), offset, atol=4 * 0.05 / np.sqrt(200))
    assert (both - clean)[:, 0].std() == pytest.approx(0.05, rel=0.25)


def test_bias_is_a_parameter_where_it_is_asked_for():
    assert list(ObservationNoise(Echo()).domain_space) == ["observation_noise"]
    bias = ObservationNoise(Echo(), bias=2.0).domain_space["observation_bias"]
    assert (bias.nominal, bias.low, bias.high, bias.unit) == (0.0, 0.0, 2.0, "1")
    with pytest.raises(Sim2RealError) as error:
        ObservationNoise(Echo(), bias=-1.0)
    assert str(error.value) == "observation_noise: bias = -1.0 must be a number of at least 0."


def test_the_option_of_a_bias_leaves_the_draws_of_the_noise_as_they_are():
    np.testing.assert_array_equal(noisy(Echo(), 1.0, steps=20), noisy(Echo(), 1.0, steps=20, bias=1.0))


@pytest.mark.parametrize("wrapper", [ActionDelay, ObservationDelay, ObservationNoise])
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
