import math

import gymnasium as gym
import numpy as np
import pytest
from tiny_envs import Tape

from sim2real.domains.signals import ActionBacklash, ActionLag, ActionNoise, ActionSaturation, ActuatorGain
from sim2real.errors import Sim2RealError

THROTTLE = gym.spaces.Box(0.0, 1.0, (1,), np.float64)
UNEVEN = gym.spaces.Box(np.array([-1.0, 0.0]), np.array([1.0, 10.0]), dtype=np.float64)
UNBOUNDED = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)


def arriving(signal, domain, actions, *, space=None, seed=0, **options):
    """Return the actions that arrive at the env; a number is one for each actuator."""
    env = signal(Tape(action_space=space), **options)
    env.reset(seed=seed, options={"domain": domain})
    for action in actions:
        env.step(np.broadcast_to(action, env.action_space.shape))
    assert all(action in env.action_space for action in env.unwrapped.actions)
    return np.array(env.unwrapped.actions)


@pytest.mark.parametrize(
    ("gain", "bias", "expected"),
    [
        (0.8, 0.0, [-0.8, 0.0, 0.4, 0.8]),
        (1.5, 0.0, [-1.0, 0.0, 0.75, 1.0]),
        (1.0, 0.25, [-0.75, 0.25, 0.75, 1.0]),
        (0.5, -0.25, [-0.75, -0.25, 0.0, 0.25]),
    ],
)
def test_gain_and_bias_act_by_the_closed_form(gain, bias, expected):
    domain = {"actuator_gain": gain, "actuator_bias": bias}
    actions = arriving(ActuatorGain, domain, [-1.0, 0.0, 0.5, 1.0], bias=0.5)
    np.testing.assert_allclose(actions[:, 0], expected, atol=1e-12)


def test_a_bias_is_measured_in_halves_of_the_range_of_each_number():
    actions = arriving(ActuatorGain, {"actuator_bias": 0.1}, [0.0], space=UNEVEN, bias=0.5)
    np.testing.assert_allclose(actions, [[0.1, 0.5]])


def test_a_gain_alone_needs_no_bounds():
    assert arriving(ActuatorGain, {"actuator_gain": 1.5}, [4.0], space=UNBOUNDED) == 6.0


def test_white_action_noise_has_the_standard_deviation_asked_for():
    count = 4000
    drawn = arriving(ActionNoise, {"action_noise": 0.1}, [np.array([0.2, 5.0])] * count, space=UNEVEN) - [0.2, 5.0]
    for column, std in ((0, 0.1), (1, 0.5)):
        noise = drawn[:, column]
        assert noise.mean() == pytest.approx(0.0, abs=4 * std / np.sqrt(count))
        assert noise.std() == pytest.approx(std, abs=4 * std / np.sqrt(2 * count))
        assert abs(np.mean(noise[1:] * noise[:-1])) < 4 * std**2 / np.sqrt(count)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 4 / np.sqrt(count)


def test_the_noise_of_an_episode_is_a_line_through_the_actions():
    # a (1 + g n0) + h b n1, with n0 and n1 of this episode
    domain = {"action_noise_gain": 0.1, "action_noise_bias": 0.05}
    draws = []
    for seed in range(300):
        actions = arriving(ActionNoise, domain, [0.0, 0.5, 0.25, -0.5], seed=seed, bias=0.1, gain=0.2)[:, 0]
        offset, slope = actions[0], 2.0 * (actions[1] - actions[0])
        np.testing.assert_allclose(actions, offset + slope * np.array([0.0, 0.5, 0.25, -0.5]), atol=1e-12)
        draws.append((offset, slope))
    for value, mean, std in zip(np.transpose(draws), (0.0, 1.0), (0.05, 0.1), strict=True):
        assert value.mean() == pytest.approx(mean, abs=4 * std / np.sqrt(300))
        assert value.std() == pytest.approx(std, abs=4 * std / np.sqrt(600))


def test_the_noise_of_an_episode_is_a_parameter_where_it_is_asked_for():
    assert list(ActionNoise(Tape()).domain_space) == ["action_noise"]
    space = ActionNoise(Tape(), bias=0.1, gain=0.2).domain_space
    assert [(name, p.nominal, p.low, p.high) for name, p in space.items()] == [
        ("action_noise", 0.0, 0.0, 0.3),
        ("action_noise_bias", 0.0, 0.0, 0.1),
        ("action_noise_gain", 0.0, 0.0, 0.2),
    ]


