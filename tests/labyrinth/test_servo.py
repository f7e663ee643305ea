"""The servo of the board against closed forms."""

import math

import pytest

from sim2real_envs.labyrinth.servo import TiltServo

DT = 0.04


@pytest.fixture
def make():
    def _make(**domain):
        servo = TiltServo([0.01, 0.03], DT)
        servo.set_domain(**{"gain": 1.0, "lag": 0.0, "backlash": 0.0, "bias": 0.0, **domain})
        servo.reset()
        return servo

    return _make


def test_an_ideal_servo_is_where_it_is_commanded(make):
    servo = make()
    assert servo.move(0.1) == [0.1, 0.1]
    assert servo.angle == servo.slope == 0.1


def test_gain_scales_and_bias_adds(make):
    servo = make(gain=1.5, bias=-0.02)
    assert servo.slope == -0.02
    assert servo.move(0.1) == pytest.approx([0.13, 0.13])
    assert servo.angle == pytest.approx(0.15)


def test_lag_is_an_exponential_step_response(make):
    servo = make(lag=0.08)
    for step in range(5):
        slopes = servo.move(0.1)
        times = [step * DT + 0.01, step * DT + 0.03]
        assert slopes == pytest.approx([0.1 * (1 - math.exp(-t / 0.08)) for t in times])
    assert servo.angle == pytest.approx(0.1 * (1 - math.exp(-5 * DT / 0.08)))


def test_backlash_is_a_play_operator(make):
    servo = make(backlash=0.02)
    path = [servo.move(command)[0] for command in (0.005, 0.05, 0.04, 0.03, 0.02, -0.1)]
    assert path == pytest.approx([0.0, 0.04, 0.04, 0.04, 0.03, -0.09])


def test_backlash_and_lag_together(make):
    servo = make(backlash=0.02, lag=0.04)
    servo.move(0.1)
    motor = 0.1 * (1 - math.exp(-1))
    assert servo.slope == pytest.approx(motor - 0.01)
    # On the way back the board waits until the motor has crossed the play.
    way = motor - 0.0
    slopes = servo.move(0.0)
    assert slopes == pytest.approx([min(motor - 0.01, way * math.exp(-t / 0.04) + 0.01) for t in (0.01, 0.03)])


def test_reset_forgets(make):
    servo = make(lag=0.1, backlash=0.02)
    first = servo.move(0.1)
    servo.reset()
    assert servo.angle == servo.slope == 0.0
    assert servo.move(0.1) == first
