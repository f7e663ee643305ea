"""The camera of the driving worlds, and their pictures for people."""

import math

import numpy as np
import pytest
from driving_envs import IDS

from sim2real.domains.contract import domain_space
from sim2real_envs.driving.textures import CONTRASTS, PATTERNS, make_patterns


@pytest.mark.parametrize("env_id", IDS)
def test_picture_shows_the_track_and_changes_nothing(make, env_id):
    env, blind = make(env_id, render_mode="rgb_array"), make(env_id)
    env.reset(seed=0, options={"domain": {"grip_patches": 0.5}})
    picture = env.render()
    assert picture.shape == (360, 480, 3)
    assert picture.dtype == np.uint8
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    grey = (abs(red - green) < 12) & (abs(green - blue) < 12) & (red < 120)
    assert grey.mean() > 0.1  # the road
    assert ((red > 1.8 * green) & (red > 1.8 * blue)).mean() > 0.01  # the walls
    blind.reset(seed=0, options={"domain": {"grip_patches": 0.5}})
    for _ in range(3):
        action = np.full(2, 0.3, np.float32)
        np.testing.assert_array_equal(env.step(action)[0], blind.step(action)[0])
        env.render()
    env.close()
    env.close()


@pytest.mark.parametrize("env_id", IDS)
def test_camera_sees_the_track(make, env_id):
    env = make(env_id, observation="camera")
    assert env.observation_space["image"].shape == (84, 84, 3)
    usual, _ = env.reset(seed=0)
    again, _ = env.reset(seed=0)
    np.testing.assert_array_equal(usual["image"], again["image"])
    red, green, blue = usual["image"].astype(int).transpose(2, 0, 1)
    assert ((abs(red - green) < 12) & (abs(green - blue) < 12) & (red < 120)).mean() > 0.15  # the road
    assert ((red > 1.8 * green) & (red > 1.8 * blue)).mean() > 0.005  # the walls
    assert "lidar_noise" not in domain_space(env)
    names = [channel.name for channel in env.get_wrapper_attr("observation_channels")]
    assert names[0] == "speed"
    env.step(np.zeros(2, np.float32))
    env.close()
    env.close()


def test_the_pose_of_the_camera_shifts_the_picture(make):
    env = make(observation="camera")
    usual = env.reset(seed=0)[0]["image"].astype(int)

    def sky(picture):
        return (picture.min(axis=2) == 255).mean(axis=0)  # how much of every column it fills

    down = env.reset(seed=0, options={"domain": {"camera_pitch": 0.4}})[0]["image"]
    assert (sky(down) < sky(usual) - 0.05).all()
    low, high = (env.reset(seed=0, options={"domain": {"camera_height": h}})[0]["image"] for h in (0.15, 0.4))
    assert (low != high).any(axis=2).mean() > 0.1
    # Half a field of view is 42 columns; what is straight ahead of a camera turned left lies to the right.
    left = env.reset(seed=0, options={"domain": {"camera_yaw": 0.2, "camera_pitch": 0.0}})[0]["image"].astype(int)
    straight = env.reset(seed=0, options={"domain": {"camera_pitch": 0.0}})[0]["image"].astype(int)
    shift = round(42 * math.tan(0.2))
    assert abs(left[:, 42 + shift] - straight[:, 42]).mean() < abs(left[:, 42] - straight[:, 42]).mean()


def test_looks_vary_in_colour_pattern_and_light(make):
    env = make(observation="camera", tracks=1)

    def look(seed, variation):
        return env.reset(seed=seed, options={"domain": {"look_variation": variation}})[0]["image"]

    np.testing.assert_array_equal(look(3, 1.0), look(3, 1.0))
    for seed in range(5):
        assert (look(seed, 0.0) != look(seed, 1.0)).any(axis=2).mean() > 0.4
    usual = {tuple(pixel) for seed in range(8) for pixel in look(seed, 0.0)[70]}
    varied = {tuple(pixel) for seed in range(8) for pixel in look(seed, 1.0)[70]}
    assert len(usual) < 12  # a plain road
    assert len(varied) > 24  # roads of many colours, some of them with patterns


def test_a_picture_shows_only_the_track_of_the_episode(make):
    one = make(observation="camera", tracks=3)
    other = make(observation="camera", tracks=3)
    for seed in range(10):  # until all tracks have been seen
        one.reset(seed=seed)
    np.testing.assert_array_equal(one.reset(seed=4)[0]["image"], other.reset(seed=4)[0]["image"])


def test_textures_go_from_plain_to_strong():
    patterns = make_patterns()
    assert patterns.shape[0] == PATTERNS
    assert CONTRASTS[0] == 0.0
    assert 0.0 <= patterns.min() <= patterns.max() <= 1.0
    assert all(abs(pattern.mean() - 0.5) < 0.15 for pattern in patterns)


def test_a_camera_sees_what_is_in_front(make):
    env = make(IDS[1], observation="camera", cars=0, obstacles=1)
    env.reset(seed=0)
    core = env.unwrapped
    x, y, yaw = core.traffic.poses[0]
    core.vehicle.reset(x - 0.6 * math.cos(yaw), y - 0.6 * math.sin(yaw), yaw)
    picture = core.sensor.picture(core.vehicle.state).astype(int)
    orange = (picture[..., 0] > 1.3 * picture[..., 1]) & (picture[..., 1] > 2 * picture[..., 2])
    rows, columns = np.nonzero(orange)
    assert orange.sum() > 50
    assert abs(columns.mean() - 41.5) < 3  # straight ahead
    assert rows.mean() > 42 - 20
