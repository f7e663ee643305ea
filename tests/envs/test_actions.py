"""What every world asks of an action."""

import numpy as np
import pytest

from sim2real.domains.channels import Channel
from sim2real.errors import Sim2RealError
from sim2real_envs.actions import ActionCheck

CHANNELS = (
    Channel(name="steering", width=1, unit="1", low=-1.0, high=1.0),
    Channel(name="wheels", width=2, unit="1", low=-1.0, high=1.0),
)


@pytest.mark.parametrize("action", [[0.5, -3.0, 1.5], (0.5, -1, 1), np.array([0.5, -1.0, 2.0], np.float32)])
def test_an_action_is_clipped_to_its_box(action):
    assert ActionCheck(CHANNELS, "the car")(action) == [0.5, -1.0, 1.0]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ([0.0, 0.0], "action has shape (2,); the car needs (3,)."),
        ([[0.0, 0.0, 0.0]], "action has shape (1, 3); the car needs (3,)."),
        (0.0, "action has shape (); the car needs (3,)."),
        ([0.0, 0.0, np.inf], "action wheels[1] (channel 2) = inf must be a finite number."),
        (np.array([0.0, np.nan, 0.0], np.float32), "action wheels[0] (channel 1) = nan must be a finite number."),
        (["left", 0.0, 0.0], "action ['left', 0.0, 0.0] is not a vector of numbers."),
        (["0.5", "0.5", "0.5"], "action ['0.5', '0.5', '0.5'] is not a vector of numbers."),
        ([0.0, 1j, 0.0], "action [0.0, 1j, 0.0] is not a vector of numbers."),
        ([[0.0], 0.0, 0.0], "action [[0.0], 0.0, 0.0] is not a vector of numbers."),
        (None, "action None is not a vector of numbers."),
    ],
)
def test_an_action_that_cannot_be_is_named(action, message):
    with pytest.raises(Sim2RealError) as error:
        ActionCheck(CHANNELS, "the car")(action)
    assert str(error.value) == message
