import gymnasium as gym
import numpy as np
import pytest
from tiny_envs import GoalDict, Sound, Tape, WrongChannels

from sim2real.domains.channels import Channel
from sim2real.domains.signals import ObservationQuantisation, SensorDropout, StuckSensor
from sim2real.errors import Sim2RealError

CHANNELS = (
    Channel(name="position", width=2, unit="m", low=-9.0, high=9.0, noise=0.1),
    Channel(name="speed", width=1, unit="m/s", low=-9.0, high=9.0, noise=0.5),
    Channel(name="goal", width=1, unit="m", low=-9.0, high=9.0),
)
COUNT = 2000
CLOCK = np.arange(COUNT + 1.0)[:, None] * np.ones(4)  # every number is the step that it was read in


def observed(signal, domain, *, shown=CLOCK, steps=COUNT, seed=0, channels=CHANNELS, **options):
    space = gym.spaces.Box(-1e6, 1e6, shown.shape[1:], np.float64)
    env = signal(Tape(shown, space, channels=channels), **options)
    readings = [env.reset(seed=seed, options={"domain": domain})[0]]
    readings += [env.step(np.zeros(1))[0] for _ in range(steps)]
    assert all(reading in env.observation_space for reading in readings)
    return np.array(readings)


def test_a_lost_reading_is_replaced_by_the_last_one():
    readings = observed(SensorDropout, {"sensor_dropout": 0.3})
    arrived = readings == CLOCK
    np.testing.assert_array_equal(readings[1:][~arrived[1:]], readings[:-1][~arrived[1:]])
    assert arrived[0].all()  # there is nothing yet that could be repeated
    lost = ~arrived[1:]
    np.testing.assert_allclose(lost.mean(axis=0), 0.3, atol=4 * np.sqrt(0.21 / COUNT))
    np.testing.assert_array_equal(lost[:, 0], lost[:, 1])  # the two numbers of the position
    assert abs(np.corrcoef(lost[:, 0], lost[:, 2])[0, 1]) < 4 / np.sqrt(COUNT)
    assert abs(np.corrcoef(lost[1:, 0], lost[:-1, 0])[0, 1]) < 4 / np.sqrt(COUNT)


def test_without_channels_every_number_is_lost_by_itself():
    lost = observed(SensorDropout, {"sensor_dropout": 0.3}, channels=None)[1:] != CLOCK[1:]
    assert abs(np.corrcoef(lost[:, 0], lost[:, 1])[0, 1]) < 4 / np.sqrt(COUNT)


def test_a_sensor_that_loses_everything_tells_what_it_told_first():
    readings = observed(SensorDropout, {"sensor_dropout": 1.0}, high=1.0, steps=5, shown=CLOCK + 3.0)
    np.testing.assert_array_equal(readings, 3.0)


def test_an_agent_may_write_into_what_it_observes():
    space = gym.spaces.Box(-1e6, 1e6, (4,), np.float64)
    env = SensorDropout(Tape(CLOCK, space), high=1.0)
    env.reset(options={"domain": {"sensor_dropout": 1.0}})
    env.step(np.zeros(1))[0][:] = 77.0
    np.testing.assert_array_equal(env.step(np.zeros(1))[0], 0.0)


def test_a_stuck_sensor_stays_at_its_reading_from_some_step_on():
    last_new = []
    for seed in range(300):
        readings = observed(StuckSensor, {"stuck_sensor": 1.0}, high=1.0, within=10, steps=14, seed=seed)
        np.testing.assert_array_equal(readings, np.minimum(CLOCK[:15], readings[-1]))
        assert readings[-1, 0] == readings[-1, 1]  # the two numbers of the position
        last_new.append(readings[-1])
    position, _, speed, _ = np.transpose(last_new)
    assert set(speed) == set(range(10))
    assert speed.mean() == pytest.approx(4.5, abs=4 * np.sqrt(99 / 12 / 300))
    assert abs(np.corrcoef(position, speed)[0, 1]) < 4 / np.sqrt(300)


def test_a_sensor_gets_stuck_as_often_as_asked_for():
    stuck = [
        observed(StuckSensor, {"stuck_sensor": 0.3}, within=3, steps=4, seed=seed)[-1] < 4.0 for seed in range(500)
    ]
    np.testing.assert_allclose(np.mean(stuck, axis=0), 0.3, atol=4 * np.sqrt(0.21 / 500))


