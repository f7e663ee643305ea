"""The camera above the board."""

import os
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from bundled_worlds import closed_afterwards
from gymnasium.utils.env_checker import check_env

from sim2real.domains.contract import domain_space, get_domain
from sim2real_envs.labyrinth.camera import PICTURES, Camera
from sim2real_envs.labyrinth.catalogue import find_layout
from sim2real_envs.labyrinth.env import LabyrinthEnv
from sim2real_envs.labyrinth.scene import PHOTO_SIZE, Scene

ID = "sim2real_envs:sim2real/Labyrinth-v0"
DT = 0.04


@pytest.fixture
def scene():
    scene = Scene(find_layout("easy-1"), window=False)
    yield scene
    scene.close()


@pytest.fixture
def make():
    with closed_afterwards(partial(gym.make, ID, observation="camera")) as make_one:
        yield make_one


def marble_at(before, after):
    """Return the pixels (row, column) of the middle of what became brighter."""
    brighter = np.argwhere(after.astype(int) - before > 15)
    return brighter.mean(axis=0)


def test_gymnasiums_checker_has_nothing_to_say():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = LabyrinthEnv(observation="camera")
        env.spec = None
        check_env(env, skip_render_check=True)
        env.close()
        env.close()


def test_it_sees_the_marble_where_it_is(scene):
    def photo(x, y):
        scene.show((x, y), 0.006, (0.0, 0.0))
        return scene.photo()

    left, right, up = photo(-0.03, -0.05), photo(0.03, -0.05), photo(-0.03, 0.0)
    assert left.shape == (PHOTO_SIZE, PHOTO_SIZE)
    assert left.dtype == np.uint8
    here, there, above = marble_at(right, left), marble_at(left, right), marble_at(left, up)
    metre = (there[1] - here[1]) / 0.06  # pixels
    assert there[0] == pytest.approx(here[0], abs=0.7)
    assert here[0] - above[0] == pytest.approx(0.05 * metre, abs=1.0)
    np.testing.assert_allclose(here, [PHOTO_SIZE / 2 + 0.05 * metre, PHOTO_SIZE / 2 - 0.03 * metre], atol=1.5)


def test_latency_shows_the_past_and_between_steps_what_was_between(scene):
    track = [(0.01 * k - 0.03, -0.05) for k in range(6)]

    def seen(latency):
        camera = Camera(scene, DT)
        camera.latency = latency
        camera.begin(track[0], (0.0, 0.0), 0.006)
        for position in track[1:]:
            camera.see(position, (0.0, 0.0), 0.006)
        return camera.pictures()

    now, late, between = seen(0.0), seen(2 * DT), seen(1.5 * DT)
    assert now.shape == (PHOTO_SIZE, PHOTO_SIZE, PICTURES)
    np.testing.assert_array_equal(late[..., 2], now[..., 0])
    scene.show((track[3][0] + 0.005, -0.05), 0.006, (0.0, 0.0))
    np.testing.assert_array_equal(between[..., 2], scene.photo())


def test_latency_and_noise_are_domain_parameters(make):
    env = make()
    assert list(domain_space(env))[-3:] == ["camera_latency", "action_delay", "observation_noise"]
    env.reset(seed=0, options={"domain": {"camera_latency": 0.06}})
    assert get_domain(env)["camera_latency"] == 0.06
    clear, _ = env.reset(seed=0)
    noisy, _ = env.reset(seed=0, options={"domain": {"observation_noise": 1.0}})
    assert np.std(noisy.astype(float) - clear) == pytest.approx(4.0, rel=0.15)


def test_same_seed_same_pictures_whatever_was_before(make):
    env, fresh = make(layout="medium-1"), make(layout="medium-1")

    def episode(env, seed, domain):
        observation, _ = env.reset(seed=seed, options={"domain": domain})
        rng = np.random.default_rng(seed)
        return [observation, *(env.step(rng.uniform(-1, 1, 2).astype(np.float32))[0] for _ in range(10))]

    domain = {"camera_latency": 0.03, "marble_radius": 0.007}
    episode(env, 3, {"camera_latency": 0.1, "marble_radius": 0.005})
    np.testing.assert_array_equal(episode(env, 4, domain), episode(fresh, 4, domain))


def test_the_state_form_does_not_know_of_a_camera():
    env = gym.make(ID)
    assert "camera_latency" not in domain_space(env)
    env.close()


def test_a_picture_takes_less_than_two_milliseconds(scene):
    times = []
    for _ in range(30):
        begin = time.process_time()
        scene.photo()
        times.append(time.process_time() - begin)
    assert min(times) < 0.004  # 2 ms on a machine that has nothing else to do


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory in use from /proc")
def test_marbles_of_ever_new_radii_do_not_fill_the_memory(scene):
    def kilobytes():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024

    def show(count):
        for radius in np.random.default_rng(0).uniform(0.0045, 0.0075, count):
            scene.show((0.0, 0.0), radius, (0.0, 0.0))

    show(1000)
    before = kilobytes()
    show(3000)
    assert kilobytes() - before < 500


def test_a_larger_marble_looks_larger_and_only_one_is_seen(scene):
    def bright(radius):
        scene.show((0.0, 0.0), radius, (0.0, 0.0))
        return np.count_nonzero(scene.photo() != empty)

    scene.show((1.0, 1.0), 0.006, (0.0, 0.0))
    empty = scene.photo()
    small, large = bright(0.0045), bright(0.0075)
    assert large > small
    assert bright(0.0045) == small