@pytest.mark.parametrize("constant", [0.01, 0.5, 1.0, 5.0])
def test_a_lag_answers_a_step_with_one_minus_exp(constant):
    reached = arriving(ActionLag, {"action_lag": constant}, [0.8] * 20)[:, 0]
    np.testing.assert_allclose(reached, [0.8 * (1.0 - math.exp(-t / constant)) for t in range(1, 21)], atol=1e-12)


def test_a_lag_starts_from_the_neutral_action_in_every_episode():
    env = ActionLag(Tape())
    for _ in range(2):
        env.reset(options={"domain": {"action_lag": 1.0}})
        env.step(np.ones(1))
        assert env.unwrapped.actions[0] == pytest.approx(1.0 - math.exp(-1.0))


def test_a_lag_that_is_next_to_nothing_is_none():
    assert arriving(ActionLag, {"action_lag": 5e-324}, [0.8]) == 0.8


def test_backlash_is_the_play_operator():
    actions = [0.05, 0.3, 0.5, 0.45, 0.35, 0.2, -0.5, -0.45, 1.0]
    expected = [0.0, 0.2, 0.4, 0.4, 0.4, 0.3, -0.4, -0.4, 0.9]  # half of the play is 0.1
    actual = arriving(ActionBacklash, {"action_backlash": 0.2}, actions)
    np.testing.assert_allclose(actual[:, 0], expected, atol=1e-12)


def test_backlash_is_measured_in_halves_of_the_range_of_each_number():
    actions = arriving(ActionBacklash, {"action_backlash": 0.2}, [np.array([0.5, 5.0])], space=UNEVEN)
    np.testing.assert_allclose(actions, [[0.4, 4.5]])


@pytest.mark.parametrize(
    ("space", "actions", "expected"),
    [
        (None, [-1.0, -0.5, 0.0, 0.7, 1.0], [-0.6, -0.5, 0.0, 0.6, 0.6]),
        (THROTTLE, [0.0, 0.5, 0.7, 1.0], [0.0, 0.5, 0.6, 0.6]),
        (gym.spaces.Box(2.0, 4.0, (1,), np.float64), [2.0, 3.0, 4.0], [2.0, 3.0, 3.2]),  # from the neutral 2 on
    ],
)
def test_saturation_cuts_off_what_lies_beyond_its_share(space, actions, expected):
    actual = arriving(ActionSaturation, {"action_saturation": 0.6}, actions, space=space)
    np.testing.assert_allclose(actual[:, 0], expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize(
    ("signal", "domain"),
    [
        (ActuatorGain, {"actuator_gain": 1.37}),
        (ActionNoise, {"action_noise": 0.3}),
        (ActionLag, {"action_lag": 2.3}),
        (ActionBacklash, {"action_backlash": 0.13}),
        (ActionSaturation, {"action_saturation": 0.77}),
    ],
)
def test_an_action_keeps_type_and_bounds(signal, domain, dtype):
    space = gym.spaces.Box(-7, 7, (3,), dtype, seed=1)
    actions = arriving(signal, domain, [space.sample() for _ in range(20)], space=space)
    assert actions.dtype == dtype


@pytest.mark.parametrize(
    ("signal", "options", "message"),
    [
        (ActuatorGain, {"low": 1.1}, "parameter 'actuator_gain': nominal = 1 is outside its bounds [1.1, 1.5]; widen"),
        (ActuatorGain, {"bias": -1.0}, "actuator_gain: bias = -1.0 must be a number of at least 0."),
        (ActionNoise, {"gain": "x"}, "action_noise: gain = 'x' must be a number of at least 0."),
        (ActionNoise, {"high": "x"}, "parameter 'action_noise': high = 'x' must be a finite number."),
        (ActionLag, {"high": -1.0}, "parameter 'action_lag': low = 0 is above high = -1; swap them."),
        (ActionSaturation, {"low": -0.1}, "action_saturation: low = -0.1 must be a number between 0 and 1."),
    ],
)
def test_an_option_out_of_range_is_refused(signal, options, message):
    with pytest.raises(Sim2RealError) as error:
        signal(Tape(), **options)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("signal", "options"),
    [(ActuatorGain, {"bias": 0.1}), (ActionNoise, {}), (ActionBacklash, {}), (ActionSaturation, {})],
)
def test_what_is_measured_by_the_range_needs_bounds(signal, options):
    with pytest.raises(Sim2RealError) as error:
        signal(Tape(action_space=UNBOUNDED), **options)
    assert str(error.value) == (
        f"{signal.signal_name} needs bounded actions, the env has Box(-inf, inf, (1,), float32); leave the signal out."
    )
