"""Driving worlds that are closed after a test."""

import gymnasium as gym
import pytest
from driving_envs import IDS


@pytest.fixture
def make():
    envs = []

    def _make(env_id=IDS[0], **kwargs):
        envs.append(gym.make(env_id, **{"tracks": 3, **kwargs}))
        return envs[-1]

    yield _make
    for env in envs:
        env.close()
