"""Driving worlds that are closed after a test."""

import gymnasium as gym
import pytest
from bundled_worlds import closed_afterwards
from driving_envs import IDS


@pytest.fixture
def make():
    with closed_afterwards(lambda env_id=IDS[0], **kwargs: gym.make(env_id, **{"tracks": 3, **kwargs})) as make_one:
        yield make_one