def test_a_reset_frees_a_stuck_sensor_and_draws_anew():
    env = StuckSensor(Tape(CLOCK, gym.spaces.Box(-1e6, 1e6, (4,), np.float64)), within=1)
    ends = []
    for episode in range(20):
        env.reset(seed=0 if episode == 0 else None, options={"domain": {"stuck_sensor": 0.5}})
        ends.append(env.step(np.zeros(1))[0])
    assert set(np.ravel(ends)) == {0.0, 1.0}


def test_readings_are_multiples_of_the_resolution():
    shown = np.array([[0.0, 0.14, 0.8, 0.123], [0.16, -0.34, -2.4, 0.456]])
    # 2 times the noise: 0.2, 0.2 and 1; a goal is not measured
    readings = observed(ObservationQuantisation, {"observation_quantisation": 2.0}, shown=shown, steps=1)
    np.testing.assert_allclose(readings, [[0.0, 0.2, 1.0, 0.123], [0.2, -0.4, -2.0, 0.456]], atol=1e-12)


def test_without_channels_the_resolution_is_the_users():
    shown = np.array([[0.04, 0.06, 1.26, -0.31]])
    readings = observed(
        ObservationQuantisation,
        {"observation_quantisation": 0.5},
        shown=shown,
        steps=0,
        channels=None,
        resolution=0.2,
    )
    np.testing.assert_allclose(readings, [[0.0, 0.1, 1.3, -0.3]], atol=1e-12)


def test_pictures_are_told_in_fewer_levels():
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    env = ObservationQuantisation(Tape([picture], gym.spaces.Box(0, 255, (16, 16), np.uint8)), resolution=32)
    reading, _ = env.reset(options={"domain": {"observation_quantisation": 1.0}})
    assert np.unique(reading).tolist() == [0, 32, 64, 96, 128, 160, 192, 224, 255]
    assert reading in env.observation_space


@pytest.mark.parametrize("signal", [SensorDropout, StuckSensor, ObservationQuantisation])
def test_of_a_dict_only_what_is_measured_is_touched(signal):
    env, true = signal(GoalDict()), GoalDict()
    name = signal.signal_name
    env.reset(seed=0, options={"domain": {name: env.domain_space[name].high}})
    true.reset(seed=0)
    for _ in range(20):
        touched, real = env.step(np.ones(1, np.float32))[0], true.step(np.ones(1, np.float32))[0]
        np.testing.assert_array_equal(touched["achieved_goal"], real["achieved_goal"])
        assert touched in env.observation_space
    assert touched["observation"].tolist() != real["observation"].tolist()


@pytest.mark.parametrize(
    ("signal", "options", "message"),
    [
        (SensorDropout, {"high": 1.5}, "sensor_dropout: high = 1.5 must be a number between 0 and 1."),
        (StuckSensor, {"high": -0.1}, "stuck_sensor: high = -0.1 must be a number between 0 and 1."),
        (StuckSensor, {"within": 0}, "stuck_sensor: within = 0 must be a whole number of at least 1."),
        (StuckSensor, {"within": 2.5}, "stuck_sensor: within = 2.5 must be a whole number of at least 1."),
        (
            ObservationQuantisation,
            {"resolution": 0.0},
            "observation_quantisation: resolution = 0.0 must be a positive number.",
        ),
    ],
)
def test_an_option_out_of_range_is_refused(signal, options, message):
    with pytest.raises(Sim2RealError) as error:
        signal(Sound(), **options)
    assert str(error.value) == message


@pytest.mark.parametrize("signal", [SensorDropout, StuckSensor, ObservationQuantisation])
def test_channels_that_do_not_cover_the_observation_are_refused(signal):
    with pytest.raises(Sim2RealError) as error:
        signal(WrongChannels())
    assert str(error.value) == "observation_channels are 1 wide and the observation 2; name every number once."


def test_a_resolution_needs_a_channel_that_is_measured():
    class Silent(Sound):
        observation_channels = (Channel(name="goal", width=2, unit="m", low=-1.0, high=1.0),)

    with pytest.raises(Sim2RealError) as error:
        ObservationQuantisation(Silent())
    assert str(error.value) == (
        "observation_quantisation: no channel of the env has a noise, by which resolutions are measured; give its "
        "observation_channels some, or leave the signal out."
    )
